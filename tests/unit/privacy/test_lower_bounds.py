import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from components.privacy import accounting
from components.privacy.canaries import Canaries
from components.privacy.lower_bounds import (
    bounds,
    ceiling,
    largest_noise,
    noncentral_t_tail,
    one_run,
    p_value,
    refuted,
    simulated,
)
from components.privacy.release import Gaussian, SampledGaussian

DELTA = 1e-5
EVENTS = [
    Gaussian(noise_multiplier=1 / accounting.gaussian_mu(1.0, DELTA)),
    Gaussian(noise_multiplier=1 / accounting.gaussian_mu(3.0, DELTA)),
    SampledGaussian(noise_multiplier=2.1, sample_rate=0.06, steps=100),
]


def canaries_of(event, users=1000):
    canaries = Canaries.flipped(users)
    canaries.observe(np.zeros(canaries.coordinates), steps=getattr(event, "steps", 1))
    return canaries.required()


def with_noise(event, factor):
    return event.model_copy(update={"noise_multiplier": event.noise_multiplier * factor})


@pytest.mark.parametrize("event", EVENTS)
def test_the_noise_is_bounded_at_the_stated_confidence_for_a_mechanism_that_is_exactly_as_claimed(event):
    like, drawn, runs = canaries_of(event), np.random.default_rng(1), 200
    missed = sum(
        largest_noise(simulated(like, event, drawn), event, confidence=0.9) < event.noise_multiplier
        for _ in range(runs)
    )
    assert stats.binomtest(missed, runs, 0.1).pvalue > 1e-4


@pytest.mark.parametrize("event", EVENTS)
def test_an_honest_mechanism_stays_below_its_claim_and_near_its_ceiling(event):
    like, drawn = canaries_of(event), np.random.default_rng(2)
    claim, most = accounting.epsilon_of([event], DELTA), ceiling(like, event, DELTA)
    assert 0.7 * claim < most.epsilon < claim
    for _ in range(3):
        found = bounds(simulated(like, event, drawn), event, DELTA)
        assert found.epsilon < claim
        assert found.one_run < claim


@pytest.mark.parametrize("event", EVENTS)
def test_a_thousand_canaries_refute_a_mechanism_whose_noise_was_halved(event):
    like, drawn, claim = canaries_of(event), np.random.default_rng(3), accounting.epsilon_of([event], DELTA)
    for _ in range(3):
        assert bounds(simulated(like, with_noise(event, 0.5), drawn), event, DELTA).epsilon > claim


def test_more_canaries_prove_more():
    found = [ceiling(canaries_of(EVENTS[0], users), EVENTS[0], DELTA).epsilon for users in (200, 1000, 5000)]
    assert found == sorted(found)
    assert found[-1] > 0.8


def test_noise_that_is_missing_is_bounded_by_a_finite_figure():
    for event in EVENTS:
        canaries = Canaries.flipped(1000)
        values = np.zeros(canaries.coordinates)
        values[: canaries.directions] = canaries.users * canaries.inserted
        canaries.observe(values, steps=getattr(event, "steps", 1))
        found = bounds(canaries.required(), event, DELTA)
        assert accounting.epsilon_of([event], DELTA) < found.epsilon < math.inf


def test_canaries_that_show_nothing_prove_nothing():
    drawn = np.random.default_rng(4)
    canaries = Canaries.flipped(1000)
    values = drawn.normal(size=canaries.coordinates)
    values[: canaries.directions] -= canaries.users * canaries.inserted
    canaries.observe(values)
    assert bounds(canaries.required(), EVENTS[0], DELTA).epsilon == 0
    nobody = Canaries(canaries.users, np.zeros(canaries.directions, dtype=bool))
    nobody.observe(values)
    assert largest_noise(nobody.required(), EVENTS[0]) == math.inf


@settings(max_examples=20, deadline=None)
@given(st.floats(-5, 300), st.integers(50, 5000), st.floats(0, 300))
def test_the_tail_of_noncentral_t_is_scipys_where_scipy_has_one(value, freedom, centre):
    ours, theirs = noncentral_t_tail(value, freedom, centre), stats.nct.sf(value, freedom, centre)
    if 1e-6 < theirs < 1 - 1e-6 and centre < 30:
        assert ours == pytest.approx(theirs, rel=1e-5)
    assert 0 <= ours <= 1 + 1e-12


def test_the_one_run_bound_without_delta_is_that_of_randomised_response():
    for right in (70, 80, 99):
        epsilon = refuted(1000, 100, right, 0.0, 1e-3)
        assert stats.binom.sf(right - 1, 100, 1 / (1 + math.exp(-epsilon))) == pytest.approx(1e-3, rel=0.01)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 200), st.floats(0, 4), st.floats(0, 1e-4), st.data())
def test_the_one_run_p_value_grows_with_epsilon_and_delta_and_falls_with_right_guesses(guesses, epsilon, delta, data):
    right = data.draw(st.integers(0, guesses))
    value = p_value(200, guesses, right, epsilon, delta)
    assert 0 <= value <= 1
    assert value <= p_value(200, guesses, right, epsilon + 0.5, delta) + 1e-12
    assert value <= p_value(200, guesses, right, epsilon, 2 * delta) + 1e-12
    if right < guesses:
        assert p_value(200, guesses, right + 1, epsilon, 0.0) <= p_value(200, guesses, right, epsilon, 0.0) + 1e-12


def test_the_one_run_bound_holds_for_randomised_response_which_has_nothing_gaussian():
    """Each coin is told truly with probability e^ε / (1 + e^ε): exactly ε-DP, and the bound must not exceed it."""
    drawn, epsilon, exceeded = np.random.default_rng(5), 1.0, 0
    for _ in range(300):
        canaries = Canaries(np.ones(500, dtype=np.int64), drawn.random(500) < 0.5)
        truly = drawn.random(500) < 1 / (1 + math.exp(-epsilon))
        told = np.where(truly, canaries.inserted, ~canaries.inserted) + 1e-6 * drawn.random(500)
        canaries.observe(np.concatenate([told, np.zeros(canaries.coordinates - 500)]))
        exceeded += one_run(canaries.required(), 0.0, share=0.5, confidence=0.9) > epsilon
    assert exceeded / 300 < 0.15
