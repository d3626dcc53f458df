"""How alike two columns are by what is public about them: where they lie in the taxonomy, and what their titles share.

Nothing here has read what anybody bought. Titles are compared by the cosine of their TF-IDF vectors (Salton and Buckley
1988) over the beginnings of their words: items of one brand share its name, and products whose numbers begin alike
share a maker, for a GTIN begins with the number of the company (GS1 General Specifications, section 1.4).
"""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import numpy.typing as npt
from scipy import sparse

from components.services.recommend.columns import Columns, Floats, Labels
from components.services.recommend.data import Catalogue, Matrix

_SHORTEST, _LONGEST = 4, 16
"""Letters of a beginning; a shorter word is its own."""
_WORD = re.compile(r"\w+")
_BANDS = (0.02, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85)
"""Cosines at which one band of alike titles ends and the next begins."""


def kinds(catalogue: Catalogue, columns: Columns) -> Labels:
    """Return which kind of kin two columns are, `(columns, columns)` labels from 0, symmetric.

    A kind is how many categories two columns share, and in which band the likeness of their titles lies; a column with
    itself is a kind of its own.
    """
    depth = np.zeros((len(columns), len(columns)), dtype=np.int64)
    for labels in columns.levels:
        depth += labels[:, None] == labels[None, :]
    found = depth * (len(_BANDS) + 1) + np.digitize(likeness(catalogue, columns), _BANDS)
    found[np.diag_indices(len(columns))] = (len(columns.levels) + 1) * (len(_BANDS) + 1)
    return np.asarray(found)


def likeness(catalogue: Catalogue, columns: Columns) -> Floats:
    """Return the cosine of the titles of two columns, `(columns, columns)`; a column's is the mean of its items'."""
    items = np.arange(len(catalogue))
    members = sparse.csr_array((np.ones(len(items)), (columns.of_item, items)), shape=(len(columns), len(items)))
    vectors = _unit(sparse.csr_array(members @ _titles(catalogue)))
    return np.asarray((vectors @ vectors.T).toarray())


def _titles(catalogue: Catalogue) -> Matrix:
    """Return TF-IDF vectors of the titles, of norm 1, `(items, beginnings)`; one without a title is zero."""
    found = [_beginnings(title or "") for title in catalogue.titles]
    within = Counter(beginning for one in found for beginning in one)
    shared = sorted(beginning for beginning, count in within.items() if 1 < count < len(found))
    place = {beginning: column for column, beginning in enumerate(shared)}
    entries = [(row, place[beginning]) for row, one in enumerate(found) for beginning in one if beginning in place]
    row, column = np.array(entries, dtype=np.int64).reshape(-1, 2).T
    rarity = np.log(len(found) / np.array([within[beginning] for beginning in shared], dtype=np.float64))
    return _unit(sparse.csr_array((rarity[column], (row, column)), shape=(len(found), len(shared))))


def _beginnings(title: str) -> set[str]:
    words = _WORD.findall(title.lower())
    return {word[:size] for word in words for size in range(min(_SHORTEST, len(word)), min(_LONGEST, len(word)) + 1)}


def _unit(rows: Matrix) -> Matrix:
    row = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    norm: npt.NDArray[np.float64] = np.sqrt(np.bincount(row, rows.data**2, rows.shape[0]))
    return sparse.csr_array((rows.data / norm[row], rows.indices, rows.indptr), shape=rows.shape)
