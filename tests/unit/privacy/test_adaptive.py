import math

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import norm

from components.core.errors import Misconfigured
from components.privacy import accounting, adaptive
from components.privacy.plan import PrivacyPlan
from components.privacy.release import Gaussian, SampledGaussian
from tests.privacy_integrals import after_count, gaussian_divergence, least_stated

DELTA = 3.9e-6
DP_SGD = SampledGaussian(noise_multiplier=6.0, sample_rate=0.04, steps=600)


def test_a_gaussian_dominates_itself_and_nothing_less_does():
    event = Gaussian(noise_multiplier=2.0, count=3)
    assert adaptive.dominating_mu(event, 1e-12) == pytest.approx(3**0.5 / 2)
    everyone = SampledGaussian(noise_multiplier=2.0, sample_rate=1.0, steps=3)
    assert adaptive.dominating_mu(everyone, 1e-12) == pytest.approx(3**0.5 / 2)
    assert adaptive.dominated(everyone, 3**0.5 / 2, 1e-12)
    assert not adaptive.dominated(everyone, 0.999 * 3**0.5 / 2, 1e-12)


def test_a_dominating_mu_is_no_less_than_one_point_of_the_curve_asks_and_hardly_more():
    mu = adaptive.dominating_mu(DP_SGD, adaptive.SLACK * DELTA)
    at_one_point = accounting.gaussian_mu(accounting.epsilon_of([DP_SGD], DELTA), DELTA)
    assert at_one_point < mu < 1.005 * at_one_point


@pytest.mark.slow
def test_a_sampled_step_is_below_its_gaussian_at_every_epsilon_in_both_orders():
    sigma, rate, slack = 0.9, 0.05, 1e-9
    mu = adaptive.dominating_mu(SampledGaussian(noise_multiplier=sigma, sample_rate=rate, steps=1), slack)
    points = np.linspace(-14 * sigma, 14 * sigma + 1, 40_001)
    out = norm.pdf(points, 0, sigma)
    mixed = (1 - rate) * out + rate * norm.pdf(points, 1, sigma)
    for epsilon in np.linspace(-6, 6, 61):
        most = gaussian_divergence(epsilon, mu) + slack
        for p, q in ((mixed, out), (out, mixed)):
            exact = np.trapezoid(np.maximum(p - math.exp(epsilon) * q, 0), points)
            assert exact <= most + 1e-10
    assert not adaptive.dominated(SampledGaussian(noise_multiplier=sigma, sample_rate=rate, steps=1), 0.98 * mu, slack)


@pytest.mark.slow
def test_a_plan_for_mu_is_dominated_by_it_and_composes_with_anything():
    facts = {"delta": DELTA, "population": 25_000, "expected_batch_size": 1_024, "steps": 600, "max_grad_norm": 1.0}
    plan = PrivacyPlan.calibrate(mu=0.22, **facts)
    mu = adaptive.dominating_mu(plan.event, adaptive.SLACK * DELTA)
    assert 0.995 * 0.22 < mu <= 0.22
    events = [Gaussian(noise_multiplier=15.0), Gaussian(noise_multiplier=1.7), plan.event]
    by_pld, by_lemma = accounting.epsilon_of(events, DELTA), adaptive.epsilon_of(events, DELTA)
    assert by_pld < by_lemma < 1.01 * by_pld


def test_gaussians_alone_cost_adaptively_what_they_cost_as_a_schedule():
    events = [Gaussian(noise_multiplier=15.0), Gaussian(noise_multiplier=2.0)]
    assert adaptive.epsilon_of(events, DELTA) == pytest.approx(accounting.epsilon_of(events, DELTA), rel=1e-12)
    assert adaptive.epsilon_of([], DELTA) == 0


def test_more_sampled_releases_than_slack_is_kept_for_are_one_clear_sentence():
    event = SampledGaussian(noise_multiplier=50.0, sample_rate=0.01, steps=2)
    with pytest.raises(Misconfigured, match=r"too many candidates .*\(found 51, limit 50\)"):
        adaptive.epsilon_of([event] * 51, DELTA)


@pytest.mark.parametrize(("users", "most_lost"), [(500, 0.003), (26_000, 0.0012), (112_000, 0.0008)])
def test_that_delta_follows_the_count_costs_less_than_a_third_of_a_percent_of_mu(users, most_lost):
    stated = adaptive.stated_delta(users, 1e-5)
    for epsilon in (0.5, 1.0, 3.0, 10.0):
        allowed = adaptive.allowed_mu(epsilon, adaptive.proved_delta(stated, 15.0))
        assert (1 - most_lost) * accounting.gaussian_mu(epsilon, stated) < allowed


def test_a_delta_below_what_a_count_s_tail_takes_is_refused():
    with pytest.raises(Misconfigured, match="δ is too small"):
        adaptive.proved_delta(5e-12, 15.0)


def test_noise_calibrated_at_the_delta_that_is_stated_would_not_keep_it():
    users, noise, epsilon, most = 12_000, 100.0, 3.0, 1e-5

    def at_stated(stated):
        return accounting.gaussian_mu(epsilon, stated)

    def at_proved(stated):
        return accounting.gaussian_mu(epsilon, adaptive.proved_delta(stated, noise))

    stated = least_stated(users, noise, most)
    assert after_count(users, noise, epsilon, most, at_stated) > 1.03 * stated
    assert after_count(users, noise, epsilon, most, at_proved) <= stated


def test_the_reach_of_a_count_leaves_half_of_its_tail():
    assert 2 * ndtr(-adaptive.REACH) == pytest.approx(adaptive.TAIL / 2)
