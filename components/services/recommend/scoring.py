"""From a bundle and histories to scores, and from scores to one line of metrics a user."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

from components.core.service import Metric
from components.evaluation import metrics
from components.services.recommend.bundle import Bundle, read_bundle
from components.services.recommend.data import Catalogue, Matrix, Rows, fold_in

Scorer: TypeAlias = Callable[[Matrix], npt.NDArray[np.float32]]
"""From histories `(users, items)` to scores of the same shape."""

METRICS = (
    Metric("ndcg@100"),
    Metric("recall@20"),
    Metric("precision@20", high=0.5),
    Metric("f1@20", high=0.5),
    Metric("hit_rate@20"),
    Metric("auc"),
)
"""Nearly nobody takes more than half of a list of twenty, and noise grows with the range: a precision or F1 above 0.5
counts as 0.5. Without any privacy this moves no mean by more than 0.0002, on Ta-Feng, MovieLens-100k or the shop."""

LISTED = 20
"""Length of the lists whose catalogue coverage is told."""

_PROBES = 2000
_BATCH = 512  # users scored together: with 25,000 items about 50 MB


def scores(bundle: Bundle, history: Matrix) -> npt.NDArray[np.float32]:
    """Return the expected share of each item in what comes next: `(users, items)`; −inf where the history has it.

    A personal bundle estimates how much of its taste a user gives to each column, and spreads that over the column's
    items by popularity. The taste of a history of n items weighs n ÷ (n + blend), popularity weighs the rest; an empty
    history gets popularity alone.
    """
    popularity = bundle.popularity
    if bundle.config.kind == "popularity":
        answer = np.tile(popularity, (history.shape[0], 1))
    else:
        of_item = bundle.arrays["column"].astype(np.int64)
        expected = np.bincount(of_item, weights=popularity).astype(np.float32)
        taste = _taste(bundle)(_counted(history, of_item, len(expected)))
        size = np.asarray(history.sum(axis=1), dtype=np.float32)[:, None]
        weight = size / np.maximum(size + bundle.config.blend, 1.0)
        lift = weight * (taste / expected) + (1 - weight)
        answer = popularity * lift[:, of_item]
    answer[np.repeat(np.arange(history.shape[0]), np.diff(history.indptr)), history.indices] = -np.inf
    return answer


def score(folder: Path, rows: Rows, seed: int) -> npt.NDArray[np.float64]:
    """Return `METRICS` of every row by strong generalisation, `(users, metrics)`: un-noised, private.

    Each row has its line, in the order of `rows`, and its value depends on its own content and `seed` alone (see
    `fold_in`): adding a user adds one line and changes none, whatever the bundle, and whatever its catalogue was.
    """
    return lines(scores_over(rows.catalogue, read_bundle(folder)), rows, seed)


def scores_over(catalogue: Catalogue, bundle: Bundle) -> Scorer:
    """Return `scores` of `bundle` over the items of `catalogue`, which may be another than the one it was made on.

    Items are the same by their identifier. One that the bundle does not know is at −inf, so no list has it and a target
    among these is missed; in a history it is left out, as in an answer. What `catalogue` no longer lists is in no list.
    """
    if bundle.catalogue.items == catalogue.items:
        return lambda history: scores(bundle, history)
    known = np.array([bundle.catalogue.position.get(item, -1) for item in catalogue.items])
    shared = np.flatnonzero(known >= 0)

    def mapped(history: Matrix) -> npt.NDArray[np.float32]:
        answer = np.full(history.shape, -np.inf, dtype=np.float32)
        seen = _moved(history, known, len(bundle.catalogue))
        answer[:, shared] = scores(bundle, seen)[:, known[shared]]
        return answer

    return mapped


def lines(scores_of: Scorer, rows: Rows, seed: int) -> npt.NDArray[np.float64]:
    """Return `METRICS` of every row, `(users, metrics)`, clipped to their ranges, for any function from histories to
    scores: a ceiling is clipped as what it is compared with.
    """
    history, target = fold_in(rows, seed)
    parts = [np.empty((0, len(METRICS)))]
    for start in range(0, len(rows), _BATCH):
        batch = slice(start, start + _BATCH)
        scored = scores_of(history[batch])
        ranking = metrics.rank(scored, target[batch], 100)
        parts.append(
            np.column_stack(
                [
                    metrics.ndcg_at_k(ranking, 100),
                    metrics.recall_at_k(ranking, 20),
                    metrics.precision_at_k(ranking, 20),
                    metrics.f1_at_k(ranking, 20),
                    metrics.hit_rate_at_k(ranking, 20),
                    metrics.auc(scored, target[batch]),
                ]
            )
        )
    return np.clip(np.concatenate(parts), [metric.low for metric in METRICS], [metric.high for metric in METRICS])


def probe(folder: Path) -> dict[str, float]:
    """Return the catalogue coverage of the lists for histories of one popular item each.

    The popularity is the bundle's own, so all inputs are public or released: the figure is exact, and free.
    """
    bundle = read_bundle(folder)
    items = len(bundle.catalogue)
    popular = np.argsort(-bundle.popularity, kind="stable")[:_PROBES]
    seen = np.zeros(items, dtype=bool)
    for start in range(0, len(popular), _BATCH):
        chosen = popular[start : start + _BATCH]
        ones = (np.ones(len(chosen), dtype=np.float32), (np.arange(len(chosen)), chosen))
        listed = metrics.top_k(scores(bundle, sparse.csr_array(ones, shape=(len(chosen), items))), LISTED)
        seen[listed[listed >= 0]] = True
    return {f"coverage@{LISTED}": float(seen.mean())}


def _moved(history: Matrix, known: npt.NDArray[np.int64], items: int) -> Matrix:
    """Return the history with item i in column `known[i]` of `items`; what is at −1 is left out."""
    column = known[history.indices]
    kept = column >= 0
    row = np.repeat(np.arange(history.shape[0]), np.diff(history.indptr))[kept]
    return sparse.csr_array((history.data[kept], (row, column[kept])), shape=(history.shape[0], items))


def _counted(history: Matrix, of_item: npt.NDArray[np.int64], columns: int) -> Matrix:
    counted = sparse.csr_array(
        (history.data, of_item[history.indices], history.indptr), shape=(history.shape[0], columns), copy=True
    )
    counted.sum_duplicates()
    return counted


def _taste(bundle: Bundle) -> Scorer:
    """Return the function from counts `(users, columns)` to shares of taste `(users, columns)`, rows of sum 1."""
    if bundle.config.kind == "gram":
        from components.services.recommend.gram import taste
    else:
        from components.services.recommend.autoencoder import taste
    return lambda counted: taste(bundle.arrays, counted)
