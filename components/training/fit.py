"""The training loop: one Lightning Trainer, with or without privacy by one parameter."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as lightning
import torch
from scipy.sparse import issparse
from torch import Tensor
from torch.utils.data import DataLoader

from components.core import digest
from components.core.errors import BudgetExhausted, ContractBroken, Misconfigured
from components.core.progress import Progress, no_progress
from components.privacy.canaries import Canaries
from components.privacy.engine import DPSGD
from components.privacy.plan import PerformanceFlags, PrivacyPlan
from components.privacy.rows import SparseRows, made_up, wider
from components.training import checkpoint
from components.training.batches import Batches, Sample, count, poisson, shuffled
from components.training.ranks import Rank, as_the_first_says, first, helped
from components.training.watched import Watched


@dataclass(frozen=True)
class Fitted:
    """What a training did.

    Attributes:
        steps: optimizer steps of this run; under a plan each drew noise.
        resumed_from: steps that a checkpoint had taken before.
        losses: mean loss of each step's batch, un-noised: it stays in the trusted zone unless the source is public.
    """

    steps: int
    resumed_from: int
    losses: tuple[float, ...]


def fit(
    module: lightning.LightningModule,
    rows: Any,
    *,
    plan: PrivacyPlan | None,
    intend: Callable[[int], None] | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    checkpoints: Path | None = None,
    checkpoint_every: int = 50,
    flags: PerformanceFlags | None = None,
    canaries: Canaries | None = None,
    progress: Progress = no_progress,
    rank: Rank | None = None,
) -> Fitted:
    """Train `module` in place on `rows`, one row a user.

    With a plan: user-level DP-SGD under exactly that plan; its steps and its batches are the plan's. It ends early,
    without an error, when `intend` says that nothing more is held. Without a plan: no guarantee, for public sources.

    Args:
        module: a LightningModule with `losses(batch) -> (rows,)`, whose `configure_optimizers` returns an optimizer.
            One with a true attribute `sparse_rows` is given `SparseRows`, of a CSR matrix.
        rows: (users, columns), a CSR matrix, an array or a tensor; or a torch Dataset with a tensor a user.
        plan: the privacy plan, or None.
        intend: makes the intent of n noisy steps durable (`Open.intend`); needed with a plan.
        steps, batch_size: the schedule without a plan.
        checkpoints: a folder to resume from and to write to, of this plan and these rows alone.
        checkpoint_every: steps between two checkpoints.
        flags: how it is computed; they cannot change the guarantee.
        canaries: users that are nobody's, to take part in a private training on a matrix, and to be told what was seen.
        progress: called with the steps done and their number.
        rank: which of several processes this is; only those that this function starts are given one.

    Raises:
        Misconfigured: a schedule is given twice or not at all, or a plan has no `intend`.
        ContractBroken: rows act on each other in the model, or what it learnt is not finite.
    """
    flags, sparse = flags or PerformanceFlags(), bool(getattr(module, "sparse_rows", False))
    if sparse and not issparse(rows):
        raise Misconfigured("A module with sparse_rows is trained on a CSR matrix", value=type(rows).__name__)
    if plan is not None:
        if intend is None or steps is not None or batch_size is not None:
            raise Misconfigured("A private training takes its schedule from the plan, and needs intend")
        total, identity = plan.steps, digest.of_json(plan.model_dump())
    else:
        if steps is None or batch_size is None:
            raise Misconfigured("A training without a plan needs steps and batch_size")
        total, identity = steps, "no plan"
    optimizer = module.configure_optimizers()
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise Misconfigured("configure_optimizers must return one optimizer", value=type(optimizer).__name__)
    trained: torch.nn.Module = module
    probe, watched = _probe(module, rows) if plan else None, None
    if plan is not None and probe is not None and canaries is not None:
        if not hasattr(rows, "shape"):
            raise Misconfigured("A training with canaries needs rows in a matrix", value=type(rows).__name__)
        trained = watched = Watched(module, optimizer, canaries, plan)
        probe = wider(probe)
    before = checkpoint.read(checkpoints, identity) if checkpoints else None
    done = before.steps if before else 0
    if before:
        module.load_state_dict(before.module)
        optimizer.load_state_dict(before.optimizer)
        if watched and before.watched:
            watched.resume(before.watched)
    alone, rank = rank is None, rank or first(flags.devices if plan else 1)
    helpers = helped(rank, _assist, module, rows, plan, flags, canaries, checkpoints) if alone else nullcontext()
    rows = watched.rows(rows) if watched else rows
    sample = _sample(rows, plan, rank) if plan else shuffled(rows, batch_size or 1)
    with _quiet():
        stepper = (
            _Plain(module, optimizer)
            if plan is None or probe is None
            else DPSGD(trained, optimizer, plan, flags, probe=probe)
        )

    def after_step(steps: int) -> None:
        progress(steps, total)
        if rank.number == 0 and checkpoints and (steps % checkpoint_every == 0 or steps == total):
            seen = watched.seen() if watched else None
            checkpoint.Checkpoint(steps, identity, module.state_dict(), optimizer.state_dict(), seen).write(checkpoints)

    loop = _Loop(trained, optimizer, stepper, intend or (lambda steps: None), lambda ran: after_step(done + ran))
    try:
        with helpers:
            _run(loop, Batches(rows, sample, total - done, sparse=sparse), flags, rank)
    finally:
        stepper.detach()
    if watched:
        watched.end()
    if not all(bool(torch.isfinite(parameter).all()) for parameter in module.parameters()):
        raise ContractBroken("What the training learnt is not finite", next_step="Lower the learning rate.")
    return Fitted(steps=stepper.steps, resumed_from=done, losses=tuple(loop.losses))


def _sample(rows: Any, plan: PrivacyPlan, rank: Rank) -> Sample:
    """Return what draws the users of a private step: of all, or of those that belong to this rank alone."""
    if rank.world == 1:
        return poisson(rows, plan.sample_rate)
    mine = np.arange(rank.number, count(rows), rank.world)
    drawn = poisson(mine, plan.sample_rate)
    return lambda: mine[drawn()]


def _assist(
    rank: Rank,
    module: lightning.LightningModule,
    rows: Any,
    plan: PrivacyPlan,
    flags: PerformanceFlags,
    canaries: Canaries | None,
    checkpoints: Path | None,
) -> None:
    """Train beside rank 0, which says at each step whether it was intended."""
    torch.set_num_threads(max(1, torch.get_num_threads() // rank.world))
    fit(
        module,
        rows,
        plan=plan,
        intend=lambda steps: None,
        checkpoints=checkpoints,
        flags=flags,
        canaries=canaries,
        rank=rank,
    )


def _probe(module: lightning.LightningModule, rows: Any) -> Tensor | SparseRows:
    """Return two made-up rows: of a matrix's width, else the module's own example (Lightning's convention)."""
    if getattr(module, "sparse_rows", False):
        return made_up(rows.shape[1])
    if hasattr(rows, "shape"):
        return torch.bernoulli(torch.full((2, rows.shape[1]), 0.5))
    if isinstance(module.example_input_array, Tensor):
        return module.example_input_array
    raise Misconfigured(
        "A private training on a Dataset needs made-up rows to check the model on",
        next_step="Set example_input_array on the module to two or more rows.",
    )


class _Plain:
    """Steps without privacy: the mean gradient of the batch."""

    def __init__(self, module: lightning.LightningModule, optimizer: torch.optim.Optimizer) -> None:
        self.steps = 0
        self._module, self._optimizer = module, optimizer

    def step(self, batch: Tensor) -> float:
        """Take one step on `batch` and return its mean loss."""
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._module.losses(batch).mean()
        loss.backward()
        self._optimizer.step()
        self.steps += 1
        return float(loss.detach())

    def detach(self) -> None:
        """There is nothing to take off."""


class _Loop(lightning.LightningModule):
    """The Trainer's view of a training. Optimization is manual, because a private step is more than one backward."""

    def __init__(
        self,
        module: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        stepper: DPSGD | _Plain,
        intend: Callable[[int], None],
        after_step: Callable[[int], None],
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.module = module
        self.losses: list[float] = []
        self._optimizer, self._stepper, self._intend, self._after_step = optimizer, stepper, intend, after_step

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Give the Trainer the optimizer, so that its state follows the parameters to their device."""
        return self._optimizer

    def training_step(self, batch: Tensor) -> None:
        """Take one step, its intent first; stop where nothing more is held."""
        if not as_the_first_says(self._held(), self.device):
            self.trainer.should_stop = True
            return
        self.losses.append(self._stepper.step(batch))
        self._after_step(self._stepper.steps)

    def _held(self) -> bool:
        try:
            self._intend(1)
        except BudgetExhausted:
            return False
        return True


def _run(loop: _Loop, batches: Batches, flags: PerformanceFlags, rank: Rank) -> None:
    with _quiet():
        trainer = lightning.Trainer(
            accelerator=flags.accelerator,
            devices=rank.world,
            strategy=rank.strategy,
            max_epochs=1,
            use_distributed_sampler=False,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(loop, DataLoader(batches, batch_size=None))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's hints (workers, devices, tips) off the user's screen; errors still show."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
