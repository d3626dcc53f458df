"""The price of a search whose trials are Gaussians against what it exactly costs, by integrating its density.

Nothing here is of `components.privacy.tuning` but the price: the laws of the number of trials are those of SciPy, the
best of K scores has the density Σ P(K = k) · k · F(y)^(k − 1) · f(y), and divergences are integrals over it.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq
from scipy.special import logsumexp

from components.privacy import accounting
from components.privacy.release import BestOf, Gaussian, Trials

Vector = NDArray[np.float64]

DELTA = 1e-5
MUS = (0.25, 0.5, 1.0)
ONCE = Trials(expected=1)
LAWS = (
    Trials(law="poisson", expected=5),
    Trials(law="poisson", expected=30),
    Trials(expected=3, shape=0.0),
    Trials(expected=10, shape=0.0),
    Trials(expected=3, shape=1.0),
    Trials(expected=10, shape=1.0),
    Trials(expected=10, shape=2.0),
)
SCORES: Vector = np.linspace(-16, 18, 1021)
MANY: Vector = np.arange(1, 1001, dtype=np.float64)
REACH = 11
"""Of an order times μ: there the integrand of a divergence has its mass, and it must lie within the scores."""


@cache
def law(trials: Trials) -> Vector:
    """P(K = k) for k = 0, 1, …, with the parameter that gives the mean."""
    ks = np.concatenate([[0], MANY])
    if trials == ONCE:
        return np.asarray(ks == 1, dtype=np.float64)
    if trials.law == "poisson":
        return np.asarray(stats.poisson.pmf(ks, trials.expected))

    def chances(stop: float) -> Vector:
        if trials.shape == 0:
            return np.asarray(stats.logser.pmf(ks, 1 - stop))
        whole = stats.nbinom.pmf(ks, trials.shape, stop)
        whole[0] = 0
        return np.asarray(whole / whole.sum())

    return chances(brentq(lambda stop: chances(stop) @ ks - trials.expected, 0.01, 0.999))


@cache
def best(trials: Trials, mean: float) -> Vector:
    """Logarithms of the density of the best of K scores of N(mean, 1), by `SCORES`; nowhere where K is 0."""
    with np.errstate(divide="ignore"):
        weights = np.log(law(trials)[1:]) + np.log(MANY)
    below = stats.norm.logcdf(SCORES, loc=mean)
    inner = np.array([logsumexp(weights + (MANY - 1) * one) for one in below])
    return np.asarray(stats.norm.logpdf(SCORES, loc=mean) + inner)


def divergence(trials: Trials, mu: float, order: float) -> float:
    """The larger Rényi divergence of both directions: what the search tells where it found nothing has a part too."""
    step, nothing = SCORES[1] - SCORES[0], law(trials)[0]
    both = []
    for one, other in ((0.0, mu), (mu, 0.0)):
        whole = logsumexp(order * best(trials, one) + (1 - order) * best(trials, other)) + math.log(step)
        both.append(np.logaddexp(whole, math.log(nothing) if nothing else -math.inf) / (order - 1))
    return float(max(both))


def exact_epsilon(trials: Trials, mu: float) -> float:
    """The ε at `DELTA`, from the densities themselves."""
    step = SCORES[1] - SCORES[0]

    def excess(epsilon: float) -> float:
        pairs = ((best(trials, one), best(trials, other)) for one, other in ((0.0, mu), (mu, 0.0)))
        return max(float(np.maximum(np.exp(p) - np.exp(epsilon + q), 0).sum() * step) for p, q in pairs) - DELTA

    return float(brentq(excess, 0.0, 60.0))


def priced(trials: Trials, mu: float) -> BestOf:
    return BestOf(choices=((Gaussian(noise_multiplier=1 / mu),),), trials=trials)


@pytest.mark.parametrize("trials", LAWS, ids=lambda one: f"{one.law} {one.shape:g}, {one.expected:g}")
def test_the_best_of_gaussian_trials_costs_no_more_than_its_price_which_is_not_absurd(trials: Trials) -> None:
    step = SCORES[1] - SCORES[0]
    for mu in MUS:
        assert np.exp(best(trials, mu)).sum() * step + law(trials)[0] == pytest.approx(1, abs=1e-9)
        for order in (order for order in (2, 3, 5, 8, 16, 32, 44) if order * mu <= REACH):
            assert divergence(trials, mu, order) <= accounting.rdp(priced(trials, mu), order) + 1e-9
        exact, price = exact_epsilon(trials, mu), accounting.epsilon_of([priced(trials, mu)], DELTA)
        assert exact <= price < 2.5 * exact


@pytest.mark.parametrize("mu", MUS)
def test_the_integral_gives_a_single_trial_what_is_known_of_it(mu: float) -> None:
    for order in (2, 8, 11):
        assert divergence(ONCE, mu, order) == pytest.approx(order * mu**2 / 2, rel=1e-6)
    assert exact_epsilon(ONCE, mu) == pytest.approx(accounting.gaussian_epsilon(mu, DELTA), rel=1e-3)
