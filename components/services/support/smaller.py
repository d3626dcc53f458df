"""The smaller form of a support service, and simulated people on whom it is compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from components.core.service import Smaller
from components.language.encoder import SIZE
from components.services import bundles
from components.services.support.bundle import read_bundle
from components.services.support.data import Rows

USERS, MESSAGES = 3000, 2
_DEPARTING = 0.6
"""Norm of what a message has of its own, beside a way of up to the half between two public texts."""


def simulated(folder: Path, seed: int) -> Rows:
    """Return people who write what lies, as a vector, about the texts of the bundle: descriptions of intents and
    passages of policies. What a message is about is drawn by the bundle's own probabilities. No text is made.
    """
    bundle, drawn = read_bundle(folder), np.random.default_rng(seed)
    names, count = bundle.config.names, USERS * MESSAGES
    texts = np.concatenate([bundle.arrays["described"][:-1], bundle.arrays["passages"]]).astype(np.float64)
    one, other = (texts[drawn.integers(len(texts), size=count)] for _ in range(2))
    way, own = drawn.random((count, 1)) / 2, drawn.standard_normal((count, SIZE)) * _DEPARTING / np.sqrt(SIZE)
    vectors = one * (1 - way) + other * way + own
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    likely = bundle.probabilities(vectors).cumsum(axis=1)
    intents = (likely < drawn.random((count, 1))).sum(axis=1).clip(max=len(names) - 1)
    known = {f"message {number}": vector for number, vector in enumerate(vectors)}
    return Rows(USERS, np.arange(count) // MESSAGES, tuple(known), intents, names, MESSAGES, known)


SMALLER = Smaller(ways={"int8": bundles.as_int8}, simulated=simulated)
