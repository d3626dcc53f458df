"""Coverage is shown by simulation: fresh users, fresh noise and a fresh count in every repetition."""

import numpy as np
import pytest

from components.evaluation.intervals import Counted, interval
from components.evaluation.moments import SECOND, Figure, MomentsPlan

REPETITIONS = 3000
THREE_ERRORS = 3 * np.sqrt(0.95 * 0.05 / REPETITIONS)


def paired(random, users):
    return np.where(random.random(users) < 0.6, 0, random.normal(0.02, 0.12, users))


def ndcg(random, users):
    return np.where(random.random(users) < 0.55, 0, random.beta(1.2, 5, users))


def hit_rate(random, users):
    return (random.random(users) < 0.3).astype(float)


def precision(random, users):
    return random.binomial(20, 0.03, users) / 20


def simulated(random, draw, figure, users, mu, confidence=0.95):
    """One release over fresh users, and the interval from it."""
    z = figure.z({"a": draw(random, users)[:, None]})
    sensitivity = np.sqrt(1 + SECOND**2)
    noise = sensitivity / mu / figure.weight
    deviation = 2 / mu
    return interval(
        figure,
        z.sum() + random.normal(0, noise),
        np.square(z).sum() + random.normal(0, noise / SECOND),
        rows=Counted(users + random.normal(0, deviation), deviation),
        mu=mu,
        sensitivity=sensitivity,
        confidence=confidence,
    )


@pytest.mark.parametrize("users", [200, 3000])
@pytest.mark.parametrize("mu", [0.15, 0.5])
@pytest.mark.parametrize(
    ("draw", "low", "share"), [(paired, -0.5, 0.5), (ndcg, 0.0, 0.1), (hit_rate, 0.0, 0.02), (precision, 0.0, 0.02)]
)
def test_the_interval_holds_the_population_s_mean_as_often_as_it_says(draw, low, share, mu, users):
    random = np.random.default_rng(11)
    figure = Figure(bundle="a", metric=0, low=low, high=low + 1, share=share)
    truth = np.clip(draw(random, 2_000_000), low, low + 1).mean()
    found = [simulated(random, draw, figure, users, mu) for _ in range(REPETITIONS)]
    covered = np.mean([bounds.low <= truth <= bounds.high for bounds in found])
    assert covered >= 0.95 - THREE_ERRORS


def test_with_much_data_the_interval_is_little_wider_than_sampling_alone_would_make_it():
    random = np.random.default_rng(12)
    figure = Figure(bundle="a", metric=0, low=-0.5, high=0.5, share=0.5)
    widths = [(b := simulated(random, paired, figure, 3000, 0.5)).high - b.low for _ in range(200)]
    alone = 2 * 1.96 * paired(random, 1_000_000).std() / np.sqrt(3000)
    assert 1 < np.mean(widths) / alone < 1.25


def test_more_confidence_is_a_wider_interval_around_the_same_value():
    figure = Figure(bundle="a", metric=0, low=0, high=1, share=1)
    narrow, wide = (
        simulated(np.random.default_rng(13), ndcg, figure, 3000, 0.5, confidence) for confidence in (0.9, 0.99)
    )
    assert wide.value == narrow.value
    assert wide.low < narrow.low < narrow.high < wide.high


def test_a_count_that_tells_nothing_leaves_the_declared_range():
    figure = Figure(bundle="a", metric=0, low=0, high=2, share=1)
    bounds = interval(figure, 3.0, 5.0, rows=Counted(20.0, 10.0), mu=0.5, sensitivity=1.0, confidence=0.95)
    assert (bounds.low, bounds.high) == (0, 2)


def test_a_count_below_one_gives_finite_figures_within_the_range():
    figure = Figure(bundle="a", metric=0, low=0, high=1, share=1)
    bounds = interval(figure, 50.0, 9.0, rows=Counted(-7.0, 10.0), mu=0.5, sensitivity=1.0, confidence=0.95)
    assert (bounds.value, bounds.low, bounds.high) == (1, 0, 1)


def test_shares_that_do_not_sum_to_one_are_no_plan():
    half = Figure(bundle="a", metric=0, low=0, high=1, share=0.5)
    with pytest.raises(ValueError, match="sum to 1"):
        MomentsPlan(bundles={"a": "b"}, figures=(half,), mu=1, seed=0)


def test_a_value_that_is_no_number_counts_as_the_lowest_and_a_larger_one_is_clipped():
    figure = Figure(bundle="a", metric=0, low=0, high=2, share=1)
    assert figure.z({"a": np.array([[np.nan], [np.inf], [-np.inf], [1.0]])}).tolist() == [-1, 1, -1, 0]
