"""Free post-processing of a noisy co-occurrence matrix: what is noise, judged by σ, gives way to what is public.

A pair of columns is expected to meet as often as their popularity says, times a lift. Pairs of one kind of kin (see
`kinship`) have lifts that are alike, the more so if they are about as popular; each pair's own is shrunk towards
theirs, as far as its noise demands. This is an empirical Bayes estimate (Morris 1983), whose prior is a kernel of
public similarity with a height for each kind that the released matrix itself tells: a kind has so many pairs that
little noise is left in their sum, whatever ε. All of it reads the released matrix, the floor and the catalogue alone.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.services.recommend.columns import Floats, Labels

LEAST_LIFT = 0.02
"""No pair is believed to be rarer than this part of what its prior expects."""

_KIND_SPREAD = 3.0
"""Relative standard deviation of the lifts of kinds around 1: kin are far more alike than others."""
_RANK_SPREAD = 0.5
"""The same, of a kind's lift at one popularity around the kind's."""
_RANKS = (0.5, 0.8, 0.95)
"""Shares of the columns at which one band of popularity ends and the next begins."""


def denoised(
    gram: Floats,
    sigma: float,
    popularity: Floats,
    kinds: Labels,
    *,
    spread: float,
    alone: npt.NDArray[np.bool_] | None = None,
) -> Floats:
    """Return the estimate of the un-noised matrix: `(columns, columns)`, symmetric, not negative.

    Args:
        gram: symmetric, with Gaussian noise of deviation `sigma` on the diagonal and σ/√2 off it.
        sigma: see above; public.
        popularity: `(columns,)` shares of popularity, positive, sum 1.
        kinds: `(columns, columns)` labels of public kinship, symmetric, the diagonal's its own.
        spread: relative standard deviation of a lift around its prior's.
        alone: `(columns,)` which columns are one item: none of them meets itself, so their diagonal is zero.
    """
    columns = len(gram)
    # The sum of all entries has noise of deviation σ · columns; only what exceeds it is surely signal.
    total = max(float(gram.sum()) - 3 * sigma * columns, 1.0)
    variance = np.full(gram.shape, sigma**2 / 2)
    variance[np.diag_indices(columns)] = sigma**2
    estimate = np.outer(popularity, popularity) * total
    if alone is not None:
        known = np.flatnonzero(alone)
        gram = gram.copy()
        for matrix in (gram, variance, estimate):
            matrix[known, known] = 0
    ranks = _ranks(popularity)
    for groups, width in ((kinds, _KIND_SPREAD), (kinds * (ranks.max() + 1) + ranks, _RANK_SPREAD)):
        flat = groups.ravel()
        seen, expected, noise = (
            np.bincount(flat, matrix.ravel()).astype(float) for matrix in (gram, estimate, variance)
        )
        # Each pair off the diagonal is in the sum twice, with the same noise.
        estimate *= _shrunk(seen, expected, 2 * noise, width)[groups]
    estimate *= _shrunk(gram, estimate, variance, spread)
    return estimate


def _ranks(popularity: Floats) -> Labels:
    """Return one label for each unordered pair of bands of popularity: `(columns, columns)`."""
    order = np.argsort(np.argsort(popularity, kind="stable"), kind="stable")
    band = np.digitize(order, [share * len(popularity) for share in _RANKS])
    least, most = np.minimum(band[:, None], band[None, :]), np.maximum(band[:, None], band[None, :])
    return np.asarray(least * (len(_RANKS) + 1) + most)


def _shrunk(seen: Floats, expected: Floats, variance: Floats, spread: float) -> Floats:
    """Return lifts `seen ÷ expected`, shrunk to 1 as far as the noise in `seen` outweighs what lifts may differ."""
    tiny = np.finfo(float).tiny
    trust = (spread * expected) ** 2 / ((spread * expected) ** 2 + variance + tiny)
    return np.maximum(1 + trust * (seen / np.maximum(expected, tiny) - 1), LEAST_LIFT)
