"""What canaries prove: a lower bound on ε under Gaussian noise, and one that assumes nothing about the noise.

The Gaussian estimator. With shift c of one user in the clipped sum and standard deviation τ of the noise, a release is
what its event says at the noise multiplier τ ÷ c. Both are taken from the canaries alone: τ from the coordinates that
nobody was in, c from those with canaries. Over `steps` steps with sample rate q a direction of k canaries has

    mean k q √steps · c  and variance  τ² + k q (1 − q) c²

(one step and q = 1 for a one-shot release), so the weighted mean over directions, in units of the estimate of τ, has a
noncentral t distribution that depends on c ÷ τ alone. Inverting its tail gives the largest noise multiplier that the
canaries are compatible with, and the accountant turns it into ε at δ: for a one-shot release ε of Gaussian
differential privacy at μ = c ÷ τ (as Andrew et al. 2024 estimate), for DP-SGD the same event with that noise (as Nasr
et al. 2023 convert). It is exact for Gaussian noise, up to the normal shape of a binomial for q < 1.

The one-run bound (Steinke, Nasr & Jagielski 2023, theorem 5.2) holds for any mechanism, and is far looser: of the
canaries that stand alone it guesses the most extreme ones, half of them "took part" and half "did not".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from components.core.errors import Refused
from components.privacy import accounting
from components.privacy.canaries import Canaries, Observed
from components.privacy.release import Gaussian, Noised, SampledGaussian

CONFIDENCE = 0.999
"""With which each bound holds."""

_MOST = 16.0
"""Times the claimed signal: more is not told apart from noise that is missing."""

_GUESSED = (0.04, 0.08, 0.15, 0.3, 0.5)
"""Shares of the canaries that may be guessed; which is taken is decided by the claim alone."""

_REPEATS = 41
"""Simulations of an exactly tight mechanism, of which the median is the ceiling."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(400)


@dataclass(frozen=True)
class Bounds:
    """Lower bounds on ε, both at `CONFIDENCE`.

    Attributes:
        epsilon: by the Gaussian estimator.
        one_run: by the one-run bound.
        noise_multiplier: the largest one that the canaries are compatible with; infinite where they prove nothing.
    """

    epsilon: float
    one_run: float
    noise_multiplier: float


def bounds(observed: Observed, claimed: Noised, delta: float) -> Bounds:
    """Return what was proved about a release of which `claimed` is said, at `delta`."""
    multiplier, share = largest_noise(observed, claimed), _share_to_guess(observed, claimed, delta)
    epsilon = _epsilon(claimed, multiplier, observed.steps, delta)
    return Bounds(epsilon, one_run(observed, delta, share=share), multiplier)


def ceiling(observed: Observed, claimed: Noised, delta: float) -> Bounds:
    """Return what `bounds` says in the median of a mechanism that is exactly as claimed, with equally many canaries.

    The simulation is of the claim, and reads of `observed` only how many canaries and steps there were.
    """
    drawn, share = np.random.default_rng(_REPEATS), _share_to_guess(observed, claimed, delta)
    tight = [simulated(observed, claimed, drawn) for _ in range(_REPEATS)]
    multiplier = float(np.median([largest_noise(one, claimed) for one in tight]))
    guessed = float(np.median([one_run(one, delta, share=share) for one in tight]))
    return Bounds(_epsilon(claimed, multiplier, observed.steps, delta), guessed, multiplier)


def simulated(like: Observed, event: Noised, drawn: np.random.Generator) -> Observed:
    """Return what canaries, as many as in `like`, show of a mechanism that is exactly `event`."""
    rate, sigma, steps = _sampling(event), event.noise_multiplier, like.steps
    canaries = Canaries(np.array(like.users), drawn.random(len(like.users)) < 0.5)
    taken = drawn.binomial(canaries.users * canaries.inserted * steps, rate) / math.sqrt(steps)
    noise = drawn.normal(0.0, sigma, canaries.directions + like.nulls)
    noise[: canaries.directions] += taken
    canaries.observe(noise, steps=steps)
    assert canaries.observed is not None
    return canaries.observed


def largest_noise(observed: Observed, claimed: Noised, confidence: float = CONFIDENCE) -> float:
    """Return the largest noise multiplier that is compatible with what was observed at `confidence`; see the module.

    Infinite where no noise is too much, and 1/16 of the claimed one where none at all was seen.
    """
    rate, steps, least = _sampling(claimed), observed.steps, claimed.noise_multiplier / _MOST
    users, inserted = np.array(observed.users, dtype=float), np.array(observed.inserted, dtype=bool)
    scores, spread = np.array(observed.scores), rate * (1 - rate)
    size, out = users[inserted], scores[~inserted]
    if not len(size):
        return math.inf
    empty = observed.nulls + len(out)
    mean = (observed.nulls * observed.null_mean + out.sum()) / empty
    square = (observed.nulls * observed.null_square + np.sum(out**2)) / empty - mean**2
    deviation = math.sqrt(max(square, 0.0) * empty / (empty - 1))
    weight = 1 / (1 + size * spread / claimed.noise_multiplier**2)
    norm = float(np.sum(weight * size**2))
    shift = float(np.sum(weight * size * (scores[inserted] - mean))) / norm
    if shift <= 0:
        return math.inf

    def tail(signal: float) -> float:
        """Return how likely so large a shift is if one user's is `signal` standard deviations of the noise."""
        variance = np.sum((weight * size) ** 2 * (1 + size * spread * signal**2))
        variance += np.sum(weight * size) ** 2 / empty
        error = math.sqrt(float(variance)) / norm
        if deviation == 0:
            return 0.0
        return noncentral_t_tail(shift / deviation / error, empty - 1, signal * rate * math.sqrt(steps) / error)

    if tail(1e-12) > 1 - confidence:
        return math.inf
    if tail(1 / least) <= 1 - confidence:
        return least
    return 1 / float(optimize.brentq(lambda signal: tail(signal) - (1 - confidence), 1e-12, 1 / least, xtol=1e-9))


def one_run(observed: Observed, delta: float, *, share: float, confidence: float = CONFIDENCE) -> float:
    """Return the ε at `delta` that guesses about the canaries that stand alone refute; see the module.

    Args:
        share: of these canaries that is guessed; it may not be chosen by the scores.
    """
    alone = np.array(observed.users) == 1
    scores, inserted = np.array(observed.scores)[alone], np.array(observed.inserted)[alone]
    each = round(len(scores) * share / 2)
    order = np.argsort(scores, kind="stable")
    right = int(inserted[order[len(order) - each :]].sum() + (~inserted[order[:each]]).sum())
    return refuted(len(scores), 2 * each, right, delta, 1 - confidence)


def refuted(canaries: int, guesses: int, right: int, delta: float, chance: float) -> float:
    """Return the largest ε at which so many right guesses have at most the probability `chance`."""
    if p_value(canaries, guesses, right, 0.0, delta) > chance:
        return 0.0
    low, high = 0.0, 1.0
    while high < 64 and p_value(canaries, guesses, right, high, delta) <= chance:
        low, high = high, 2 * high
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if p_value(canaries, guesses, right, middle, delta) <= chance else (low, middle)
    return low


def p_value(canaries: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """Bound the probability of `right` or more right guesses under (ε, δ)-DP (Steinke et al. 2023, theorem 5.2).

    Args:
        canaries: coins that were flipped.
        guesses: of them that were guessed; for the others the auditor abstained.
    """
    accuracy = 1 / (1 + math.exp(-epsilon))
    exact = stats.binom.sf(right - 1, guesses, accuracy)
    missed = np.arange(1, right + 1)
    below = np.cumsum(stats.binom.pmf(right - missed, guesses, accuracy))
    beyond = float(np.max(below / missed, initial=0.0))
    return min(1.0, float(exact) + 2 * canaries * delta * beyond)


def noncentral_t_tail(value: float, freedom: int, centre: float) -> float:
    """Return P[(Z + centre) ÷ W ≥ value] for normal Z and W² = χ²(freedom) ÷ freedom, by quadrature over W.

    SciPy's series does not converge where `centre` is in the hundreds.
    """
    root, width = math.sqrt(freedom), 9 / math.sqrt(2 * freedom)
    low = max(1e-9, 1 - width)
    at = (low + 1 + width) / 2 + (1 + width - low) / 2 * _NODES
    mass = root * np.exp(stats.chi.logpdf(root * at, freedom)) * _WEIGHTS * (1 + width - low) / 2
    return float(np.sum(mass * stats.norm.cdf(centre - value * at)) / np.sum(mass))


def _sampling(event: Noised) -> float:
    return event.sample_rate if isinstance(event, SampledGaussian) else 1.0


def _share_to_guess(observed: Observed, claimed: Noised, delta: float) -> float:
    """Return the share of guesses that proves most about a mechanism that is exactly as claimed."""
    canaries = sum(size == 1 for size in observed.users)
    signal = _sampling(claimed) * math.sqrt(observed.steps) / claimed.noise_multiplier

    def proves(share: float) -> float:
        edge = optimize.brentq(
            lambda at: stats.norm.sf(at) + stats.norm.sf(at - signal) - share, -10.0, 10.0 + 2 * signal
        )
        accuracy = stats.norm.sf(edge - signal) / share  # of those above the edge, took part; below, likewise
        each = round(canaries * share / 2)
        return refuted(canaries, 2 * each, math.floor(2 * each * accuracy), delta, 1 - CONFIDENCE)

    return max(_GUESSED, key=proves)


def _epsilon(claimed: Noised, noise_multiplier: float, steps: int, delta: float) -> float:
    """Return ε of the claimed event with another noise; where that is too much for a figure, with more noise."""
    if math.isinf(noise_multiplier):
        return 0.0
    if isinstance(claimed, Gaussian):
        mu = math.sqrt(claimed.count) / noise_multiplier
        return accounting.gaussian_epsilon(mu, delta)
    beyond = noise_multiplier < 0.7 * claimed.noise_multiplier  # far above the claim, where the third digit is idle
    grid = accounting.COARSE if beyond else accounting.FINE
    while True:
        event = claimed.model_copy(update={"noise_multiplier": noise_multiplier, "steps": steps})
        try:
            return accounting.epsilon_of([event], delta, grid=grid)
        except Refused:
            noise_multiplier *= 2
