"""The items nearest in meaning: exactly, or by an approximate index (HNSW, Malkov and Yashunin 2020) where many.

The index holds vectors in eight bits a number; what it finds, more than is asked for, is ordered again by the vectors
themselves.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from components.language.encoder import Vectors

_CONNECTIVITY, _EFFORT_ADD = 24, 128
_MORE = 2  # times what is asked for is ordered again


class Nearest:
    """Vectors of norm 1, to be searched by cosine.

    Args:
        vectors: (items, size), single or half precision.
        index: what `made` returned for them; None searches all of them.
        effort: candidates that the index keeps while it searches: more finds more and takes longer.
    """

    def __init__(
        self, vectors: npt.NDArray[np.floating[Any]], index: npt.NDArray[np.uint8] | None = None, *, effort: int = 800
    ) -> None:
        self.vectors = vectors
        self._index: Any = None
        if index is not None:
            from usearch.index import Index

            self._index = Index.restore(index.tobytes())
            self._index.expansion_search = effort

    @cached_property
    def _whole(self) -> Vectors:
        return np.asarray(self.vectors, dtype=np.float32)

    def cosines(self, vector: Vectors) -> Vectors:
        """Return the cosine of every item to `vector`, `(items,)`."""
        return np.asarray(self._whole @ vector)

    def search(self, vector: Vectors, most: int) -> tuple[npt.NDArray[np.int64], Vectors]:
        """Return the places and cosines of the nearest `most` items, nearest first."""
        if self._index is None:
            cosines = self.cosines(vector)
            places = np.arange(len(cosines))
            if most < len(cosines):
                border = np.partition(cosines, len(cosines) - most)[len(cosines) - most]
                places = np.flatnonzero(cosines >= border)
            cosines = cosines[places]
        else:
            found = self._index.search(_eight_bits(vector), _MORE * most)
            places = np.asarray(found.keys, dtype=np.int64)
            cosines = np.asarray(self.vectors[places], dtype=np.float32) @ vector
        order = np.lexsort((places, -cosines))[:most]
        return places[order], cosines[order]


def made(vectors: npt.NDArray[np.floating[Any]], *, threads: int = 0) -> npt.NDArray[np.uint8]:
    """Return the index over `vectors` (items, size) of norm 1, as bytes that `Nearest` reads; 0 threads are all."""
    from usearch.index import Index

    index = Index(
        ndim=vectors.shape[1], metric="cos", dtype="i8", connectivity=_CONNECTIVITY, expansion_add=_EFFORT_ADD
    )
    for start in range(0, len(vectors), 1 << 16):
        part = vectors[start : start + (1 << 16)]
        index.add(np.arange(start, start + len(part)), _eight_bits(part), threads=threads)
    return np.frombuffer(bytes(index.save() or b""), dtype=np.uint8)


def _eight_bits(vectors: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int8]:
    """Return vectors in eight bits; a coordinate of norm-1 vectors of hundreds of numbers is far below 1, so that each
    is scaled by its own largest, which leaves its direction.
    """
    whole = np.asarray(vectors, dtype=np.float32)
    largest = np.abs(whole).max(axis=-1, keepdims=True)
    return np.asarray(np.rint(whole / np.maximum(largest, 1e-12) * 127), dtype=np.int8)
