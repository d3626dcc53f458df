"""Intervals from noised moments: sampling error, the sums' noise and the count's noise in one.

For a figure with noised sums S₁ = Σ z + N(0, s₁²) and S₂ = Σ z² + N(0, s₂²) over n rows, of which only the noised count
n̂ = n + N(0, s_n²) of the same release and its lower bound n⁻ are known, the mean is m = S₁ ÷ n̂ and its variance at most
about

    v ÷ n⁻  +  (s₁ ÷ n⁻)²  +  (m · s_n ÷ n⁻)²,        v = max(0, S₂ ÷ n̂ − m²) + its own standard error, at most 1.

The interval is normal. It is conservative where the noise is large, because v errs upwards, and it never leaves the
declared range. Compare Karwa and Vadhan (2018), who bound the same two errors for normal data.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, sqrt
from statistics import NormalDist

from components.core.records import Interval
from components.evaluation.moments import SECOND, Figure, MomentsPlan, NoisedMoments
from components.privacy.mechanisms import lower_bound


@dataclass(frozen=True)
class Counted:
    """How many rows a release summed over, as the release itself says it.

    Attributes:
        noised: the number with the release's noise, which may be below 1.
        deviation: standard deviation of that noise.
    """

    noised: float
    deviation: float

    @property
    def divisor(self) -> float:
        """The number to divide a sum by."""
        return max(self.noised, 1.0)

    @property
    def lower_bound(self) -> int:
        """At least 1; above the truth in one release out of a thousand."""
        return max(1, floor(lower_bound(self.noised, self.deviation)))

    @property
    def tells(self) -> bool:
        """False where the noise may be all that was counted: then nothing is known of a mean."""
        return self.lower_bound > 1


def counted(plan: MomentsPlan, noised: NoisedMoments) -> Counted:
    """Return the number of rows that `noised`, released by `plan`, holds."""
    return Counted(noised.rows, plan.noise_of_count)


def interval(
    figure: Figure,
    first: float,
    second: float,
    *,
    rows: Counted,
    mu: float,
    sensitivity: float,
    confidence: float,
) -> Interval:
    """Return the mean of `figure` with bounds that hold it with `confidence`.

    Args:
        figure: what was summed, and in which range.
        first, second: noised Σ z and Σ z².
        rows: how many were summed over; where that tells nothing, the bounds are the declared range.
        mu, sensitivity: of the release.
        confidence: two-sided coverage, over the drawing of users and all noise.
    """
    count, lower = rows.divisor, rows.lower_bound
    mean = _within(first / count, 1.0)
    value = figure.middle + figure.half * mean
    if not rows.tells:
        return Interval(value=value, low=figure.low, high=figure.high)
    noise = sensitivity / mu / figure.weight / lower
    noise_of_second = noise / SECOND
    by_count = rows.deviation / lower
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


def intervals(plan: MomentsPlan, noised: NoisedMoments, *, confidence: float) -> tuple[Interval, ...]:
    """Return the interval of every figure of `plan`, in order."""
    return tuple(
        interval(
            figure,
            first,
            second,
            rows=counted(plan, noised),
            mu=plan.mu,
            sensitivity=plan.sensitivity,
            confidence=confidence,
        )
        for figure, first, second in zip(plan.figures, noised.first, noised.second, strict=True)
    )


def _within(value: float, bound: float) -> float:
    return min(bound, max(-bound, value))
