"""What the re-ranker sees of a candidate: how it fits the query, and the user's own history.

All of it comes from the query, the history and the released bundle; nothing of anybody else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from components.services.search.bundle import Bundle
from components.services.search.data import Catalogue, Rows
from components.services.search.retrieval import Candidates, Retrieval

NAMES = (
    *("words", "meaning", "fused", "popular"),
    *("had", "category", "department", "brand", "line", "near"),
)
"""What each column is: the first four of the query, the others of the history."""
OF_HISTORY = slice(4, None)
SIZE = len(NAMES)
START = NAMES.index("popular")

Floats = npt.NDArray[np.float32]


class Kinds:
    """Kinds of items, as numbers `(kinds, items)`: category, department, brand, and brand in a category."""

    def __init__(self, catalogue: Catalogue) -> None:
        departments = [category.partition("/")[0] for category in catalogue.categories]
        lines = list(zip(catalogue.categories, catalogue.brands, strict=True))
        self.of = np.stack([_numbered(kind) for kind in (catalogue.categories, departments, catalogue.brands, lines)])


def features(bundle: Bundle, kinds: Kinds, found: Candidates, history: Sequence[int]) -> Floats:
    """Return `(found, SIZE)`.

    Args:
        bundle, kinds: the engine, and its catalogue's kinds.
        found: the candidates of the query.
        history: places of items in the bundle's catalogue.
    """
    answer = np.zeros((len(found), SIZE), dtype=np.float32)
    if not len(found):
        return answer
    answer[:, 0] = found.words
    answer[:, 1] = found.meaning
    answer[:, 2] = found.fused / found.fused.max()
    answer[:, 3] = np.maximum(found.popular, -8) / np.log(2)  # in doublings
    if not history:
        return answer
    mine = np.asarray(history, dtype=np.int64)
    had = Counter(mine.tolist())
    answer[:, 4] = np.log1p([had.get(int(item), 0) for item in found.items])
    shared = kinds.of[:, found.items][:, :, None] == kinds.of[:, mine][:, None, :]
    known = kinds.of[:, found.items] >= 0
    answer[:, 5:9] = (np.log1p(shared.sum(axis=2)) * known / np.log1p(len(mine))).T
    if "vectors" in bundle.arrays:
        vectors = bundle.arrays["vectors"]
        mean = vectors[mine].astype(np.float32).mean(axis=0)
        answer[:, 9] = vectors[found.items].astype(np.float32) @ mean
    return answer


def places(rows: Rows, bundle: Bundle) -> npt.NDArray[np.int64]:
    """Return where each item of the rows' catalogue is in the bundle's, −1 where it is not."""
    if rows.catalogue.items == bundle.catalogue.items:
        return np.arange(len(rows.catalogue))
    return np.array([bundle.catalogue.position.get(item, -1) for item in rows.catalogue.items], dtype=np.int64)


def found_by_query(rows: Rows, engine: Retrieval) -> dict[str, Candidates]:
    """Return what each query of the rows finds, each once."""
    queries = sorted({search.query for searches in rows.users for search in searches})
    engine.encode([query for query in queries if engine.spelt(query)], rows.encoded)
    return {query: engine.candidates(query, rows.encoded.get(query)) for query in queries}


def _numbered(labels: Sequence[object]) -> npt.NDArray[np.int64]:
    numbers: dict[object, int] = {}
    empty = ("", ("", ""))
    return np.array([-1 if label in empty else numbers.setdefault(label, len(numbers)) for label in labels])
