"""From a bundle and histories to scores, and from scores to one line of metrics a user."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse

from components.core.service import Metric
from components.evaluation import metrics
from components.services.recommend.bundle import Bundle, read_bundle
from components.services.recommend.data import Matrix, Rows, fold_in

METRICS = (
    Metric("ndcg@100"),
    Metric("recall@20"),
    Metric("precision@20"),
    Metric("f1@20"),
    Metric("hit_rate@20"),
    Metric("auc"),
)
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
    `fold_in`): adding a user adds one line and changes none, whatever the bundle.
    """
    bundle = read_bundle(folder)
    return lines(lambda history: scores(bundle, history), rows, seed)


def lines(scores_of: Callable[[Matrix], npt.NDArray[np.float32]], rows: Rows, seed: int) -> npt.NDArray[np.float64]:
    """Return `METRICS` of every row, `(users, metrics)`, for any function from histories to scores."""
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
    return np.concatenate(parts)


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


def _counted(history: Matrix, of_item: npt.NDArray[np.int64], columns: int) -> Matrix:
    counted = sparse.csr_array(
        (history.data, of_item[history.indices], history.indptr), shape=(history.shape[0], columns), copy=True
    )
    counted.sum_duplicates()
    return counted


def _taste(bundle: Bundle) -> Callable[[Matrix], npt.NDArray[np.float32]]:
    """Return the function from counts `(users, columns)` to shares of taste `(users, columns)`, rows of sum 1."""
    if bundle.config.kind == "gram":
        from components.services.recommend.gram import taste
    else:
        from components.services.recommend.autoencoder import taste
    return lambda counted: taste(bundle.arrays, counted)
