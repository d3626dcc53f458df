"""Mistakes of a training on several devices, made in every process: a child finds its own by the environment."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import torch

from components.privacy import engine
from components.privacy.randomness import add_noise_
from components.training import batches as batches_room
from components.training import fit as fit_room
from tests.mutations.mistakes import Patch

_NAME = "JALI_TEST_MISTAKE"


def in_every_process(patch: Patch, mistake: Any) -> None:
    """Make a mistake here, and in processes that call `as_the_parent`."""
    mistake(patch)
    patch.setenv(_NAME, mistake.__name__)


def as_the_parent() -> None:
    """Make the mistake of the process that started this one, for good."""
    if name := os.environ.get(_NAME):
        getattr(import_module(__name__), name)(Patch())


def _adding(patch: Patch, noisy: Any) -> None:
    """Let the ranks for which `noisy(rank)` is true add noise."""

    def add_noise(self: Any) -> None:
        if noisy(torch.distributed.get_rank()):
            add_noise_(self.sums.buffers, self.noise_multiplier * self.max_grad_norm)
        for buffer in self.sums.buffers:
            buffer.mul_(1 / self.expected_batch_size)
            torch.distributed.all_reduce(buffer)
        self.sums.hand_over()

    patch.setattr(engine._NoisyOptimizer, "add_noise", add_noise)


def _every(patch: Patch) -> None:
    _adding(patch, lambda rank: True)


def _no(patch: Patch) -> None:
    _adding(patch, lambda rank: False)


def _all_users(patch: Patch) -> None:
    patch.setattr(fit_room, "_sample", lambda rows, plan, rank: batches_room.poisson(rows, plan.sample_rate))


def every_rank_adds_noise(patch: Patch) -> None:
    in_every_process(patch, _every)


def no_rank_adds_noise(patch: Patch) -> None:
    in_every_process(patch, _no)


def every_rank_samples_all_users(patch: Patch) -> None:
    """A user may be in a step once for each rank: with twice the clip, and at twice the rate."""
    in_every_process(patch, _all_users)
