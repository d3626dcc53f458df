"""Curves that are known: what is kept grows with users · ε along a logistic, with a little luck of each training."""

from __future__ import annotations

import itertools
import math

import numpy as np

from components.evaluation.curves import FLOOR, Curves, Point

USERS, ITEMS, EPSILONS = (1_000, 4_000, 16_000, 64_000), (500, 5_000), (0.5, 1.0, 2.0, 4.0, 10.0)
NOISE = 0.01


def truth(users: float, items: float, epsilon: float, shift: float = 0.0) -> float:
    """The share that is kept, without a training's own luck."""
    return 1 / (1 + math.exp(-(0.6 * math.log(users * epsilon) - 0.2 * math.log(items) - 3 + shift)))


def points(source: str = "corner-shop", shift: float = 0.0, runs: int = 4, seed: int = 0) -> list[Point]:
    """Trainings of the floor and of one candidate over the whole grid."""
    luck, found = np.random.default_rng(seed), []
    for users, items, epsilon, run in itertools.product(USERS, ITEMS, EPSILONS, range(runs)):
        middle = truth(users, items, epsilon, shift)
        for candidate, kept in ((FLOOR, min(0.4, middle)), ("gram", middle + NOISE * luck.normal())):
            found.append(Point(source, candidate, users, items, epsilon, run, kept / 5, max(kept, 0.0)))
    return found


def curves() -> Curves:
    """Two data sets, one of which keeps more everywhere."""
    return Curves([*points(), *points("department-store", shift=0.5, seed=1)])
