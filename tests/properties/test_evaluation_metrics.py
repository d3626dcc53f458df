"""The metrics agree to 1e-9 with trec_eval and scikit-learn, on lists with ties, excluded items and missing targets."""

import warnings

import numpy as np
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.metrics import ndcg_score, roc_auc_score

from components.evaluation import metrics

EXACT = 1e-9
K = 5


@st.composite
def scored_users(draw):
    """Scores `(users, items)` with many ties and −inf, and targets, some of them excluded, some users without any."""
    users, items = draw(st.integers(1, 5)), draw(st.integers(1, 12))
    few_values = st.sampled_from([-np.inf, -1.0, 0.0, 0.25, 2.0])
    values = st.one_of(few_values, st.floats(-1e6, 1e6, allow_nan=False))
    cells = users * items
    scores = np.array(draw(st.lists(values, min_size=cells, max_size=cells))).reshape(users, items)
    targets = np.array(draw(st.lists(st.booleans(), min_size=cells, max_size=cells))).reshape(users, items)
    return scores, sparse.csr_array(targets.astype(float))


def trec(ranking, targets, measures):
    relevant = {
        str(user): {str(item): int(value > 0) for item, value in enumerate(row)}
        for user, row in enumerate(targets.toarray())
    }
    lists = {
        str(user): {str(item): float(-place) for place, item in enumerate(row) if item >= 0}
        for user, row in enumerate(ranking.items)
    }
    return pytrec_eval.RelevanceEvaluator(relevant, measures).evaluate(lists)


@given(scored_users())
def test_the_list_metrics_are_those_of_trec_eval(sample):
    scores, targets = sample
    ranking = metrics.rank(scores, targets, K)
    published = trec(ranking, targets, {f"P.{K}", f"recall.{K}", f"success.{K}", f"ndcg_cut.{K}"})
    ours = {
        f"P_{K}": metrics.precision_at_k(ranking, K),
        f"recall_{K}": metrics.recall_at_k(ranking, K),
        f"success_{K}": metrics.hit_rate_at_k(ranking, K),
        f"ndcg_cut_{K}": metrics.ndcg_at_k(ranking, K),
    }
    for user in np.flatnonzero((ranking.items >= 0).any(axis=1)):  # trec_eval leaves out a user with an empty list
        for name, values in ours.items():
            assert abs(values[user] - published[str(user)][name]) < EXACT, name


@given(scored_users())
def test_f1_is_the_harmonic_mean_of_trec_eval_s_precision_and_recall(sample):
    scores, targets = sample
    ranking = metrics.rank(scores, targets, K)
    published = trec(ranking, targets, {f"P.{K}", f"recall.{K}"})
    f1 = metrics.f1_at_k(ranking, K)
    for user in np.flatnonzero((ranking.items >= 0).any(axis=1)):
        precision, recall = published[str(user)][f"P_{K}"], published[str(user)][f"recall_{K}"]
        harmonic = 2 * precision * recall / (precision + recall) if precision + recall else 0
        assert abs(f1[user] - harmonic) < EXACT


@given(scored_users(), st.integers(1, 12))
def test_ndcg_is_that_of_scikit_learn_on_the_same_list(sample, k):
    scores, targets = sample
    ranking = metrics.rank(scores, targets, k)
    ndcg = metrics.ndcg_at_k(ranking, k)
    wanted = targets.toarray() > 0
    for user, items in enumerate(ranking.items):
        complete = not (np.isneginf(scores[user]) & wanted[user]).any()
        if scores.shape[1] < 2 or not complete or not wanted[user].any():
            continue  # scikit-learn ranks everything, and has no ideal list without targets
        place = np.full(scores.shape[1], -1e9)
        listed = items[items >= 0]
        place[listed] = -np.arange(len(listed), dtype=float)
        published = ndcg_score(wanted[user][None].astype(int), place[None], k=k, ignore_ties=True)
        assert abs(ndcg[user] - published) < EXACT


@given(scored_users())
def test_auc_is_that_of_scikit_learn_among_the_candidates(sample):
    scores, targets = sample
    ours = metrics.auc(scores, targets)
    wanted = targets.toarray() > 0
    for user, row in enumerate(scores):
        candidates = ~np.isneginf(row) | wanted[user]
        truth = wanted[user][candidates]
        if truth.all() or not truth.any():
            assert ours[user] == 0.5
            continue
        below = np.where(np.isneginf(row), -1e300, row)[candidates]  # scikit-learn takes finite scores only
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert abs(ours[user] - roc_auc_score(truth, below)) < EXACT


@given(scored_users(), st.integers(1, 15))
def test_a_list_is_the_stable_sort_of_the_candidates(sample, k):
    scores, _ = sample
    for row, items in zip(scores, metrics.top_k(scores, k), strict=True):
        by_hand = sorted((item for item in range(len(row)) if row[item] > -np.inf), key=lambda item: (-row[item], item))
        expected = by_hand[:k] + [-1] * (k - len(by_hand))
        assert items.tolist() == expected


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 400), st.floats(0, 1))
def test_a_long_catalogue_is_listed_as_its_stable_sort_whatever_is_level_or_excluded(seed, k, levels, excluded):
    drawn = np.random.default_rng(seed)
    scores = drawn.integers(0, levels, size=(4, 40 * k)).astype(np.float32)
    scores[drawn.random(scores.shape) < excluded] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    expected = np.where(np.take_along_axis(scores, order, axis=1) > -np.inf, order, -1)
    assert np.array_equal(metrics.top_k(scores, k), expected)


@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_auc_of_few_and_of_many_targets_is_that_of_every_pair(seed, wanted):
    drawn = np.random.default_rng(seed)
    scores = drawn.integers(0, 30, size=(1, 80)).astype(float)
    wanted = drawn.permutation(80) < wanted
    pairs = np.sign(scores[0, wanted][:, None] - scores[0, ~wanted])
    assert abs(metrics.auc(scores, sparse.csr_array(wanted[None].astype(float)))[0] - (pairs.mean() + 1) / 2) < EXACT


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_looking_at_the_users_in_chunks_changes_nothing(seed):
    scores = np.random.default_rng(seed).integers(0, 4, size=(9, 6)).astype(float)
    whole = metrics.top_k(scores, 3)
    chunk, metrics._CHUNK = metrics._CHUNK, 12
    try:
        assert np.array_equal(metrics.top_k(scores, 3), whole)
    finally:
        metrics._CHUNK = chunk
