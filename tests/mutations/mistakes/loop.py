"""Mistakes around the engine: sampling, preprocessing, stopping, and when an intent is written."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from components.core.errors import BudgetExhausted
from components.training import batches as batches_room
from components.training import fit as fit_room
from tests.mutations.mistakes import Patch, everywhere


def batches_are_slices_of_a_shuffle(patch: Patch) -> None:
    def poisson(rows: Any, sample_rate: float) -> Any:
        return batches_room.shuffled(rows, round(sample_rate * batches_room.count(rows)))

    everywhere(patch, "poisson", poisson)


def the_rate_is_one_over_the_length_of_the_loader(patch: Patch) -> None:
    """As Opacus reads it off a loader of the expected batch."""
    expected = 25

    def poisson(rows: Any, sample_rate: float) -> Any:
        users = batches_room.count(rows)
        return lambda: batches_room.poisson_sample(users, 1 / math.ceil(users / expected))

    everywhere(patch, "poisson", poisson)


def sampler(patch: Patch, sample: Callable[[np.random.Generator, Any, float], Any]) -> None:
    def poisson(rows: Any, sample_rate: float) -> Any:
        drawn = np.random.default_rng()
        return lambda: sample(drawn, rows, sample_rate)

    everywhere(patch, "poisson", poisson)


def batches_have_a_fixed_size(patch: Patch) -> None:
    sampler(
        patch,
        lambda drawn, rows, rate: drawn.choice(rows.shape[0], size=round(rate * rows.shape[0]), replace=False),
    )


def active_users_are_sampled_more_often(patch: Patch) -> None:
    def weighted(drawn: np.random.Generator, rows: Any, rate: float) -> Any:
        weight = rows[:, 1] / rows[:, 1].mean()
        return np.flatnonzero(drawn.random(rows.shape[0]) < np.minimum(rate * weight, 1))

    sampler(patch, weighted)


def every_batch_is_used_twice(patch: Patch) -> None:
    def poisson(rows: Any, sample_rate: float) -> Any:
        users = batches_room.count(rows)
        twice = (one for _ in itertools.count() for one in [batches_room.poisson_sample(users, sample_rate)] * 2)
        return lambda: next(twice)

    everywhere(patch, "poisson", poisson)


class _Loop(fit_room._Loop):
    def stop(self) -> None:
        self.trainer.should_stop = True


def training_stops_early_by_the_private_loss(patch: Patch) -> None:
    class Impatient(_Loop):
        def training_step(self, batch: Any) -> None:
            super().training_step(batch)
            if self.losses[-1] > 1000:  # it diverges, as somebody has seen in the rows
                self.stop()

    patch.setattr(fit_room, "_Loop", Impatient)


def noise_is_drawn_before_its_intent(patch: Patch) -> None:
    class Late(_Loop):
        def training_step(self, batch: Any) -> None:
            intend, self._intend = self._intend, lambda steps: None
            super().training_step(batch)
            self._intend = intend
            try:
                intend(1)
            except BudgetExhausted:
                self.stop()

    patch.setattr(fit_room, "_Loop", Late)


def redone_steps_are_not_intended(patch: Patch) -> None:
    """A resumed training takes the steps between its checkpoint and its end for paid."""
    real = fit_room.fit

    def fit(*args: Any, **options: Any) -> Any:
        folder, intend = options["checkpoints"], options["intend"]
        redone = itertools.count() if (folder / "checkpoint.pt").exists() else itertools.repeat(10**6)
        options["intend"] = lambda steps: intend(steps) if next(redone) >= 2 else None
        return real(*args, **options)

    patch.setattr(fit_room, "fit", fit)


def loading(patch: Patch, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Exchange the rows on their way to the model by what `change` makes of all of them."""

    class Changed(batches_room.Batches):
        def __init__(self, rows: Any, sample: Any, steps: int, **options: Any) -> None:
            dense = np.nan_to_num(np.asarray(rows, dtype=np.float64), posinf=0.0, neginf=0.0)
            super().__init__(change(dense).astype(np.float32), sample, steps, **options)

    patch.setattr(fit_room, "Batches", Changed)


def columns_are_scaled_by_private_statistics(patch: Patch) -> None:
    loading(patch, lambda rows: rows / (rows.std(axis=0) + 1e-3) if len(rows) else rows)


def the_vocabulary_is_learnt_from_private_rows(patch: Patch) -> None:
    """Columns that too few users touch go. (Nine is what some of the toy's have.)"""
    loading(patch, lambda rows: rows * ((rows > 0).sum(axis=0) > 9))
