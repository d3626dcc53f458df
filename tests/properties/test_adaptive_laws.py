"""Laws of what is proved of adaptively chosen releases, against exact integrals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from components.privacy import accounting, adaptive
from components.privacy.release import Gaussian, SampledGaussian
from tests.privacy_integrals import after_count, gaussian_divergence, least_stated

INTEGRATION = 1e-11


@pytest.mark.slow
@settings(deadline=None)
@given(
    st.integers(1, 3_000_000),
    st.floats(3, 300),
    st.floats(0.3, 12),
    st.floats(1e-6, 1e-3),
    st.booleans(),
)
def test_no_delta_that_is_stated_is_below_what_the_count_and_all_that_follows_it_lose(
    users, noise, epsilon, most, added
):
    def whole(stated):
        return max(accounting.gaussian_mu(epsilon, adaptive.proved_delta(stated, noise)), 1.0001 / noise)

    if accounting.gaussian_mu(epsilon, adaptive.proved_delta(1e-8, noise)) <= 1.0001 / noise:
        return  # the count alone is more than that; a training is refused
    assert after_count(users, noise, epsilon, most, whole, added) <= least_stated(users, noise, most) + INTEGRATION


@settings(deadline=None)
@given(st.floats(0.3, 3), st.floats(0.05, 0.95), st.floats(0.1, 8), st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_what_is_chosen_after_an_answer_within_a_fixed_budget_is_dominated_by_it(whole, first, epsilon, choices):
    mu = whole * math.sqrt(first)
    answers = np.linspace(-9, 9 + mu, 20_001)
    edges = np.linspace(-2, mu + 2, len(choices) - 1)
    left = whole * math.sqrt(1 - first)
    chosen = np.maximum(left * np.sqrt(choices), 1e-3 * left)[np.searchsorted(edges, answers)]
    for here, there in ((mu, 0.0), (0.0, mu)):
        loss = norm.logpdf(answers, here) - norm.logpdf(answers, there)
        density = norm.pdf(answers, here)
        exact = np.trapezoid(density * gaussian_divergence(epsilon - loss, chosen), answers)
        assert exact <= gaussian_divergence(epsilon, whole) + 1e-9


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(
    st.floats(1, 8),
    st.floats(0.001, 0.1),
    st.integers(1, 300),
    st.floats(1e-8, 1e-5),
    st.floats(0.5, 20),
)
def test_the_adaptive_figure_is_never_below_that_of_a_fixed_schedule(sigma, rate, steps, delta, other):
    events = [
        SampledGaussian(noise_multiplier=sigma, sample_rate=rate, steps=steps),
        Gaussian(noise_multiplier=other),
    ]
    by_pld = accounting.epsilon_of(events, delta, grid=accounting.FINE)
    assert adaptive.epsilon_of(events, delta) >= by_pld - 2 * accounting.FINE
