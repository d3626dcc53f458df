"""Figures of binned scores and confusion matrices against scikit-learn on what was not binned."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from components.core.errors import ContractBroken
from components.evaluation import confusion_figures, score_figures
from components.evaluation.cells import bin_of, confusion_cells, even_edges, log_odds_edges, score_cells

EDGES = even_edges(40)


@pytest.fixture
def impressions():
    """Scores that tell something, are not well calibrated, and one impression a user: nothing but the bins differs."""
    random = np.random.default_rng(3)
    labels = random.random(4000) < 0.3
    scores = 1 / (1 + np.exp(-(random.normal(0, 1.2, 4000) + 1.5 * labels - 1)))
    return scores, labels


def cells_of(scores, labels, edges=EDGES):
    return score_cells(scores, labels, np.arange(len(scores)), len(scores), edges).mean(axis=0)


def test_the_area_is_that_of_the_scores_within_half_the_pairs_that_share_a_bin(impressions):
    scores, labels = impressions
    cells = cells_of(scores, labels)
    negatives, positives = cells.reshape(2, -1)
    shared = (negatives * positives).sum() / (negatives.sum() * positives.sum())
    exact = sklearn_metrics.roc_auc_score(labels, scores)
    assert abs(score_figures.auc(cells) - exact) <= shared / 2
    binned = sklearn_metrics.roc_auc_score(labels, bin_of(scores, EDGES))
    assert score_figures.auc(cells) == pytest.approx(binned, abs=1e-12)


def test_the_calibration_error_is_within_half_a_bin_of_that_with_mean_scores(impressions):
    scores, labels = impressions
    share, mean = sklearn_metrics_calibration(labels, scores)
    mass = np.bincount(bin_of(scores, EDGES), minlength=40)
    exact = (np.abs(share - mean) * mass[mass > 0]).sum() / mass.sum()
    assert abs(score_figures.calibration_error(cells_of(scores, labels), EDGES) - exact) <= 0.5 / 40
    honest = np.random.default_rng(4).random(len(scores)) < scores
    assert score_figures.calibration_error(cells_of(scores, honest), EDGES) < 0.04


def sklearn_metrics_calibration(labels, scores):
    from sklearn.calibration import calibration_curve

    return calibration_curve(labels, scores, n_bins=40)


@pytest.mark.parametrize("first", [1, 12, 20, 39])
def test_precision_recall_and_f1_at_an_edge_are_exact(impressions, first):
    scores, labels = impressions
    cells, said = cells_of(scores, labels), scores >= EDGES[first - 1]
    for name, ours in {
        "precision": score_figures.precision,
        "recall": score_figures.recall,
        "f1": score_figures.f1,
    }.items():
        theirs = getattr(sklearn_metrics, f"{name}_score")(labels, said, zero_division=0)
        assert ours(cells, first) == pytest.approx(theirs, abs=1e-12), name


def test_loss_and_normalised_entropy_are_those_of_the_scores_within_the_bins(impressions):
    scores, labels = impressions
    edges = log_odds_edges(200, 1e-4, 1 - 1e-4)
    exact = sklearn_metrics.log_loss(labels, scores)
    assert score_figures.log_loss(cells_of(scores, labels, edges), edges) == pytest.approx(exact, abs=2e-3)
    alone = sklearn_metrics.log_loss(labels, np.full(len(labels), labels.mean()))
    ours = score_figures.normalised_entropy(cells_of(scores, labels, edges), edges)
    assert ours == pytest.approx(exact / alone, abs=4e-3)


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.05, 0.5, 1.0])
def test_recall_at_a_rate_of_false_alarms_lies_on_the_curve_of_the_bins(impressions, rate):
    scores, labels = impressions
    alarms, found, _ = sklearn_metrics.roc_curve(labels, bin_of(scores, EDGES), drop_intermediate=False)
    ours = score_figures.recall_at_false_alarms(cells_of(scores, labels), rate)
    assert ours == pytest.approx(max(np.interp(rate, alarms, found), found[alarms <= rate].max()), abs=1e-12)
    of_scores, found_of_scores, _ = sklearn_metrics.roc_curve(labels, scores)
    assert ours == pytest.approx(np.interp(rate, of_scores, found_of_scores), abs=0.03)


def test_accuracy_and_macro_f1_are_scikit_learn_s():
    random = np.random.default_rng(5)
    true = random.integers(0, 6, 500)  # the seventh class is never true, the eighth neither true nor predicted
    predicted = np.where(random.random(500) < 0.7, true, random.integers(0, 7, 500))
    cells = confusion_cells(true, predicted, np.arange(500), 500, 8).mean(axis=0)
    assert confusion_figures.accuracy(cells) == pytest.approx(sklearn_metrics.accuracy_score(true, predicted))
    theirs = sklearn_metrics.f1_score(true, predicted, average="macro")
    assert confusion_figures.macro_f1(cells) == pytest.approx(theirs)
    recalls = sklearn_metrics.recall_score(true, predicted, average=None, labels=range(6))
    assert [confusion_figures.recall_of(cells, one) for one in range(6)] == pytest.approx(list(recalls))
    assert confusion_figures.recall_of(cells, 7) == 0


def test_a_user_weighs_one_whatever_the_number_of_impressions_and_none_without_any():
    cells = score_cells([0.1, 0.9, 0.9, 0.2], [0, 1, 1, 0], np.array([0, 0, 0, 2]), 3, even_edges(2))
    assert cells.tolist() == [[1 / 3, 0, 0, 2 / 3], [0, 0, 0, 0], [1, 0, 0, 0]]


def test_a_score_at_an_edge_is_above_it_and_no_number_is_below_all():
    assert bin_of([0.0, 0.5, 1.0, 7.0, -7.0, np.nan], even_edges(2)).tolist() == [0, 1, 1, 1, 0, 0]
    edges = log_odds_edges(5)
    assert len(edges) == 4
    assert np.all(np.diff(edges) > 0)
    assert edges[[0, -1]] == pytest.approx([1e-3, 0.5])


def test_figures_of_nothing_are_defined():
    empty = np.zeros(80)
    assert score_figures.auc(empty) == 0.5
    assert score_figures.normalised_entropy(empty, EDGES) == 1
    for figure in (score_figures.precision, score_figures.recall, score_figures.f1):
        assert figure(empty, 3) == 0
    assert score_figures.calibration_error(empty, EDGES) == score_figures.log_loss(empty, EDGES) == 0
    assert score_figures.recall_at_false_alarms(empty, 0.05) == 0
    assert score_figures.recall_at_false_alarms(np.repeat([0, 1], 40), 0.05) == 1
    assert confusion_figures.accuracy(np.zeros(9)) == confusion_figures.macro_f1(np.zeros(9)) == 0


def test_impressions_of_nobody_and_classes_that_do_not_exist_are_refused():
    with pytest.raises(ContractBroken, match="owners"):
        score_cells([0.1], [1], np.array([3]), 3, EDGES)
    with pytest.raises(ContractBroken, match="owners"):
        score_cells([0.1, 0.2], [1, 0], np.array([0]), 3, EDGES)
    with pytest.raises(ContractBroken, match="0 to 2"):
        confusion_cells(np.array([3]), np.array([0]), np.array([0]), 1, 3)
