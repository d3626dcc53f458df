"""Mistakes in the engine: clip, noise, normaliser, and what a step may skip."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch

from components.privacy import randomness
from components.privacy.engine import DPSGD
from components.privacy.plan import PrivacyPlan
from components.privacy.release import SampledGaussian
from components.training import batches as batches_room
from components.training import fit as fit_room
from tests.mutations.mistakes import Patch, everywhere


def engine(patch: Patch, **methods: Callable[..., Any]) -> None:
    """Exchange methods of the engine's class."""
    patch.setattr(fit_room, "DPSGD", type("Mistaken", (DPSGD,), methods))


def planned(patch: Patch, change: Callable[[Any], dict[str, float]]) -> None:
    """Let the engine work by other figures than the plan declares and the ledger charges."""

    def start(self: Any, module: Any, optimizer: Any, plan: Any, flags: Any, **rest: Any) -> None:
        DPSGD.__init__(self, module, optimizer, plan.model_copy(update=change(plan)), flags, **rest)

    engine(patch, __init__=start)


def noise_is_halved(patch: Patch) -> None:
    planned(patch, lambda plan: {"noise_multiplier": plan.noise_multiplier / 2})


def the_clip_is_doubled(patch: Patch) -> None:
    """The noise stays what the plan says: the sensitivity does not."""
    planned(
        patch,
        lambda plan: {"max_grad_norm": 2 * plan.max_grad_norm, "noise_multiplier": plan.noise_multiplier / 2},
    )


def nothing_is_clipped(patch: Patch) -> None:
    planned(
        patch, lambda plan: {"max_grad_norm": 1e6 * plan.max_grad_norm, "noise_multiplier": plan.noise_multiplier / 1e6}
    )


class Averaging:
    """An optimizer of means over the batch that really came."""

    def __init__(self, inner: torch.optim.Optimizer, expected: float) -> None:
        self.inner, self.expected, self.rows = inner, expected, 1
        self.param_groups, self.state, self.defaults = inner.param_groups, inner.state, inner.defaults

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.inner.zero_grad(set_to_none=set_to_none)

    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = parameter.grad * (self.expected / max(self.rows, 1))
        self.inner.step()


def sums_are_divided_by_the_batch_that_came(patch: Patch) -> None:
    def start(self: Any, module: Any, optimizer: Any, plan: Any, flags: Any, **rest: Any) -> None:
        self.averaging = Averaging(optimizer, plan.expected_batch_size)
        DPSGD.__init__(self, module, self.averaging, plan, flags, **rest)

    def step(self: Any, batch: Any) -> float:
        self.averaging.rows = len(batch)
        return DPSGD.step(self, batch)

    engine(patch, __init__=start, step=step)


def the_normaliser_is_q_times_the_number_of_users(patch: Patch) -> None:
    """Opacus' issue 571."""
    users = []
    real = batches_room.poisson

    def poisson(rows: Any, sample_rate: float) -> Any:
        users.append(batches_room.count(rows))
        return real(rows, sample_rate)

    everywhere(patch, "poisson", poisson)
    planned(patch, lambda plan: {"expected_batch_size": max(plan.sample_rate * users[-1], 1e-3)})


def an_empty_batch_skips_its_noise(patch: Patch) -> None:
    def step(self: Any, batch: Any) -> float:
        if not len(batch):
            self.steps += 1
            return math.nan
        return DPSGD.step(self, batch)

    engine(patch, step=step)


def a_batch_with_nan_skips_its_step(patch: Patch) -> None:
    def step(self: Any, batch: Any) -> float:
        with torch.no_grad():
            finite = torch.isfinite(self.model_of_mistake.losses(batch)).all()
        if not finite:
            self.steps += 1
            return math.nan
        return DPSGD.step(self, batch)

    def start(self: Any, module: Any, *rest: Any, **more: Any) -> None:
        self.model_of_mistake = module
        DPSGD.__init__(self, module, *rest, **more)

    engine(patch, __init__=start, step=step)


def noise_comes_from_one_seed(patch: Patch) -> None:
    patch.setattr(randomness.secrets, "randbits", lambda bits: 7)


def noise_is_drawn_once_and_added_at_every_step(patch: Patch) -> None:
    bits = randomness.secrets.randbits(250)
    patch.setattr(randomness.secrets, "randbits", lambda count: bits % 2**count)


def the_seed_is_the_step_so_that_a_resume_replays_it(patch: Patch) -> None:
    base, numbers = randomness.secrets.randbits(200), itertools.count()

    def start(self: Any, *rest: Any, **more: Any) -> None:
        nonlocal numbers
        numbers = itertools.count()
        DPSGD.__init__(self, *rest, **more)

    engine(patch, __init__=start)
    patch.setattr(randomness.secrets, "randbits", lambda bits: (base + next(numbers)) % 2**bits)


def rows_may_act_on_each_other(patch: Patch) -> None:
    """The guards against batch normalisation and its kin are gone."""
    from components.privacy import engine as room

    patch.setattr(room, "require_rows_apart", lambda model, probe: None)
    patch.setattr(room.ModuleValidator, "validate", lambda module, strict=False: [])


def the_ledger_is_told_of_half_of_the_steps(patch: Patch) -> None:
    def event(self: Any) -> SampledGaussian:
        return SampledGaussian(
            noise_multiplier=self.noise_multiplier, sample_rate=self.sample_rate, steps=self.steps // 2
        )

    patch.setattr(PrivacyPlan, "event", property(event))
