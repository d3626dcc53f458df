"""The price of a search against what it really costs: Rényi divergences of finite mechanisms, computed exactly."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import logsumexp

from components.core.errors import ContractBroken, Refused
from components.privacy import accounting, adaptive, tuning
from components.privacy.release import BestOf, Gaussian, SampledGaussian, Trials, noised

Vector = NDArray[np.float64]

DELTA = 1e-5
LAWS = st.one_of(
    st.builds(Trials, expected=st.floats(1, 200), shape=st.sampled_from([-0.5, 0.0, 0.5, 1.0, 3.0])),
    st.builds(Trials, law=st.just("poisson"), expected=st.floats(1, 200)),
)
ORDER = st.sampled_from([2, 3, 4, 8, 16, 40])
GAUSSIAN = st.builds(Gaussian, noise_multiplier=st.floats(0.7, 50))


def generating(trials: Trials, x: Vector) -> Vector:
    """E[x^K] (Papernot & Steinke 2022, definition 1 and section 3.3)."""
    if trials.law == "poisson":
        return np.exp(trials.expected * (x - 1))
    gamma = tuning.rate(trials)
    if gamma == 1:
        return x
    if trials.shape == 0:
        return np.log1p(-(1 - gamma) * x) / math.log(gamma)
    return ((1 - (1 - gamma) * x) ** -trials.shape - 1) / (gamma**-trials.shape - 1)


def best(trials: Trials, chances: Vector) -> Vector:
    """The law of the best of K answers, of which a later one is better; the first where there is no trial."""
    below = generating(trials, np.concatenate([[0.0], np.minimum(np.cumsum(chances), 1.0)]))
    found = np.diff(below)
    found[0] += below[0]
    return found


def renyi(p: Vector, q: Vector, order: int) -> float:
    """The larger of both directions."""
    both = [logsumexp(order * np.log(a) + (1 - order) * np.log(b)) for a, b in ((p, q), (q, p))]
    return max(0.0, float(max(both)) / (order - 1))


def beyond(p: Vector, q: Vector, epsilon: float) -> float:
    """The δ of p and q at ε, in both directions."""
    return max(float(np.maximum(a - math.exp(epsilon) * b, 0).sum()) for a, b in ((p, q), (q, p)))


@given(
    weights=st.lists(st.tuples(st.floats(0.02, 1), st.floats(-0.7, 0.7)), min_size=2, max_size=12),
    trials=LAWS,
    order=ORDER,
)
@settings(max_examples=200, deadline=None)
def test_no_search_over_a_finite_mechanism_costs_more_than_its_price(
    weights: list[tuple[float, float]], trials: Trials, order: int
) -> None:
    p = np.array([weight for weight, _ in weights])
    q = p * np.exp([tilt for _, tilt in weights])
    p, q = p / p.sum(), q / q.sum()
    price = tuning.best_of(trials, order, lambda at: renyi(p, q, at), lambda: beyond(p, q, tuning.pure_part(order)))
    searched = best(trials, p), best(trials, q)
    assume(min(searched[0].min(), searched[1].min()) > 1e-14)  # below it the differences are rounding
    assert sum(searched[0]) == pytest.approx(1)
    assert renyi(*searched, order) <= price + 1e-7


@given(event=GAUSSIAN, trials=LAWS, order=ORDER)
def test_a_search_never_costs_less_than_one_of_its_trials(event: Gaussian, trials: Trials, order: int) -> None:
    search = BestOf(choices=((event,),), trials=trials)
    assert accounting.rdp(search, order) >= accounting.rdp(event, order)
    assert accounting.epsilon_of([search], DELTA) >= accounting.epsilon_of([event], DELTA)
    once = BestOf(choices=((event,),), trials=Trials(expected=1))
    assert accounting.rdp(once, order) == pytest.approx(accounting.rdp(event, order))


@given(event=GAUSSIAN, trials=LAWS, order=ORDER, more=st.floats(1.01, 20))
def test_more_trials_cost_more(event: Gaussian, trials: Trials, order: int, more: float) -> None:
    greater = trials.model_copy(update={"expected": trials.expected * more})
    fewer, many = (BestOf(choices=((event,),), trials=one) for one in (trials, greater))
    assert accounting.rdp(many, order) > accounting.rdp(fewer, order)


@given(first=GAUSSIAN, second=GAUSSIAN, trials=LAWS, order=ORDER)
def test_a_search_costs_what_its_dearest_choice_does(
    first: Gaussian, second: Gaussian, trials: Trials, order: int
) -> None:
    both = BestOf(choices=((first,), (second,)), trials=trials)
    alone = [accounting.rdp(BestOf(choices=((one,),), trials=trials), order) for one in (first, second)]
    assert accounting.rdp(both, order) == pytest.approx(max(alone))
    together = BestOf(choices=((first, second),), trials=trials)
    assert accounting.rdp(together, order) > max(alone)


@pytest.mark.parametrize("shape", [0.0, 1.0, 2.0])
def test_pure_privacy_costs_two_plus_eta_times_as_published(shape: float) -> None:
    """Corollary 4 of the paper: (2 + η) ε, which is 3 ε for the geometric law, as Liu & Talwar (2019) had it."""
    trial, order = 0.1, 10**7
    trials = Trials(expected=10, shape=shape)
    found = tuning.best_of(trials, order, lambda at: trial, lambda: 0.0)
    slack = (1 + shape) * math.log(1 / tuning.rate(trials)) / tuning.ORDERS[-1]
    assert (2 + shape) * trial - (1 + shape) * trial / tuning.ORDERS[-1] <= found <= (2 + shape) * trial + slack + 1e-5


@pytest.mark.parametrize(("shape", "mean"), [(1.0, lambda g: 1 / g), (0.0, lambda g: (1 / g - 1) / math.log(1 / g))])
def test_the_laws_have_the_published_means(shape: float, mean: object) -> None:
    for expected in (1.5, 10, 300):
        trials = Trials(expected=expected, shape=shape)
        assert mean(tuning.rate(trials)) == pytest.approx(expected)  # type: ignore[operator]


@pytest.mark.parametrize(
    "trials",
    [
        Trials(expected=4, shape=1),
        Trials(expected=4, shape=0),
        Trials(expected=4, shape=-0.5),
        Trials(law="poisson", expected=4),
        Trials(expected=1),
    ],
    ids=lambda trials: f"{trials.law} {trials.shape:g}, {trials.expected:g}",
)
def test_the_number_of_trials_is_drawn_from_the_declared_law(trials: Trials) -> None:
    points = 20_000
    drawn = Counter(tuning.number(trials, (place + 0.5) / points) for place in range(points))
    for x in (0.0, 0.3, 0.8, 0.95):  # the generating function tells a law
        found = sum(times * x**many for many, times in drawn.items()) / points
        assert found == pytest.approx(float(generating(trials, np.array([x]))[0]), abs=1e-3)
    assert (0 in drawn) == (trials.law == "poisson")


def test_the_number_of_trials_is_fresh_at_every_draw() -> None:
    trials = Trials(law="poisson", expected=50)
    assert len({tuning.number(trials) for _ in range(20)}) > 3


@given(trials=LAWS, order=ORDER, left=st.floats(0.05, 5))
@settings(deadline=None)
def test_a_trial_has_as_much_as_the_search_leaves_it_and_no_more(trials: Trials, order: int, left: float) -> None:
    mu = tuning.trial_mu(trials, order, left)
    assume(mu > 0)
    within, above = (
        accounting.rdp(BestOf(choices=((Gaussian(noise_multiplier=1 / one),),), trials=trials), order)
        for one in (mu, mu * 1.01)
    )
    assert within <= left * (1 + 1e-9) < above * (1 + 1e-9)


@given(trials=LAWS, order=ORDER, mu=st.floats(0.05, 1))
def test_what_costs_no_more_than_a_gaussian_at_the_orders_that_count_costs_no_more_as_a_search(
    trials: Trials, order: int, mu: float
) -> None:
    assume(trials.law != "poisson")
    held = tuning.held_to(order, trials, mu)

    def trial(at: int) -> float:
        return at * mu**2 / 2 if at in held else math.inf

    gaussian = BestOf(choices=((Gaussian(noise_multiplier=1 / mu),),), trials=trials)
    assert tuning.best_of(trials, order, trial, lambda: 0.0) <= accounting.rdp(gaussian, order) + 1e-9 or (
        (1 + trials.shape) * math.log(1 / tuning.rate(trials)) == 0
    )


def test_a_sampled_trial_is_priced_by_the_gaussian_that_dominates_it() -> None:
    event = SampledGaussian(noise_multiplier=2.0, sample_rate=0.05, steps=40)
    poisson = Trials(law="poisson", expected=8)
    search = BestOf(choices=((event,),), trials=poisson)
    mu = adaptive.dominating_mu(event, 1e-7)
    fault = accounting.gaussian_delta(tuning.pure_part(4), mu)
    expected = accounting.rdp(event, 4) + 8 * fault + math.log(8) / 3
    assert accounting.rdp(search, 4) == pytest.approx(expected, abs=1e-5)
    assert accounting.rdp(search, 4) >= expected


def test_nothing_claims_a_loss_distribution_or_a_gaussian_for_a_search() -> None:
    search = BestOf(choices=((Gaussian(noise_multiplier=3),),), trials=Trials(expected=10))
    both = [search, Gaussian(noise_multiplier=20)]
    assert accounting.epsilon_of(both, DELTA) == accounting.rdp_epsilon_of(both, DELTA)
    with pytest.raises(Refused):
        adaptive.dominating_mu(search, 1e-9)
    with pytest.raises(Refused):
        adaptive.epsilon_of(both, DELTA)
    with pytest.raises(ContractBroken):
        noised(search)
    assert accounting.rdp(search.model_copy(update={"count": 0}), 8) == 0


def test_a_search_for_which_nothing_is_left_is_refused_before_it_begins() -> None:
    trials = Trials(expected=1000)
    with pytest.raises(Refused, match="trials"):
        tuning.planned_order(trials, lambda order: 0.01)
