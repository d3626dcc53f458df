"""Mechanisms that were tried for `recommend`, under one protocol; bench/retention.py compares them.

Each takes the training rows, the Gaussian-DP μ that it may spend in all, and a folder for its bundles, and returns a
function from histories to scores. Those of the service are run as the service runs them; the others are here: where
they were measured, they win nowhere beyond an interval (docs/decisions/0017-kernel-prior.md says how far each was).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from components.services.recommend.data import Rows
from components.services.recommend.scoring import Scorer

from . import eigen, ours, taxonomy

Mechanism = Callable[[Rows, float, Path], Scorer]

MECHANISMS: dict[str, Mechanism] = {
    "popularity": ours.popularity,
    "gram": ours.gram,
    "kernel": partial(ours.gram, spread=1e-6),
    "autoencoder": ours.autoencoder,
    "eigenvalues": eigen.one_shot,
    "dpals": eigen.alternating,
    "subclasses": taxonomy.alone,
    "both": taxonomy.with_items,
}
LABELS = {
    "popularity": "DP popularity",
    "gram": "Gram matrix, kernel prior (shipped)",
    "kernel": "kernel prior alone",
    "autoencoder": "DP-SGD autoencoder",
    "eigenvalues": "Gram matrix, eigenvalues shrunk",
    "dpals": "DPALS from its eigenvectors",
    "subclasses": "Gram matrix of subclasses",
    "both": "subclasses and items in one release",
}
