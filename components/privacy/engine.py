"""DP-SGD on rows that are users, from one plan: sampling, ghost clipping, noise and the public normaliser (Opacus).

Formal guarantee: `steps` calls of `DPSGD.step`, each on a batch of `poisson_sample`, release all the parameters that
they lead to under `plan.event`, if the losses of `module` are a sum over rows in which no row acts on another's
(`require_rows_apart` and the check of norms look for what breaks that).
"""

from __future__ import annotations

from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from opacus.grad_sample import GradSampleModuleFastGradientClipping
from opacus.optimizers import DPOptimizerFastGradientClipping
from opacus.validators import ModuleValidator
from torch import Tensor, nn

from components.core.errors import ContractBroken
from components.privacy.plan import PerformanceFlags, PrivacyPlan
from components.privacy.randomness import normal_like, numpy_generator


class Model(Protocol):
    """What DP-SGD asks of an `nn.Module` beyond its parameters."""

    def losses(self, batch: Tensor) -> Tensor:
        """Return the loss of every row, shape (rows,)."""


def poisson_sample(users: int, sample_rate: float) -> NDArray[np.int64]:
    """Return the users of one step: each enters on its own with `sample_rate`. There may be none."""
    return np.flatnonzero(numpy_generator().random(users) < sample_rate)


class DPSGD:
    """One training's steps.

    The noise is added to the sum of clipped gradients, also where the batch is empty, and the result is divided by
    `plan.expected_batch_size`, never by the size of the batch. A row whose loss or gradient is not finite contributes
    zero: it can neither spoil nor skip a step. There is no state from which a step's noise could be made again.

    Args:
        module: an `nn.Module` that is a `Model`; its parameters are trained in place.
        optimizer: over its parameters.
        plan: sampler, clip, noise and normaliser.
        flags: how it is computed.
        probe: rows that are nobody's, (2 or more, columns), on which clipping is checked before anything is trained.

    Raises:
        ContractBroken: a layer mixes rows or keeps statistics of them (batch normalisation), or the norms that
            clipping goes by are not those of the rows' gradients (weights shared or used outside of their layer).
    """

    def __init__(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        plan: PrivacyPlan,
        flags: PerformanceFlags,
        *,
        probe: Tensor,
    ) -> None:
        if wrong := ModuleValidator.validate(module, strict=False):
            raise ContractBroken(
                "The model cannot be trained by user-level DP-SGD",
                value="; ".join(str(error) for error in wrong),
                next_step="Replace the layer by one that treats every row on its own (group or layer normalisation).",
            )
        self.steps = 0
        self._model, self._flags, self._plan = cast(Model, module), flags, plan
        self._sampled = GradSampleModuleFastGradientClipping(
            module,
            loss_reduction="sum",
            max_grad_norm=plan.max_grad_norm,
            use_ghost_clipping=flags.grad_sample_mode == "ghost",
        )
        self._optimizer = _NoisyOptimizer(
            optimizer,
            noise_multiplier=plan.noise_multiplier,
            max_grad_norm=plan.max_grad_norm,
            expected_batch_size=plan.expected_batch_size,
        )
        try:
            require_rows_apart(self._model, probe)
            self._require_true_norms(probe[:1])
        except BaseException:
            self.detach()
            raise

    def step(self, batch: Tensor) -> float:
        """Take one noisy step on `batch` (rows, columns) and return its mean loss, un-noised: NaN where it is empty."""
        self._optimizer.zero_grad(set_to_none=True)
        parts = torch.split(batch, self._flags.physical_batch_size) if len(batch) else (batch,)
        total = 0.0
        for number, part in enumerate(parts, start=1):
            total += self._clip(part)
            self._optimizer.signal_skip_step(number < len(parts))
            self._optimizer.step()  # sums the parts, and noises and applies with the last
            self._optimizer.original_optimizer.zero_grad(set_to_none=True)
        self.steps += 1
        return total / len(batch) if len(batch) else float("nan")

    def detach(self) -> None:
        """Take Opacus' hooks off the module, which keeps what it learnt."""
        self._sampled.to_standard_module()

    def _require_true_norms(self, row: Tensor) -> None:
        """Compare the norm that clipping goes by with the gradient that autograd gives, dropout drawn alike."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self._sampled.disable_hooks()
            gradients = torch.autograd.grad(self._model.losses(row).sum(), self._optimizer.params, allow_unused=True)
            self._sampled.enable_hooks()
            torch.manual_seed(0)
            try:
                self._model.losses(row).sum().backward()  # type: ignore[no-untyped-call]
                found = float(self._sampled.get_norm_sample()[0])
            except (AttributeError, NotImplementedError) as error:
                raise ContractBroken(
                    f"The model has weights whose gradient cannot be clipped row by row ({error})",
                    next_step="Use each weight in one layer of its own, and reach every layer from losses.",
                ) from error
        self._optimizer.zero_grad(set_to_none=True)
        true = float(torch.cat([part.flatten() for part in gradients if part is not None]).norm())
        if not abs(found - true) <= 1e-3 * max(true, 1e-6):
            raise ContractBroken(
                "The norm that clipping goes by is not that of the row's gradient",
                value=f"{found:.6g}",
                limit=f"{true:.6g}",
                next_step="Use each weight in one layer of its own, through that layer's forward.",
            )

    def _clip(self, rows: Tensor) -> float:
        """Leave the sum of the rows' clipped gradients in `.grad` and return the sum of their losses."""
        for parameter in self._optimizer.params:
            parameter.grad = torch.zeros_like(parameter)
        while len(rows):
            losses = self._model.losses(rows)
            losses.sum().backward(retain_graph=True)  # type: ignore[no-untyped-call]
            norms = self._sampled.get_norm_sample()
            for parameter in self._optimizer.params:
                parameter.grad = torch.zeros_like(parameter)
            finite = torch.isfinite(norms) & torch.isfinite(losses.detach())
            if finite.all():
                factors = (self._plan.max_grad_norm / norms.clamp(min=1e-12)).clamp(max=1.0)
                self._sampled.disable_hooks()
                try:
                    (factors * losses).sum().backward()
                finally:
                    self._sampled.enable_hooks()
                return float(losses.detach().sum())
            rows = rows[finite]
        return 0.0


class _NoisyOptimizer(DPOptimizerFastGradientClipping):  # type: ignore[misc]
    """Opacus' optimizer with noise from `randomness`: its own draws from torch's 32-bit CPU seed."""

    def add_noise(self) -> None:
        generator = numpy_generator()
        sigma = self.noise_multiplier * self.max_grad_norm
        for parameter in self.params:
            parameter.grad = parameter.summed_grad + normal_like(parameter.summed_grad, sigma, generator)


def require_rows_apart(model: Model, probe: Tensor) -> None:
    """Check on `probe`, rows that are nobody's, that one row cannot act on another's loss.

    The gradient of the first row's loss by the second row's input must be exactly zero; normalising over the batch,
    attention across it or sampling negatives from it make it not so.

    Args:
        model: it is left as it was.
        probe: (2 or more rows, columns), floating point, made up.

    Raises:
        ContractBroken: a row acts on another.
    """
    probe = probe.detach().clone().requires_grad_(True)
    losses = model.losses(probe)
    if losses.shape != (len(probe),):
        raise ContractBroken(
            "The model must give one loss for every row", value=tuple(losses.shape), limit=(len(probe),)
        )
    (by_input,) = torch.autograd.grad(losses[0], probe, allow_unused=True)
    if by_input is not None and (others := float(by_input[1:].abs().max())) != 0.0:
        raise ContractBroken(
            "One row acts on another row's loss, so clipping rows does not bound what a user can do",
            value=f"gradient {others:.2g}",
            limit="0",
            next_step="Remove what mixes the rows of a batch (batch normalisation, in-batch negatives).",
        )
