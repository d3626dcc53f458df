"""The smaller form of a ranker of ads, and simulated people on whom it is compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import sparse

from components.core.service import Smaller
from components.services import bundles
from components.services.ads.bundle import Bundle, read_bundle
from components.services.ads.data import AD, BEFORE, CLICKED, HOUR, POSITION, SLOTS, Floats, Matrix, Rows
from components.services.ads.features import POSITIONS
from components.services.ads.forward import probabilities

USERS, IMPRESSIONS, LOOKS = 4000, 8, 12
_FAITHFUL = 0.7
"""How much of what somebody looks at is of one department."""


def simulated(folder: Path, seed: int) -> Rows:
    """Return people who look mostly at one department, are shown ads at random, and click as the bundle says."""
    bundle, drawn = read_bundle(folder), np.random.default_rng(seed)
    looks = _looks(bundle, drawn, min(LOOKS, bundle.config.looks))
    cells = np.zeros((USERS, IMPRESSIONS, SLOTS))
    shape = cells.shape[:2]
    cells[..., AD] = drawn.integers(1, len(bundle.catalogue) + 1, shape)
    cells[..., POSITION] = drawn.integers(0, POSITIONS, shape)
    cells[..., HOUR] = drawn.integers(1, 169, shape)
    cells[..., BEFORE] = drawn.integers(0, looks.shape[1] + 1, shape)
    _, _, likely = probabilities(bundle, _rows(bundle, cells, looks))
    cells[..., CLICKED] = drawn.random(shape) < likely.reshape(shape)
    return _rows(bundle, cells, looks)


def _looks(bundle: Bundle, drawn: np.random.Generator, many: int) -> Floats:
    """Return numbers from 1 of items, `(users, many)`, each once."""
    catalogue = bundle.catalogue
    top = catalogue.top_of_leaf[catalogue.leaves_of_items]
    favoured = drawn.choice(np.unique(top), USERS)
    weight = np.where(top == favoured[:, None], _FAITHFUL, 1 - _FAITHFUL)
    luck = drawn.exponential(size=weight.shape) / weight
    many = min(many, luck.shape[1])
    return np.argsort(luck, axis=1)[:, :many] + 1.0


def _rows(bundle: Bundle, cells: Floats, looks: Floats) -> Rows:
    dense = np.concatenate([cells.reshape(USERS, -1), looks], axis=1).astype(np.float32)
    return Rows(_sorted(sparse.csr_array(dense)), bundle.catalogue, IMPRESSIONS)


def _sorted(matrix: Matrix) -> Matrix:
    matrix.sort_indices()
    return matrix


SMALLER = Smaller(ways={"int8": bundles.as_int8}, simulated=simulated)
