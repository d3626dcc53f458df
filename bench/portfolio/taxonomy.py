"""Mechanisms that learn tastes for the narrowest categories, and spread them within by popularity."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from components.privacy.mechanisms import noised_sum
from components.services.recommend import gram
from components.services.recommend.bundle import Bundle, Config
from components.services.recommend.columns import partition
from components.services.recommend.data import Rows
from components.services.recommend.kinship import kinds
from components.services.recommend.lifts import denoised
from components.services.recommend.params import GramParams
from components.services.recommend.scoring import Scorer

from . import ours

_ITEMS = 0.7
"""Share of μ² that the items' matrix gets beside the categories' (of 0.3, 0.5, 0.7 and 0.9 the best)."""


def alone(train: Rows, mu: float, scratch: Path) -> Scorer:
    """Return the Gram matrix whose columns are the narrowest categories."""
    return ours.gram(train, mu, scratch, columns=_categories(train))


def with_items(train: Rows, mu: float, scratch: Path) -> Scorer:
    """Return both matrices as one Gaussian release, √share times each, so that a user has norm 1: the items' lifts are
    shrunk, entry by entry, towards those of their categories.
    """
    share = ours.starts(train, mu)
    _, known = ours.floor(train, mu * math.sqrt(share), scratch)
    popularity = known.popularity.astype(np.float64)
    columns = partition(train.catalogue, popularity, limit=_categories(train), enough=1)
    exact = [gram.statistic(columns.count(train.matrix)), gram.statistic(train.matrix)]
    shares = np.sqrt([1 - _ITEMS, _ITEMS])
    vectors = [share * gram.as_vector(matrix) for share, matrix in zip(shares, exact, strict=True)]
    sigma = 1 / (mu * math.sqrt(1 - share))
    released = np.split(noised_sum(np.concatenate(vectors), 1.0, sigma), [len(vectors[0])])
    wide, narrow = (
        gram.as_matrix(vector / share, len(matrix))
        for vector, share, matrix in zip(released, shares, exact, strict=True)
    )
    params, above = GramParams(), columns.total(popularity)
    of_categories = denoised(wide, sigma / shares[0], above, kinds(train.catalogue, columns), spread=params.spread)
    lifts = (of_categories / np.outer(above, above))[np.ix_(columns.of_item, columns.of_item)]
    expected = np.outer(popularity, popularity) * lifts
    np.fill_diagonal(expected, 0)
    trust = (params.spread * expected) ** 2
    trust /= trust + (sigma / shares[1]) ** 2 / 2
    clean = np.maximum(expected + trust * (narrow - expected), 0.02 * expected)
    weights = gram.regression(clean, popularity, params)
    np.fill_diagonal(weights, 0)
    column = np.arange(len(popularity), dtype=np.int32)
    arrays = {"popularity": known.arrays["popularity"], "column": column, "weights": weights}
    return ours.scorer(Bundle(Config(kind="gram", blend=params.blend), arrays, train.catalogue))


def _categories(train: Rows) -> int:
    return len(set(train.catalogue.categories))
