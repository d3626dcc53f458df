"""A small synthetic shop: three kinds of taste, each for one of three categories."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from scipy import sparse

from components.services.recommend.bundle import Bundle, Config
from components.services.recommend.data import Catalogue, Matrix

KINDS, ITEMS = 3, 30


def catalogue() -> Catalogue:
    """Return 30 items in 3 wide and 6 narrow categories."""
    numbers = range(ITEMS)
    return Catalogue(
        pa.table(
            {
                "item": [f"item-{number:02d}" for number in numbers],
                "title": [f"Item {number}" for number in numbers],
                "category": [f"kind-{number % KINDS}/shelf-{number % 6}" for number in numbers],
            }
        )
    )


def tastes(users: int, seed: int = 1) -> Matrix:
    """Return rows of 6 items each, five out of six from the user's own kind."""
    drawn = np.random.default_rng(seed)
    weights = np.where(np.arange(ITEMS) % KINDS == np.arange(users)[:, None] % KINDS, 10.0, 1.0)
    keys = drawn.exponential(size=(users, ITEMS)) / weights
    chosen = np.argsort(keys, axis=1)[:, :6]
    ones = (np.ones(users * 6, dtype=np.float32), (np.repeat(np.arange(users), 6), chosen.ravel()))
    return sparse.csr_array(ones, shape=(users, ITEMS))


def floor(popularity: np.ndarray | None = None) -> Bundle:
    """Return a popularity bundle; item-00 is the most popular where nothing else is said."""
    shares = np.arange(ITEMS, 0, -1, dtype=np.float32) if popularity is None else popularity
    return Bundle(Config(kind="popularity"), {"popularity": (shares / shares.sum()).astype(np.float32)}, catalogue())
