"""Cells of a user's histogram: what `Histogram.of` returns, from impressions or messages.

Each user's impressions are averaged, so that everyone weighs the same and a line's L1 and L2 norm are at most 1. What
these functions return is as private as what they read. Figures are computed from the mean over users, by
`score_figures` and `confusion_figures`, which are post-processing; they stand in other modules so that a change there
is no new release.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from components.core.errors import ContractBroken

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.integer[Any]]


def even_edges(bins: int) -> Floats:
    """Return the `bins − 1` inner edges of bins of equal width on [0, 1]."""
    return np.linspace(0, 1, bins + 1)[1:-1]


def log_odds_edges(bins: int, lowest: float = 1e-3, highest: float = 0.5) -> Floats:
    """Return the `bins − 1` inner edges, even in log odds from `lowest` to `highest`: for rare labels, like clicks."""
    first, last = np.log(lowest / (1 - lowest)), np.log(highest / (1 - highest))
    return np.asarray(1 / (1 + np.exp(-np.linspace(first, last, bins - 1))))


def bin_of(scores: Any, edges: Floats) -> npt.NDArray[np.int64]:
    """Return the bin of each score, from 0: a score at an edge is above it, and what is no number is below all."""
    found = np.searchsorted(edges, np.asarray(scores, dtype=np.float64), side="right")
    return np.asarray(np.where(np.isnan(scores), 0, found), dtype=np.int64)


def score_cells(scores: Any, labels: Any, owners: Integers, users: int, edges: Floats) -> Floats:
    """Return `(users, 2 · bins)`: of each user, the shares of impressions by label, then bin; 0 for one without any.

    Args:
        scores: one an impression, probabilities in [0, 1].
        labels: one an impression, 0 or 1 (or False and True).
        owners: whose impression it is, from 0 to `users − 1`.
        users: how many there are, those without impressions included.
        edges: inner edges of the bins.
    """
    bins = len(edges) + 1
    return _shares(np.asarray(labels, dtype=bool) * bins + bin_of(scores, edges), owners, users, 2 * bins)


def confusion_cells(true: Integers, predicted: Integers, owners: Integers, users: int, classes: int) -> Floats:
    """Return `(users, classes²)`: of each user, the shares of messages by true class, then predicted class.

    Raises:
        ContractBroken: a class is not one of 0 to `classes − 1`.
    """
    for of in (true, predicted):
        if len(of) and not 0 <= np.min(of) <= np.max(of) < classes:
            raise ContractBroken(
                "A class is none of the declared ones", limit=f"0 to {classes - 1}", next_step="Map it to one of them."
            )
    return _shares(np.asarray(true, dtype=np.int64) * classes + predicted, owners, users, classes * classes)


def _shares(places: Integers, owners: Integers, users: int, size: int) -> Floats:
    if len({len(places), len(owners)}) > 1 or (len(owners) and not 0 <= np.min(owners) <= np.max(owners) < users):
        raise ContractBroken(
            "Impressions and their owners do not fit together",
            limit="one owner for each, a line of the rows",
            next_step="Number the rows' users in their order.",
        )
    counts = np.bincount(np.asarray(owners, dtype=np.int64) * size + places, minlength=users * size)
    counted = counts.reshape(users, size)
    return np.asarray(counted / np.maximum(counted.sum(axis=1, keepdims=True), 1))
