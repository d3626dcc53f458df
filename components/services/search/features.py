"""What the re-ranker sees of a candidate: how it fits the query, and the user's own history.

All of it comes from the query, the history and the released bundle; nothing of anybody else.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from components.services.search.bundle import Bundle
from components.services.search.data import Rows
from components.services.search.params import FusionParams
from components.services.search.retrieval import Candidates, Retrieval

NAMES = (
    *("words", "meaning", "popular"),
    *("item", "category", "department", "brand", "line", "near"),
)
"""What each column is: the first three of the query, as the floor sums them up, the others of the history."""
OF_QUERY, OF_HISTORY = slice(3), slice(3, None)
SIZE = len(NAMES)

_PRIOR, _LEAST_SHARE = 300.0, 0.1

Floats = npt.NDArray[np.float32]


class Kinds:
    """Kinds of items, as numbers `(kinds, items)`: the item itself, category, department, brand, and brand in a
    category; and the released popularity of each item's kind, `(kinds, items)`.
    """

    def __init__(self, bundle: Bundle) -> None:
        catalogue = bundle.catalogue
        departments = [category.partition("/")[0] for category in catalogue.categories]
        lines = list(zip(catalogue.categories, catalogue.brands, strict=True))
        labels = (catalogue.items, catalogue.categories, departments, catalogue.brands, lines)
        self.of = np.stack([_numbered(kind) for kind in labels])
        popularity = np.maximum(bundle.arrays["popularity"].astype(np.float64), _LEAST_SHARE / len(catalogue))
        self.shares = np.stack([np.bincount(kind + 1, weights=popularity)[kind + 1] for kind in self.of])


def features(bundle: Bundle, kinds: Kinds, found: Candidates, history: Sequence[int]) -> Floats:
    """Return `(found, SIZE)`.

    A kind that the history has `count` times counts log₂(1 + count ÷ (300 · its share of popularity)): by how many
    doublings its share of what the user takes exceeds popularity's, under a Dirichlet prior worth 300 events.

    Args:
        bundle, kinds: the engine, and its catalogue's kinds.
        found: the candidates of the query.
        history: places of items in the bundle's catalogue.
    """
    answer = np.zeros((len(found), SIZE), dtype=np.float32)
    if not len(found):
        return answer
    answer[:, 0], answer[:, 1], answer[:, 2] = found.words, found.meaning, found.popular
    if not history:
        return answer
    mine, those = np.asarray(history, dtype=np.int64), kinds.of[:, found.items]
    counts = (those[:, :, None] == kinds.of[:, mine][:, None, :]).sum(axis=2) * (those >= 0)
    answer[:, 3:8] = np.log2(1 + counts / (_PRIOR * kinds.shares[:, found.items])).T
    if "vectors" in bundle.arrays:
        vectors = bundle.arrays["vectors"]
        mean = vectors[mine].astype(np.float32).mean(axis=0)
        answer[:, 8] = vectors[found.items].astype(np.float32) @ mean
    return answer


def start(fusion: FusionParams) -> Floats:
    """Return the weights that order as the floor does, `(SIZE,)`: none for the history."""
    weights = np.zeros(SIZE, dtype=np.float32)
    weights[OF_QUERY] = fusion.words, fusion.meaning, 1.0
    return weights


def places(rows: Rows, bundle: Bundle) -> npt.NDArray[np.int64]:
    """Return where each item of the rows' catalogue is in the bundle's, −1 where it is not."""
    if rows.catalogue.items == bundle.catalogue.items:
        return np.arange(len(rows.catalogue))
    return np.array([bundle.catalogue.position.get(item, -1) for item in rows.catalogue.items], dtype=np.int64)


def found_by_query(rows: Rows, engine: Retrieval) -> dict[str, Candidates]:
    """Return what each query of the rows finds, each once."""
    queries = sorted({search.query for searches in rows.users for search in searches})
    engine.encode(queries, rows.encoded)
    return {query: engine.candidates(query, rows.encoded) for query in queries}


def _numbered(labels: Sequence[object]) -> npt.NDArray[np.int64]:
    numbers: dict[object, int] = {}
    empty = ("", ("", ""))
    return np.array([-1 if label in empty else numbers.setdefault(label, len(numbers)) for label in labels])
