"""Is randomness what a plan declares: noise of its scale and shape, never used twice, users sampled independently?

Each check takes what was drawn and returns the faults that it found. All are tests of an exact or asymptotic
distribution at a stated chance of a false alarm, which is divided among the tests of one call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Vector = NDArray[np.float64]

FALSE_ALARM = 1e-7
"""Chance with which one call of a check finds a fault in what is as declared."""

_FEWEST = 16
"""Entries below which shape and correlation cannot be told."""


@dataclass(frozen=True)
class Fault:
    """One way in which what was measured is not what was declared."""

    check: str
    """Which check found it: `noise`, `freshness`, `sampling`, `sensitivity`, `intent`, `answers` or `leak`."""
    value: str
    limit: str

    def __str__(self) -> str:
        return f"{self.check}: {self.value}, declared {self.limit}"


def noise_faults(noise: Sequence[Vector], sigmas: Sequence[float]) -> list[Fault]:
    """Check that each vector of `noise` is Gaussian with its standard deviation, and that none resembles another.

    The scale is judged by χ² of all entries together, so a few hundred of them tell a σ that is off by a third; the
    shape by Kolmogorov and Smirnov's test; freshness by the correlation of every two vectors of one length, and of the
    two halves of each.
    """
    if any(not np.isfinite(vector).all() for vector in noise):
        return [Fault("noise", "noise that is not finite", "finite")]
    unit = [np.ravel(vector) / sigma for vector, sigma in zip(noise, sigmas, strict=True)]
    entries = np.concatenate(unit) if unit else np.empty(0)
    if not len(entries):
        return [Fault("noise", "no noise was drawn", "noise for every answer")]
    pairs = [*_halves(unit), *combinations(unit, 2)]
    pairs = [(a, b) for a, b in pairs if len(a) == len(b) >= _FEWEST]
    allowed = FALSE_ALARM / (2 + len(pairs))
    found = []
    squares = float(np.sum(entries**2))
    if _two_sided(stats.chi2(len(entries)), squares) < allowed:
        scale = np.sqrt(squares / len(entries))
        found.append(Fault("noise", f"{scale:.3g} of the standard deviation", "1 within sampling error"))
    elif len(entries) >= _FEWEST and stats.kstest(entries, "norm").pvalue < allowed:
        found.append(Fault("noise", "another shape", "Gaussian"))
    likeness = [_correlation(a, b) for a, b in pairs]
    if any(p_value < allowed for _, p_value in likeness):
        worst = max(abs(value) for value, _ in likeness)
        found.append(Fault("freshness", f"two draws correlate by {worst:.3g}", "independent draws"))
    return found


def poisson_faults(samples: Sequence[NDArray[Any]], users: int, sample_rate: float) -> list[Fault]:
    """Check that every one of `users` entered every sample on its own, with `sample_rate`.

    Judged are the number of inclusions (exactly binomial), the spread of the samples' sizes (slices of a permutation
    have none), the spread of how often each user enters (passes over the data have next to none), and how many users
    two consecutive samples share (batches that are used twice share all). The spreads are asymptotic: take samples of
    about ten users or more, and a hundred of them.

    Args:
        samples: indices of users, one array a step.
        users: how many there are.
        sample_rate: q as declared, below 1.
    """
    matrix = np.zeros((len(samples), users), dtype=np.int64)
    for row, sample in zip(matrix, samples, strict=True):
        chosen = np.asarray(sample, dtype=np.int64)
        if len(np.unique(chosen)) < len(chosen) or (len(chosen) and not (0 <= chosen.min() <= chosen.max() < users)):
            return [Fault("sampling", "a user entered a sample twice, or is unknown", "each at most once")]
        row[chosen] = 1
    steps, allowed = len(samples), FALSE_ALARM / 4
    variance = sample_rate * (1 - sample_rate)
    inclusions = int(matrix.sum())
    found = []
    if _two_sided(stats.binom(steps * users, sample_rate), inclusions) < allowed:
        found.append(Fault("sampling", f"a rate of {inclusions / (steps * users):.4g}", f"{sample_rate:.4g}"))
    sizes = np.sum((matrix.sum(axis=1) - users * sample_rate) ** 2) / (users * variance)
    if _two_sided(stats.chi2(steps), float(sizes)) < allowed:
        found.append(Fault("sampling", f"{sizes / steps:.3g} of the variance of batch sizes", "1"))
    entered = np.sum((matrix.sum(axis=0) - steps * sample_rate) ** 2) / (steps * variance)
    if _two_sided(stats.chi2(users), float(entered)) < allowed:
        found.append(Fault("sampling", f"{entered / users:.3g} of the variance of how often a user enters", "1"))
    shared = float(np.sum(matrix[1:] * matrix[:-1]))
    square, cube, fourth = sample_rate**2, sample_rate**3, sample_rate**4
    spread = users * ((steps - 1) * (square - fourth) + 2 * max(steps - 2, 0) * (cube - fourth))
    expected = users * (steps - 1) * square
    if spread > 0 and _two_sided(stats.norm(expected, np.sqrt(spread)), shared) < allowed:
        found.append(Fault("sampling", f"consecutive samples share {shared:.0f} users", f"{expected:.0f}"))
    return found


def _halves(vectors: Sequence[Vector]) -> list[tuple[Vector, Vector]]:
    return [(vector[: len(vector) // 2], vector[len(vector) // 2 :][: len(vector) // 2]) for vector in vectors]


def _correlation(a: Vector, b: Vector) -> tuple[float, float]:
    """Return the correlation of two vectors and its p-value; equal constants are as alike as can be."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 1.0, 0.0
    found = stats.pearsonr(a, b)
    return float(found.statistic), float(found.pvalue)


def _two_sided(distribution: Any, value: float) -> float:
    return 2 * min(float(distribution.cdf(value)), float(distribution.sf(np.nextafter(value, -np.inf))))
