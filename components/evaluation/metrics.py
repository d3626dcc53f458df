"""Ranking metrics, un-noised: one value a user, from one score a user and item.

What these functions return is as private as the rows they read; `evaluate` releases their noised means.

Conventions, everywhere in this module:

- `scores` is `(users, items)`; an item at −inf (one that the user already has) is no candidate and enters no list.
- `targets` is a CSR matrix of the same shape; what is stored and not zero is relevant, its value does not matter.
- Equal scores are ordered by column, the lower first, so that a list is a function of its scores.
- A list may be shorter than k; it still counts as k long, as trec_eval does.
- A user without targets has 0 on every list metric, and 0.5 (chance) on AUC.

The list metrics agree with trec_eval (`P`, `recall`, `success`, `ndcg_cut`), AUC with scikit-learn's `roc_auc_score`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from components.core.errors import ContractBroken

Floats = npt.NDArray[np.floating[Any]]

_CHUNK = 2**22  # scores looked at together: selection needs a few temporary arrays of this size
_GROUPS = 4  # groups ÷ k, and the columns that make grouping worth while ÷ groups
_FEW = 24  # targets of a user up to which counting beats sorting


@dataclass(frozen=True)
class Ranking:
    """The best items of each user, and which of them were targets.

    Attributes:
        items: `(users, k)` columns, best first; −1 where the user has fewer candidates.
        hits: `(users, k)` whether the item at that rank is a target.
        relevant: `(users,)` number of targets, in the list or not.
    """

    items: npt.NDArray[np.int64]
    hits: npt.NDArray[np.bool_]
    relevant: npt.NDArray[np.int64]


def rank(scores: Floats, targets: sparse.csr_array | sparse.csr_matrix, k: int) -> Ranking:
    """Return the first `k` of every user's list, for metrics at any cut up to `k`.

    Raises:
        ContractBroken: a score is NaN, or the shapes differ.
    """
    relevant = _binary(scores, targets)
    items = top_k(scores, k)
    users, columns = scores.shape
    offsets = np.arange(users, dtype=np.int64)[:, None] * columns
    wanted = relevant.indices + np.repeat(offsets[:, 0], np.diff(relevant.indptr))
    hits = np.isin(np.where(items < 0, -1, items + offsets), wanted)
    return Ranking(items=items, hits=hits, relevant=np.diff(relevant.indptr).astype(np.int64))


def top_k(scores: Floats, k: int) -> npt.NDArray[np.int64]:
    """Return the columns of each user's `k` best scores as `(users, k)`, best first, −1 where candidates run out.

    Linear in the number of items: the border score is selected, and only what lies above or on it is sorted.

    Raises:
        ContractBroken: a score is NaN.
    """
    users, columns = scores.shape
    lists = np.full((users, k), -1, dtype=np.int64)
    length = min(k, columns)
    step = max(1, _CHUNK // max(columns, 1))
    for start in range(0, users if length else 0, step):
        chunk = scores[start : start + step]
        if np.isnan(chunk).any():
            raise ContractBroken("A score is NaN", next_step="Look at the bundle that scored; nothing was ranked.")
        best = np.sort(_select(chunk, length), axis=1)
        order = np.argsort(-np.take_along_axis(chunk, best, axis=1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, axis=1)
        candidate = np.take_along_axis(chunk, best, axis=1) > -np.inf
        lists[start : start + step, :length] = np.where(candidate, best, -1)
    return lists


def recall_at_k(ranking: Ranking, k: int) -> Floats:
    """Return hits in the first `k` ÷ targets, as trec_eval's `recall.k`: `(users,)` in [0, 1].

    The denominator is the number of targets; Liang et al. (2018) and Steck (2019) divide by min(k, targets) instead.
    """
    return _hits(ranking, k) / np.maximum(ranking.relevant, 1)


def precision_at_k(ranking: Ranking, k: int) -> Floats:
    """Return hits in the first `k` ÷ k, as trec_eval's `P.k`: `(users,)` in [0, 1]."""
    return _hits(ranking, k) / k


def f1_at_k(ranking: Ranking, k: int) -> Floats:
    """Return the harmonic mean of precision and recall at `k`, 2·hits ÷ (k + targets): `(users,)` in [0, 1]."""
    return 2 * _hits(ranking, k) / (k + ranking.relevant)


def hit_rate_at_k(ranking: Ranking, k: int) -> Floats:
    """Return 1 where a target is in the first `k`, else 0, as trec_eval's `success.k`: `(users,)`."""
    return (_hits(ranking, k) > 0).astype(np.float64)


def ndcg_at_k(ranking: Ranking, k: int) -> Floats:
    """Return DCG ÷ ideal DCG at `k` with binary gains: `(users,)` in [0, 1].

    DCG is Σ over ranks i = 1..k of hit(i) ÷ log2(i + 1) (Järvelin and Kekäläinen 2002, with the discount that trec_eval
    uses); the ideal list holds min(k, targets) hits first.
    """
    _check_cut(ranking, k)
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[1.0], np.cumsum(discounts)])  # at 0 targets the gain is 0, whatever it is divided by
    gain: Floats = ranking.hits[:, :k] @ discounts
    return np.asarray(gain / ideal[np.minimum(ranking.relevant, k)])


def auc(scores: Floats, targets: sparse.csr_array | sparse.csr_matrix) -> Floats:
    """Return the chance that a target scores above another candidate, ties counting half: `(users,)` in [0, 1].

    It is the Mann–Whitney statistic ÷ (targets · other candidates). A target at −inf lies below every candidate. A user
    without targets or without other candidates has 0.5.

    Raises:
        ContractBroken: a score is NaN, or the shapes differ.
    """
    relevant = _binary(scores, targets)
    values = np.full(scores.shape[0], 0.5)
    if np.isnan(scores).any():
        raise ContractBroken("A score is NaN", next_step="Look at the bundle that scored; nothing was ranked.")
    for user in np.flatnonzero(np.diff(relevant.indptr)):
        row = scores[user]
        wanted = row[relevant.indices[relevant.indptr[user] : relevant.indptr[user + 1]]]
        reachable = np.sort(wanted[wanted > -np.inf])
        excluded = np.count_nonzero(row == -np.inf)
        others = len(row) - excluded - len(reachable)
        if others == 0:
            continue
        # Twice the wins of each target is (candidates below) + (candidates below or level); targets are taken out.
        wins = sum(_below(row, reachable)) - sum(_below(reachable, reachable)) - 2 * excluded
        values[user] = np.sum(wins) / (2 * len(wanted) * others)
    return values


def catalogue_coverage(lists: npt.NDArray[np.int64], items: int) -> float:
    """Return the share of `items` columns that appear in at least one of the `(lists, k)` lists.

    It is not a mean over users, and one user moves it by up to k items: over private rows it is not to be released.
    Over lists for public probes (each item of the catalogue once as the whole history) it is a property of the bundle
    alone, and free.
    """
    return len(np.unique(lists[lists >= 0])) / items


def _hits(ranking: Ranking, k: int) -> npt.NDArray[np.int64]:
    _check_cut(ranking, k)
    return np.asarray(ranking.hits[:, :k].sum(axis=1, dtype=np.int64))


def _check_cut(ranking: Ranking, k: int) -> None:
    if not 1 <= k <= ranking.hits.shape[1]:
        raise ContractBroken(
            "A metric was asked beyond the list",
            value=k,
            limit=ranking.hits.shape[1],
            next_step="Rank with a larger k.",
        )


def _binary(scores: Floats, targets: sparse.csr_array | sparse.csr_matrix) -> sparse.csr_array:
    if targets.shape != scores.shape:
        raise ContractBroken(
            "Targets and scores have different shapes", next_step="Score the rows that the targets were taken from."
        )
    binary = sparse.csr_array(targets, dtype=bool, copy=True)
    binary.sum_duplicates()
    binary.eliminate_zeros()
    return binary


def _below(row: Floats, values: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return how many scores of `row` lie below each of `values`, and how many below or level."""
    if len(values) <= _FEW:  # a pass over the row for each is cheaper than sorting it
        below, level = (
            np.array([np.count_nonzero(compare(row, value)) for value in values], dtype=np.int64)
            for compare in (np.less, np.less_equal)
        )
        return below, level
    ordered = np.sort(row)
    return np.searchsorted(ordered, values, side="left"), np.searchsorted(ordered, values, side="right")


def _select(scores: Floats, k: int) -> npt.NDArray[np.int64]:
    """Return `(users, k)` columns of the k best scores in any order; at the border the lower column is taken.

    The k-th best of the maxima of disjoint groups is no more than the k-th best score: what lies below it is left out
    unsorted, which is nearly everything where columns are many.
    """
    users, columns = scores.shape
    groups = _GROUPS * k
    if columns < _GROUPS * groups:
        return _partitioned(scores, k)
    maxima = scores[:, : columns - columns % groups].reshape(users, -1, groups).max(axis=1)
    bound = np.partition(maxima, groups - k, axis=1)[:, groups - k]
    user, column = np.divmod(np.flatnonzero(scores >= bound[:, None]), columns)
    left = np.bincount(user, minlength=users)
    if left.max() > columns // _GROUPS:  # a bound that many scores are level with, or -inf
        return _partitioned(scores, k)
    place = np.arange(len(user)) - np.repeat(np.cumsum(left) - left, left)
    few = np.full((users, left.max()), -np.inf, dtype=scores.dtype)
    few[user, place] = scores[user, column]
    columns_of = np.zeros(few.shape, dtype=np.int64)
    columns_of[user, place] = column
    return np.take_along_axis(columns_of, _partitioned(few, k), axis=1)


def _partitioned(scores: Floats, k: int) -> npt.NDArray[np.int64]:
    columns = scores.shape[1]
    if k == columns:
        return np.tile(np.arange(columns), (len(scores), 1))
    chosen = np.argpartition(scores, columns - k, axis=1)[:, columns - k :]
    border = np.take_along_axis(scores, chosen, axis=1).min(axis=1, keepdims=True)
    for user in np.flatnonzero((scores >= border).sum(axis=1) > k):  # ties reach across the border
        above = np.flatnonzero(scores[user] > border[user])
        level = np.flatnonzero(scores[user] == border[user])
        chosen[user] = np.concatenate([above, level[: k - len(above)]])
    return np.asarray(chosen)
