"""DP-SGD on rows that are users, from one plan: sampling, clipping, noise and the public normaliser.

Formal guarantee: `steps` calls of `DPSGD.step`, each on a batch of `poisson_sample`, release all the parameters that
they lead to under `plan.event`, if the losses of `module` are a sum over rows in which no row acts on another's
(`require_rows_apart` and the check of gradients look for what breaks that).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from opacus.optimizers import DPOptimizerFastGradientClipping
from opacus.validators import ModuleValidator
from torch import Tensor, nn

from components.core.errors import ContractBroken, Misconfigured
from components.privacy.clipping.book_keeping import BookKeeping, Model, unsupported
from components.privacy.clipping.by_opacus import ByOpacus
from components.privacy.clipping.sums import Sums
from components.privacy.plan import PerformanceFlags, PrivacyPlan
from components.privacy.randomness import add_noise_, bernoulli
from components.privacy.rows import SparseRows

Mode = Literal["book_keeping", "ghost", "hooks"]

_LOG = logging.getLogger(__name__)


class Clipping(Protocol):
    """How clipped gradients are summed."""

    def add(self, rows: Any, sums: Sums) -> float:
        """Add the clipped gradients of `rows` to `sums` and return the sum of their losses."""
        ...

    def norms(self, rows: Any) -> Tensor:
        """Return the norm of each row's gradient, as clipping goes by it."""
        ...

    def to_standard_module(self) -> nn.Module:
        """Take everything off the module."""
        ...


def poisson_sample(users: int, sample_rate: float) -> NDArray[np.int64]:
    """Return the users of one step: each enters on its own with `sample_rate`. There may be none.

    Raises:
        Misconfigured: the rate is no probability.
    """
    if not 0 <= sample_rate <= 1:
        raise Misconfigured("A sample rate is a probability", value=sample_rate, limit="0 to 1")
    return np.flatnonzero(bernoulli(users, sample_rate))


class DPSGD:
    """One training's steps.

    The noise is added to the sum of clipped gradients, also where the batch is empty, and the result is divided by
    `plan.expected_batch_size`, never by the size of the batch. A row whose loss or gradient is not finite contributes
    zero: it can neither spoil nor skip a step. There is no state from which a step's noise could be made again.

    On several devices (`torch.distributed` is set up) each steps on rows of its own; noise is added by the first alone,
    and the noisy sum of all reaches every one.

    Args:
        module: an `nn.Module` that is a `Model`; its parameters are trained in place.
        optimizer: over its parameters.
        plan: sampler, clip, noise and normaliser.
        flags: how it is computed.
        probe: rows that are nobody's, (2 or more, columns), on which clipping is checked before anything is trained.

    Raises:
        Misconfigured: the plan was made without its checks, and does not pass them.
        ContractBroken: a layer mixes rows or keeps statistics of them (batch normalisation), or the norms that
            clipping goes by are not those of the rows' gradients (weights used outside of their layer).
    """

    def __init__(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        plan: PrivacyPlan,
        flags: PerformanceFlags,
        *,
        probe: Tensor | SparseRows,
    ) -> None:
        plan = PrivacyPlan.model_validate(plan.model_dump())
        _require_layers_apart(module)
        self.steps = 0
        self._model, self._flags, self._plan = cast(Model, module), flags, plan
        self._mode = _mode(module, flags)
        require_rows_apart(self._model, probe)  # first: Opacus' hooks would keep what it computes for the next backward
        self._clipping = _clipping(module, plan.max_grad_norm, self._mode)
        self._optimizer = _NoisyOptimizer(
            optimizer,
            noise_multiplier=plan.noise_multiplier,
            max_grad_norm=plan.max_grad_norm,
            expected_batch_size=plan.expected_batch_size,
        )
        try:
            self._require_true_gradient(probe[:1])
            self._require_true_gradient(probe[1:2])
        except BaseException:
            self.detach()
            raise

    def step(self, batch: Tensor | SparseRows) -> float:
        """Take one noisy step on `batch` (rows, columns) and return its mean loss, un-noised: NaN where it is empty."""
        self._optimizer.zero_grad(set_to_none=True)
        self._optimizer.sums.clear()
        total = sum(self._clipping.add(part, self._optimizer.sums) for part in self._parts(batch))
        self._optimizer.step()
        self.steps += 1
        return total / len(batch) if len(batch) else float("nan")

    def detach(self) -> None:
        """Take the hooks off the module, which keeps what it learnt."""
        self._clipping.to_standard_module()

    def _parts(self, batch: Tensor | SparseRows) -> Iterator[Tensor | SparseRows]:
        """Yield parts of about one size, none larger than what fits."""
        parts = -(-len(batch) // self._flags.physical_batch_size)
        bounds = [len(batch) * part // parts for part in range(parts + 1)] if parts else []
        for start, stop in pairwise(bounds):
            yield batch[start:stop]

    def _require_true_gradient(self, row: Tensor | SparseRows) -> None:
        """Compare the clipped gradient of one row, and its norm, with what autograd gives, dropout drawn alike."""
        parameters, sums = self._optimizer.params, self._optimizer.sums
        module = self._clipping.to_standard_module()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            losses = self._model.losses(row)
            gradients = torch.autograd.grad(losses.sum(), parameters, allow_unused=True)
            self._clipping = _clipping(module, self._plan.max_grad_norm, self._mode)
            torch.manual_seed(0)
            norm = float(self._clipping.norms(row)[0])
            torch.manual_seed(0)
            sums.clear()
            self._clipping.add(row, sums)
        found = torch.cat([cast(Tensor, sums.of(one)).flatten() for one in parameters])
        true = torch.cat(
            [
                torch.zeros_like(one).flatten() if gradient is None else gradient.flatten()
                for one, gradient in zip(parameters, gradients, strict=True)
            ]
        )
        length = float(true.norm())
        _require_equal("The norm that clipping goes by is not that of the row's gradient", norm, length)
        true *= min(1.0, self._plan.max_grad_norm / max(length, 1e-12))
        away = float((found - true).norm())
        limit = float(true.norm())
        _require_equal("The gradient that is clipped is not the row's", limit + away, limit)


class _NoisyOptimizer(DPOptimizerFastGradientClipping):  # type: ignore[misc]
    """Opacus' optimizer on one flat buffer of sums, with noise from `randomness`: its own has torch's 32-bit seed.

    Noise and the division by the public batch are one pass over the buffer. Where there are several devices, the first
    alone adds noise, and the sum over devices is what all apply (as Opacus' distributed optimizer does).
    """

    def __init__(self, optimizer: torch.optim.Optimizer, **plan: float) -> None:
        super().__init__(optimizer, loss_reduction="mean", **plan)
        self.sums = Sums(self.params)

    def accumulate(self) -> None:
        """Nothing: the sums are where they belong."""

    def add_noise(self) -> None:
        shared = torch.distributed.is_available() and torch.distributed.is_initialized()
        first = not shared or torch.distributed.get_rank() == 0
        sigma, scale = self.noise_multiplier * self.max_grad_norm, 1 / self.expected_batch_size
        if first:
            add_noise_(self.sums.buffers, sigma, scale)
        for buffer in self.sums.buffers if shared else ():
            if not first:
                buffer.mul_(scale)
            torch.distributed.all_reduce(buffer)
        self.sums.hand_over()

    def scale_grad(self) -> None:
        """Nothing: it was part of the noise's pass."""


def require_rows_apart(model: Model, probe: Tensor | SparseRows) -> None:
    """Check on `probe`, rows that are nobody's, that one row cannot act on another's loss.

    The gradient of the first row's loss by the second row's input must be exactly zero; normalising over the batch,
    attention across it or sampling negatives from it make it not so.

    Args:
        model: it is left as it was.
        probe: (2 or more rows, columns), floating point, made up.

    Raises:
        ContractBroken: a row acts on another.
    """
    if isinstance(probe, SparseRows):
        values = probe.values.detach().clone().requires_grad_(True)
        losses = model.losses(replace(probe, values=values))
        others = slice(int(probe.offsets[1]), None)
    else:
        values = probe.detach().clone().requires_grad_(True)
        losses = model.losses(values)
        others = slice(1, None)
    if losses.shape != (len(probe),):
        raise ContractBroken(
            "The model must give one loss for every row", value=tuple(losses.shape), limit=(len(probe),)
        )
    (by_input,) = torch.autograd.grad(losses[0], values, allow_unused=True)
    if by_input is not None and (most := float(by_input[others].abs().max())) != 0.0:
        raise ContractBroken(
            "One row acts on another row's loss, so clipping rows does not bound what a user can do",
            value=f"gradient {most:.2g}",
            limit="0",
            next_step="Remove what mixes the rows of a batch (batch normalisation, in-batch negatives).",
        )


def _mode(module: nn.Module, flags: PerformanceFlags) -> Mode:
    """Return the mode that the flags ask for; Opacus' ghost mode, and a line in the log, where it is not to be had."""
    if flags.grad_sample_mode == "book_keeping" and (missing := unsupported(module)):
        _LOG.warning(
            "Book-keeping has no rule for %s; Opacus' ghost mode is used instead, which is slower and as exact.",
            ", ".join(missing),
        )
        return "ghost"
    return flags.grad_sample_mode


def _clipping(module: nn.Module, max_grad_norm: float, mode: Mode) -> Clipping:
    return BookKeeping(module, max_grad_norm) if mode == "book_keeping" else ByOpacus(module, max_grad_norm, mode)


def _require_layers_apart(module: nn.Module) -> None:
    """Refuse layers that mix rows or keep statistics of them, whatever they do on a probe."""
    wrong = [str(error) for error in ModuleValidator.validate(module, strict=False)]
    wrong += [
        f"{type(layer).__name__} with max_norm rescales weights by who looks them up, without noise"
        for layer in module.modules()
        if isinstance(layer, nn.Embedding | nn.EmbeddingBag) and layer.max_norm is not None
    ]
    if wrong:
        raise ContractBroken(
            "The model cannot be trained by user-level DP-SGD",
            value="; ".join(wrong),
            next_step="Replace the layer by one that treats every row on its own (group or layer normalisation).",
        )


def _require_equal(what: str, found: float, limit: float) -> None:
    if not abs(found - limit) <= 1e-3 * max(limit, 1e-6):
        raise ContractBroken(
            what,
            value=f"{found:.6g}",
            limit=f"{limit:.6g}",
            next_step="Use each weight in one layer of its own, through that layer's forward.",
        )
