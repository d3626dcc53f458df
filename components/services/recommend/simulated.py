"""Simulated people of a recommender, drawn from what a released bundle says: public like the bundle, and nobody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import sparse

from components.services.recommend.bundle import read_bundle
from components.services.recommend.data import Rows
from components.services.recommend.scoring import scores

USERS, ITEMS = 10_000, 8
_AT_ONCE, _BATCH = 2, 512


def simulated(folder: Path, seed: int, users: int = USERS) -> Rows:
    """Return people who take what the bundle says that they are likely to take.

    Each takes two items by popularity, then two by the shares that the bundle gives to what comes next, and so on: what
    it has learnt is in their rows, and a form that has lost some of it finds less of them.
    """
    bundle, drawn = read_bundle(folder), np.random.default_rng(seed)
    items = len(bundle.catalogue)
    parts = []
    for start in range(0, users, _BATCH):
        history = sparse.csr_array((min(_BATCH, users - start), items), dtype=np.float32)
        for _ in range(ITEMS // _AT_ONCE):
            share = np.maximum(scores(bundle, history), 0)
            luck = drawn.exponential(size=share.shape).astype(np.float32)
            taken = np.argpartition(-(share / luck), _AT_ONCE, axis=1)[:, :_AT_ONCE]  # without putting back
            row = np.repeat(np.arange(history.shape[0]), _AT_ONCE)
            new = (np.ones(len(row), dtype=np.float32), (row, taken.ravel()))
            history = (history + sparse.csr_array(new, shape=history.shape)).astype(bool).astype(np.float32)
            history = sparse.csr_array(history)
        parts.append(history)
    matrix = sparse.csr_array(sparse.vstack(parts))
    matrix.sort_indices()
    return Rows(matrix, bundle.catalogue)
