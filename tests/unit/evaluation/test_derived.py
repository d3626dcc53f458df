"""Coverage is shown by simulation: fresh users, fresh noise and a fresh count in every repetition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from components.core.errors import ContractBroken
from components.core.service import Histogram, Metric
from components.evaluation import confusion_figures, derived, score_figures
from components.evaluation.cells import confusion_cells, even_edges, score_cells
from components.evaluation.derived import intervals_of, projected
from components.evaluation.histograms import clipped
from components.evaluation.intervals import Counted

EDGES = even_edges(10)
REPETITIONS = 200
TWO_ERRORS = 2 * np.sqrt(0.95 * 0.05 / REPETITIONS)


def of_scores(cells):
    return {
        "auc": score_figures.auc(cells),
        "calibration_error": score_figures.calibration_error(cells, EDGES),
        "f1": score_figures.f1(cells, 4),
        "caught": score_figures.recall_at_false_alarms(cells, 0.05),
    }


def of_matrix(cells):
    return {"accuracy": confusion_figures.accuracy(cells), "macro_f1": confusion_figures.macro_f1(cells)}


def histogram(size, figures):
    names = figures(np.zeros(size))
    return Histogram(size=size, of=None, figures=figures, metrics=tuple(Metric(name) for name in names))


SCORES, MATRIX = histogram(20, of_scores), histogram(36, of_matrix)


def clicks(random, users):
    """Up to eight impressions a user, who clicks more or less than others: impressions of one user are alike."""
    owners = np.repeat(np.arange(users), random.integers(0, 9, users))
    taste = random.normal(0, 1, users)[owners]
    score = 1 / (1 + np.exp(-(0.8 * taste + random.normal(0, 0.7, len(owners)) - 1)))
    labels = random.random(len(owners)) < score**1.2
    return score_cells(score, labels, owners, users, EDGES)


def calibrated(random, users):
    """One impression each, and nothing wrong with any score: the calibration error is that of the bins alone."""
    score = np.array([0.15, 0.25, 0.35, 0.45])[random.integers(0, 4, users)]
    return score_cells(score, random.random(users) < score, np.arange(users), users, EDGES)


def messages(random, users):
    """Six intents of which two are rare."""
    true = random.choice(6, size=users, p=[0.4, 0.25, 0.2, 0.1, 0.03, 0.02])
    predicted = np.where(random.random(users) < 0.8, true, random.integers(0, 6, users))
    return confusion_cells(true, predicted, np.arange(users), users, 6)


def simulated(random, draw, of, users, noise, confidence=0.95):
    """One release over fresh users, and the intervals from it."""
    cells = draw(random, users).sum(axis=0) + random.normal(0, noise, of.size)
    rows = Counted(users + random.normal(0, 4.0), 4.0)
    return intervals_of(cells, of, noise=noise, mass=1.0, rows=rows, confidence=confidence)


@pytest.mark.slow
@pytest.mark.parametrize(("users", "noise"), [(300, 1.0), (2000, 6.0), (2000, 0.1)])
@pytest.mark.parametrize(("draw", "of"), [(clicks, SCORES), (calibrated, SCORES), (messages, MATRIX)])
def test_the_interval_holds_the_population_s_figure_as_often_as_it_says(monkeypatch, draw, of, users, noise):
    monkeypatch.setattr(derived, "_DRAWS", 200)
    monkeypatch.setattr(derived, "_BEYOND", 5)
    random = np.random.default_rng(21)
    truth = of.figures(draw(random, 400_000).mean(axis=0))
    found = [simulated(random, draw, of, users, noise) for _ in range(REPETITIONS)]
    for name, value in truth.items():
        covered = np.mean([bounds[name].low <= value <= bounds[name].high for bounds in found])
        assert covered >= 0.95 - TWO_ERRORS, name


def test_with_much_data_the_interval_of_one_impression_a_user_is_as_wide_as_sampling_makes_it():
    random = np.random.default_rng(22)
    of = histogram(36, lambda cells: {"accuracy": confusion_figures.accuracy(cells)})
    widths = [(b := simulated(random, messages, of, 4000, 0.1)["accuracy"]).high - b.low for _ in range(10)]
    share = of.figures(messages(random, 400_000).mean(axis=0))["accuracy"]
    assert np.mean(widths) == pytest.approx(2 * 1.96 * np.sqrt(share * (1 - share) / 4000), rel=0.25)


@given(arrays(float, (7, 4), elements=st.floats(0, 1)), st.floats(0.2, 2))
def test_users_differ_by_no_more_than_the_multinomial_bound(vectors, mass):
    cells = clipped(vectors, size=4, mass=mass)
    mean = cells.mean(axis=0)
    bound = mass * np.diag(mean) - np.outer(mean, mean)
    assert np.linalg.eigvalsh(bound - np.cov(cells.T, bias=True)).min() >= -1e-9


def test_the_same_release_has_the_same_intervals_and_more_confidence_wider_ones():
    cells = messages(np.random.default_rng(23), 500).sum(axis=0)
    narrow, again, wide = (
        intervals_of(cells, MATRIX, noise=2.0, mass=1.0, rows=Counted(500.0, 4.0), confidence=confidence)
        for confidence in (0.9, 0.9, 0.99)
    )
    assert narrow == again
    for name, bounds in narrow.items():
        assert wide[name].value == bounds.value
        assert wide[name].low < bounds.low < bounds.value < bounds.high < wide[name].high


def test_a_count_that_tells_nothing_leaves_the_declared_ranges():
    found = intervals_of(np.full(36, 0.5), MATRIX, noise=9.0, mass=1.0, rows=Counted(20.0, 10.0), confidence=0.95)
    assert {(bounds.low, bounds.high) for bounds in found.values()} == {(0, 1)}


def test_cells_below_zero_are_noise_and_give_finite_figures_within_the_ranges():
    for cells in (np.full(20, -5.0), np.linspace(-9, 9, 20), np.full(20, 1e9)):
        found = intervals_of(cells, SCORES, noise=6.0, mass=1.0, rows=Counted(100.0, 4.0), confidence=0.95)
        assert all(0 <= bounds.low <= bounds.value <= bounds.high <= 1 for bounds in found.values())


def test_empty_cells_do_not_add_their_noise_to_the_total():
    noised = np.random.default_rng(24).normal(0, 0.005, 400)
    noised[0] += 0.7
    assert projected(noised, 1.0).sum() == pytest.approx(noised.sum())
    means, clipped_alone = projected(noised, 1.0), np.maximum(noised, 0)
    assert means[0] / means.sum() > 0.75 > 0.5 > clipped_alone[0] / clipped_alone.sum()


def test_a_figure_that_is_no_number_has_its_whole_range():
    of = Histogram(size=2, of=None, figures=lambda means: {"x": float("nan")}, metrics=(Metric("x", 1, 3),))
    found = intervals_of(np.ones(2), of, noise=1.0, mass=1.0, rows=Counted(100.0, 4.0), confidence=0.95)
    assert (found["x"].value, found["x"].low, found["x"].high) == (2, 1, 3)


def test_figures_that_are_not_declared_are_refused():
    of = Histogram(size=2, of=None, figures=lambda means: {"y": 1.0}, metrics=(Metric("x"),))
    with pytest.raises(ContractBroken, match="x"):
        intervals_of(np.ones(2), of, noise=1.0, mass=1.0, rows=Counted(100.0, 4.0), confidence=0.95)
