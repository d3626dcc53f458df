"""What a conformance test takes away from a mechanism or a bundle, to see what is left."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np

from components.privacy import mechanisms


@contextmanager
def noiseless() -> Iterator[list[tuple[np.ndarray, float]]]:
    """Turn the noise of one-shot mechanisms off, and yield the list of (sum, sensitivity) that they asked noise for."""
    sums: list[tuple[np.ndarray, float]] = []

    def keep(vector: np.ndarray, sensitivity: float, noise_multiplier: float) -> np.ndarray:
        sums.append((np.array(vector, dtype=np.float64), sensitivity))
        return sums[-1][0]

    with patch.object(mechanisms, "noised_sum", keep):
        yield sums


@contextmanager
def no_pickle() -> Iterator[None]:
    """Make any unpickling fail."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a bundle was unpickled")

    with (
        patch.object(pickle, "loads", refuse),
        patch.object(pickle, "load", refuse),
        patch.object(pickle, "Unpickler", refuse),
    ):
        yield
