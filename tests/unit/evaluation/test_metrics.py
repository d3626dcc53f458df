import numpy as np
import pytest
from scipy import sparse

from components.core.errors import ContractBroken
from components.evaluation import metrics


def targets(*rows):
    return sparse.csr_array(np.array(rows, dtype=float))


def test_the_metrics_of_a_list_are_those_worked_by_hand():
    ranking = metrics.rank(np.array([[4.0, 3.0, 2.0, 1.0]]), targets([0, 1, 0, 1]), 3)  # the second place hits
    assert metrics.recall_at_k(ranking, 3) == [1 / 2]
    assert metrics.precision_at_k(ranking, 3) == [1 / 3]
    assert metrics.f1_at_k(ranking, 3) == [2 / 5]
    assert metrics.hit_rate_at_k(ranking, 3) == [1]
    assert metrics.ndcg_at_k(ranking, 3) == pytest.approx([(1 / np.log2(3)) / (1 + 1 / np.log2(3))])
    assert metrics.hit_rate_at_k(ranking, 1) == [0]


def test_auc_counts_ties_half_and_a_target_that_is_no_candidate_as_a_loss():
    scores = np.array([[1.0, 1.0, 0.0, -np.inf]])
    assert metrics.auc(scores, targets([1, 0, 0, 0])) == [0.75]
    assert metrics.auc(scores, targets([1, 0, 0, 1])) == [0.375]


def test_a_user_without_targets_has_zero_on_lists_and_chance_on_auc():
    scores = np.array([[1.0, 2.0]])
    ranking = metrics.rank(scores, targets([0, 0]), 2)
    for metric in (
        metrics.recall_at_k,
        metrics.precision_at_k,
        metrics.f1_at_k,
        metrics.hit_rate_at_k,
        metrics.ndcg_at_k,
    ):
        assert metric(ranking, 2) == [0]
    assert metrics.auc(scores, targets([0, 0])) == [0.5]


def test_equal_scores_are_listed_by_column():
    assert metrics.top_k(np.zeros((1, 6)), 4).tolist() == [[0, 1, 2, 3]]


def test_an_item_at_minus_infinity_enters_no_list_even_where_the_list_stays_short():
    scores = np.array([[-np.inf, 1.0, -np.inf]])
    assert metrics.top_k(scores, 3).tolist() == [[1, -1, -1]]
    ranking = metrics.rank(scores, targets([1, 0, 1]), 3)
    assert not ranking.hits.any()


def test_a_target_of_the_last_column_is_not_mistaken_for_the_next_user_s_empty_place():
    scores = np.array([[0.0, 1.0], [1.0, -np.inf]])
    ranking = metrics.rank(scores, targets([0, 1], [0, 1]), 2)
    assert ranking.hits.tolist() == [[True, False], [False, False]]


def test_stored_zeros_and_stored_twice_make_no_difference():
    doubled = sparse.csr_array((np.array([1.0, 1.0, 0.0]), (np.array([0, 0, 0]), np.array([1, 1, 0]))), shape=(1, 3))
    ranking = metrics.rank(np.array([[1.0, 2.0, 3.0]]), doubled, 2)
    assert ranking.relevant.tolist() == [1]
    assert ranking.hits.tolist() == [[False, True]]


def test_float32_scores_and_the_older_csr_matrix_are_ranked_alike():
    scores = np.array([[0.5, 1.5, 1.0]])
    new = metrics.rank(scores, targets([0, 0, 1]), 2)
    old = metrics.rank(scores.astype(np.float32), sparse.csr_matrix(targets([0, 0, 1])), 2)
    assert np.array_equal(new.items, old.items)
    assert np.array_equal(new.hits, old.hits)


def test_a_score_that_is_nan_is_refused():
    scores = np.array([[np.nan, 1.0]])
    with pytest.raises(ContractBroken, match="NaN"):
        metrics.top_k(scores, 1)
    with pytest.raises(ContractBroken, match="NaN"):
        metrics.auc(scores, targets([1, 0]))


def test_targets_of_another_shape_are_refused():
    with pytest.raises(ContractBroken, match="shapes"):
        metrics.rank(np.zeros((2, 2)), targets([0, 1]), 1)


def test_a_cut_beyond_the_list_is_refused_with_both_numbers():
    ranking = metrics.rank(np.zeros((1, 4)), targets([0, 1, 0, 0]), 2)
    with pytest.raises(ContractBroken, match=r"found 3, limit 2"):
        metrics.recall_at_k(ranking, 3)


def test_coverage_is_the_share_of_columns_that_any_list_holds():
    assert metrics.catalogue_coverage(np.array([[0, 1], [1, -1]]), 8) == 0.25


def test_no_users_and_no_items_are_ranked_without_complaint():
    assert metrics.top_k(np.zeros((0, 3)), 2).shape == (0, 2)
    assert metrics.top_k(np.zeros((2, 0)), 2).tolist() == [[-1, -1], [-1, -1]]
