import math

import numpy as np
import pytest
from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant
from opacus.accountants.analysis.rdp import compute_rdp
from scipy.stats import norm

from components.core.errors import Refused
from components.privacy import accounting
from components.privacy.release import Gaussian, SampledGaussian

DP_SGD = SampledGaussian(noise_multiplier=1.0, sample_rate=0.04, steps=600)


def delta_by_definition(epsilon, mu):
    """Balle & Wang's theorem 8, written with the normal distribution itself."""
    return norm.cdf(-epsilon / mu + mu / 2) - math.exp(epsilon) * norm.cdf(-epsilon / mu - mu / 2)


@pytest.mark.parametrize("epsilon", [0.05, 0.5, 1, 3, 10, 50])
@pytest.mark.parametrize("delta", [1e-9, 1e-6, 1e-5])
def test_gaussian_mu_is_the_analytic_gaussian_mechanism(epsilon, delta):
    mu = accounting.gaussian_mu(epsilon, delta)
    assert delta_by_definition(epsilon, mu) == pytest.approx(delta, rel=1e-5)
    assert accounting.gaussian_epsilon(mu, delta) == pytest.approx(epsilon, rel=1e-6)


def test_the_pld_of_a_gaussian_agrees_with_the_closed_form():
    event = Gaussian(noise_multiplier=2.0, count=3)
    by_library = PLDAccountant().compose(GaussianDpEvent(2.0), 3).get_epsilon(1e-6)
    assert accounting.epsilon_of([event], 1e-6) == pytest.approx(by_library, rel=2e-3)
    assert accounting.epsilon_of([event], 1e-6) <= by_library


def test_a_mixed_schedule_costs_what_the_library_says():
    mixed = [DP_SGD, Gaussian(noise_multiplier=3.0), Gaussian(noise_multiplier=30.0, count=4)]
    library = PLDAccountant().compose(SelfComposedDpEvent(PoissonSampledDpEvent(0.04, GaussianDpEvent(1.0)), 600))
    library.compose(GaussianDpEvent(3.0)).compose(GaussianDpEvent(30.0), 4)
    assert accounting.epsilon_of(mixed, 1e-6) == pytest.approx(library.get_epsilon(1e-6), rel=1e-3)


def test_the_coarse_grid_errs_on_the_safe_side_and_little():
    coarse = accounting.epsilon_of([DP_SGD], 1e-6, grid=accounting.COARSE)
    fine = accounting.epsilon_of([DP_SGD], 1e-6)
    assert fine <= coarse <= 1.01 * fine


def test_nothing_costs_nothing():
    none = [Gaussian(noise_multiplier=1.0, count=0), DP_SGD.model_copy(update={"steps": 0})]
    assert accounting.epsilon_of(none, 1e-6) == 0
    assert accounting.rdp(none[0], 4) == accounting.rdp(none[1], 4) == 0


def test_sampling_everyone_is_not_sampling():
    everyone = SampledGaussian(noise_multiplier=4.0, sample_rate=1.0, steps=5)
    assert accounting.rdp(everyone, 8) == accounting.rdp(Gaussian(noise_multiplier=4.0, count=5), 8)
    assert accounting.epsilon_of([everyone], 1e-6) == accounting.epsilon_of(
        [Gaussian(noise_multiplier=4.0, count=5)], 1e-6
    )


@pytest.mark.parametrize("order", [2, 4, 17, 64])
@pytest.mark.parametrize("sigma", [0.6, 1.0, 5.0])
@pytest.mark.parametrize("rate", [0.001, 0.04, 0.5])
def test_rdp_of_sampled_steps_agrees_with_two_libraries(order, sigma, rate):
    ours = accounting.rdp(SampledGaussian(noise_multiplier=sigma, sample_rate=rate, steps=100), order)
    opacus = compute_rdp(q=rate, noise_multiplier=sigma, steps=100, orders=[order])[0]
    google = RdpAccountant([order]).compose(PoissonSampledDpEvent(rate, GaussianDpEvent(sigma)), 100).rdp[0]
    assert ours == pytest.approx(opacus, rel=1e-6, abs=1e-9)
    assert ours == pytest.approx(google, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    "event",
    [
        SampledGaussian(noise_multiplier=1.0, sample_rate=0.04, steps=10_000_000),
        SampledGaussian(noise_multiplier=0.01, sample_rate=0.01, steps=1),
    ],
)
def test_a_loss_whose_figure_would_fill_the_memory_is_refused_before_it_is_computed(event, monkeypatch):
    monkeypatch.setattr(accounting, "_sampled_pld", lambda *_: pytest.fail("it was computed"))
    with pytest.raises(Refused, match=r"too large.*limit ε = 3,000.*fewer steps, or more noise"):
        accounting.epsilon_of([DP_SGD, event], 1e-6)


def test_many_steps_that_lose_little_have_their_figure():
    event = SampledGaussian(noise_multiplier=1.0, sample_rate=1e-5, steps=10_000_000)
    assert 0.3 < accounting.epsilon_of([event], 1e-6) < accounting.rdp_epsilon_of([event], 1e-6) < 0.5


def test_the_budget_of_an_account_is_that_of_its_cap_at_the_best_order():
    order, budget = accounting.rdp_budget(10, 1e-6)
    assert accounting.rdp_epsilon(budget, order, 1e-6) == pytest.approx(10)
    assert all(accounting.rdp_budget_at(other, 10, 1e-6) / other <= budget / order for other in range(2, 100))


def test_a_cap_that_no_order_can_hold_is_refused():
    with pytest.raises(Refused, match="No Rényi order"):
        accounting.rdp_budget(0.001, 1e-12)


def test_rdp_reports_a_little_more_than_pld():
    ratio = accounting.rdp_epsilon_of([DP_SGD], 1e-6) / accounting.epsilon_of([DP_SGD], 1e-6)
    assert 1.0 < ratio < 1.15


@pytest.mark.parametrize(
    "event",
    [
        DP_SGD,
        SampledGaussian(noise_multiplier=6.0, sample_rate=0.04, steps=600),
        SampledGaussian(noise_multiplier=30.0, sample_rate=0.04, steps=600),
        SampledGaussian(noise_multiplier=4.0, sample_rate=1.0, steps=5),
    ],
)
def test_two_accountants_that_share_no_code_agree(event):
    both = accounting.cross_check(event, 1e-6)
    assert both["prv"] == pytest.approx(both["pld"], rel=1e-3)


def test_accountants_that_disagree_refuse(monkeypatch):
    monkeypatch.setattr(accounting, "prv_epsilon", lambda event, delta: (7.2, 0.01))
    with pytest.raises(Refused, match=r"do not agree.*PLD ε = 7\.305.*PRV ε = 7\.2000.*Do not release"):
        accounting.cross_check(DP_SGD, 1e-6)
    monkeypatch.setattr(accounting, "prv_epsilon", lambda event, delta: (math.nan, 0.01))
    with pytest.raises(Refused, match="do not agree"):
        accounting.cross_check(DP_SGD, 1e-6)


def test_an_event_that_prv_has_no_figure_for_is_refused():
    event = SampledGaussian(noise_multiplier=0.01, sample_rate=0.5, steps=10_000)
    with np.errstate(all="ignore"), pytest.raises(Refused, match="no figure"):
        accounting.prv_epsilon(event, 1e-6)
