"""Intervals from noised moments: sampling error, the release's noise and the count's noise in one.

For a figure with noised sums S₁ = Σ z + N(0, s₁²) and S₂ = Σ z² + N(0, s₂²) over n users, of whom only the noised count
n̂ and its lower bound n⁻ are known, the mean is m = S₁ ÷ n̂ and its variance at most about

    v ÷ n⁻  +  (s₁ ÷ n⁻)²  +  (m · s_n ÷ n⁻)²,        v = max(0, S₂ ÷ n̂ − m²) + its own standard error, at most 1.

The interval is normal. It is conservative where the noise is large, because v errs upwards, and it never leaves the
declared range. Compare Karwa and Vadhan (2018), who bound the same two errors for normal data.
"""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist

from components.core.records import Interval, Population
from components.evaluation.moments import SECOND, Figure, MomentsPlan, NoisedMoments

_COUNT_FAILURE = 1e-3  # by the definition of Population.lower_bound


def count_deviation(population: Population) -> float | None:
    """Return a standard deviation of the DP count's noise that is not too small; None where the bound tells nothing."""
    if population.lower_bound <= 1:
        return None
    return (population.noised - population.lower_bound) / NormalDist().inv_cdf(1 - _COUNT_FAILURE)


def interval(
    figure: Figure,
    first: float,
    second: float,
    *,
    population: Population,
    mu: float,
    sensitivity: float,
    confidence: float,
) -> Interval:
    """Return the mean of `figure` with bounds that hold it with `confidence`.

    Args:
        figure: what was summed, and in which range.
        first, second: noised Σ z and Σ z².
        population: how many users were summed over; where its lower bound is 1 nothing is known, and the bounds are
            the declared range.
        mu, sensitivity: of the release.
        confidence: two-sided coverage, over the drawing of users and all noise.
    """
    count, lower = max(population.noised, 1.0), population.lower_bound
    mean = _within(first / count, 1.0)
    value = figure.middle + figure.half * mean
    counted = count_deviation(population)
    if counted is None:
        return Interval(value=value, low=figure.low, high=figure.high)
    noise = sensitivity / mu / figure.weight / lower
    noise_of_second = noise / SECOND
    by_count = counted / lower
    variance = max(0.0, second / count - mean**2) + sqrt(
        noise_of_second**2 + (2 * mean * noise) ** 2 + ((second / count - 2 * mean**2) * by_count) ** 2
    )
    deviation = sqrt(min(1.0, variance) / lower + noise**2 + (mean * by_count) ** 2)
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * deviation
    return Interval(
        value=value,
        low=figure.middle + figure.half * _within(mean - reach, 1.0),
        high=figure.middle + figure.half * _within(mean + reach, 1.0),
    )


def intervals(
    plan: MomentsPlan, noised: NoisedMoments, *, population: Population, confidence: float
) -> tuple[Interval, ...]:
    """Return the interval of every figure of `plan`, in order."""
    return tuple(
        interval(
            figure,
            first,
            second,
            population=population,
            mu=plan.mu,
            sensitivity=plan.sensitivity,
            confidence=confidence,
        )
        for figure, first, second in zip(plan.figures, noised.first, noised.second, strict=True)
    )


def _within(value: float, bound: float) -> float:
    return min(bound, max(-bound, value))
