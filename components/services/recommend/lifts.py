"""Free post-processing of a noisy co-occurrence matrix: what is noise, judged by σ, gives way to the taxonomy.

A pair of columns is expected to meet as often as their popularity says, times a lift. Lifts are alike within
categories, so each is shrunk towards that of the categories above it, as far as its own noise demands: an empirical
Bayes estimate down the tree. All of it reads the released matrix, the floor and public categories alone.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.services.recommend.columns import Floats, Labels

LEAST_LIFT = 0.02
"""No pair is believed to be rarer than this part of what popularity expects."""

_KINSHIP_SPREAD = 3.0
"""The same as `spread` below, for the lift that all pairs of one kinship share: it is far wider."""


def denoised(gram: Floats, sigma: float, popularity: Floats, levels: tuple[Labels, ...], *, spread: float) -> Floats:
    """Return the estimate of the un-noised matrix: `(columns, columns)`, symmetric, positive.

    Args:
        gram: symmetric, with Gaussian noise of deviation `sigma` on the diagonal and σ/√2 off it.
        sigma: see above; public.
        popularity: `(columns,)` shares of popularity, positive, sum 1.
        levels: `Columns.levels`.
        spread: relative standard deviation of a lift around its parent's.
    """
    # The sum of all entries has noise of deviation σ · columns; only what exceeds it is surely signal.
    total = max(float(gram.sum()) - 3 * sigma * len(gram), 1.0)
    estimate = np.outer(popularity, popularity) * total
    estimate *= _by_kinship(gram, estimate, sigma, levels)
    for labels in levels:
        size = np.bincount(labels)
        variance = np.outer(size, size) * (sigma**2 / 2)
        variance[np.diag_indices(len(size))] *= 2
        lift = _shrunk(_blocks(gram, labels), _blocks(estimate, labels), variance, spread)
        estimate *= lift[np.ix_(labels, labels)]
    return estimate


def _by_kinship(gram: Floats, expected: Floats, sigma: float, levels: tuple[Labels, ...]) -> Floats:
    """Return one lift for each depth of the narrowest category that two columns share: `(columns, columns)`.

    These are sums over so many cells that little noise is left in them, and kin are far more alike than others.
    """
    depth = np.zeros(gram.shape, dtype=np.int8)
    for labels in levels:
        depth += labels[:, None] == labels[None, :]
    cells = np.bincount(depth.ravel())
    seen, mean = (np.bincount(depth.ravel(), weights=matrix.ravel()) for matrix in (gram, expected))
    return _shrunk(seen, mean, cells * sigma**2, _KINSHIP_SPREAD)[depth]


def _shrunk(seen: Floats, expected: Floats, variance: Floats, spread: float) -> Floats:
    """Return lifts `seen ÷ expected`, shrunk to 1 as far as the noise in `seen` outweighs what lifts may differ."""
    tiny = np.finfo(float).tiny
    trust = (spread * expected) ** 2 / ((spread * expected) ** 2 + variance + tiny)
    return np.maximum(1 + trust * (seen / np.maximum(expected, tiny) - 1), LEAST_LIFT)


def _blocks(matrix: Floats, labels: Labels) -> npt.NDArray[np.float64]:
    """Return sums over blocks of equal labels: `(labels, labels)`."""
    if labels.max() + 1 == len(labels):
        return matrix
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(labels.max() + 1))
    rows = np.add.reduceat(matrix[order], starts, axis=0)
    return np.asarray(np.add.reduceat(rows[:, order], starts, axis=1))
