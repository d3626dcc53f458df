"""What the served answers say about a user whose history the asker knows: one item is hidden, and asked for.

The question is a request of the API: the history without the item, restricted to the item's category, and as long an
answer as there is. Whoever was learnt from has, without privacy, helped that item up in an answer to the rest of the
same history.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse

from components.core.service import Exposure
from components.services.recommend.api import MOST_ITEMS
from components.services.recommend.bundle import Bundle, read_bundle
from components.services.recommend.data import Catalogue, Matrix, Rows, mixed
from components.services.recommend.scoring import scores

QUESTIONS = 3
"""Items of a user that are hidden, each on its own."""

_BATCH = 512


def pick(rows: Rows, places: npt.NDArray[np.int64]) -> Rows:
    """Return the users at `places`."""
    return Rows(sparse.csr_array(rows.matrix[places]), rows.catalogue)


def join(parts: Sequence[Rows]) -> Rows:
    """Return the users of all `parts`, in order."""
    return Rows(sparse.csr_array(sparse.vstack([part.matrix for part in parts])), parts[0].catalogue)


def eligible(rows: Rows) -> npt.NDArray[np.bool_]:
    """Return who has two items or more, `(users,)`: one to hide, and one to ask with."""
    return np.asarray(np.diff(rows.matrix.indptr) >= 2)


def signals(folder: Path, rows: Rows) -> npt.NDArray[np.float64]:
    """Return the logarithm of the score of each hidden item in the answer of the bundle `folder`, `(users, QUESTIONS)`.

    An item that the answer does not list counts as its last one, for whoever asks knows no more. NaN where a user has
    no further item to hide.
    """
    bundle = read_bundle(folder)
    within = _Categories(bundle.catalogue)
    answered = np.full((len(rows), QUESTIONS), np.nan)
    for question in range(QUESTIONS):
        users, history, hidden = questions(rows, question)
        for start in range(0, len(users), _BATCH):
            part = slice(start, start + _BATCH)
            answered[users[part], question] = _listed(bundle, within, history[part], hidden[part])
    return answered


def questions(rows: Rows, question: int) -> tuple[npt.NDArray[np.int64], Matrix, npt.NDArray[np.int64]]:
    """Return who is asked about in the question of this number, with which histories, and what these hide.

    The items that are hidden are the first by a hash, so they are the same for the same user in every run.
    """
    matrix = rows.matrix
    sizes = np.diff(matrix.indptr)
    row = np.repeat(np.arange(len(rows)), sizes)
    order = np.lexsort((mixed(matrix.indices.astype(np.uint64)), row))
    users = np.flatnonzero((sizes > question) & eligible(rows))
    hidden = order[matrix.indptr[users] + question]
    kept = np.ones(len(matrix.indices), dtype=bool)
    kept[hidden] = False
    kept &= np.isin(row, users)
    number = np.full(len(rows), -1)
    number[users] = np.arange(len(users))
    entries = (matrix.data[kept], (number[row[kept]], matrix.indices[kept]))
    history = sparse.csr_array(entries, shape=(len(users), matrix.shape[1]))
    return users, history, matrix.indices[hidden].astype(np.int64)


def _listed(
    bundle: Bundle, within: _Categories, history: Matrix, hidden: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    scored = scores(bundle, history)
    asked = scored[np.arange(len(hidden)), hidden]
    for place, item in enumerate(hidden):
        members = within.of(int(item))
        if len(members) > MOST_ITEMS:
            asked[place] = max(asked[place], np.partition(scored[place, members], -MOST_ITEMS)[-MOST_ITEMS])
    return np.log(np.maximum(asked.astype(np.float64), np.finfo(np.float32).tiny))


class _Categories:
    """Which items a request restricted to an item's category may list."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue, self._known = catalogue, dict[str, npt.NDArray[np.int64]]()

    def of(self, item: int) -> npt.NDArray[np.int64]:
        category = self._catalogue.categories[item]
        if category not in self._known:
            self._known[category] = np.flatnonzero(self._catalogue.inside(category))
        return self._known[category]


EXPOSURE = Exposure(pick=pick, join=join, eligible=eligible, signals=signals)
"""What `jali attack` knows of the service."""
