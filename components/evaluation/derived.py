"""Figures that are derived from a released histogram, with intervals: a parametric bootstrap, post-processing alone.

With cells S = Σ h + N(0, τ²) over n rows, of which n̂ and its lower bound n⁻ are known, the mean is estimated by
m = P(S ÷ n̂), where P projects onto {m ≥ 0, Σ m as released, at most `mass`}: cells below zero are noise, and putting
them to zero alone would add the noise of every empty cell to the total. A figure's value is f(m).

Each draw of the bootstrap repeats on m what happened to the truth: a sample of n⁻ users, the release's noise, the
count's noise, and P. Nothing is known of how users differ in their cells, only h ≥ 0 and ‖h‖₁ ≤ c (the `mass`); but
c · diag(h) − h hᵀ is positive semidefinite for such an h (it is diagonally dominant), so that

    Cov(h)  =  E[h hᵀ] − m mᵀ  ≼  c · diag(m) − m mᵀ,

which is the covariance of a user who puts the whole mass c into one cell, cell j with probability m_j ÷ c. Users are
drawn like that: multinomially. No linear combination of the cells, and so no smooth figure to first order, then varies
less than it does with the users as they are.

The interval is the hull of the percentile and the basic bootstrap interval (Davison and Hinkley 1997, section 5.2),
which agree where f is nearly linear in the noise. Where noise pushes f to one side (it raises a calibration error, and
drags an AUC towards 1/2), the basic one corrects for the push that the draws show, and the percentile one does not. A
sum of absolute values that are all 0 in truth is pushed by b = Σ E|e|, of which draws around the estimate show only
(√2 − 1)·b, as |e + e*| is √2 times |e| in the mean: so the basic interval reaches 1 ÷ (√2 − 1) times as far as the push
that is seen. The interval never leaves the figure's declared range, and is all of it where the count tells nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

import numpy as np

from components.core.errors import ContractBroken
from components.core.records import Interval
from components.core.service import Histogram, Metric
from components.evaluation.histograms import JointPlan, NoisedHistograms
from components.evaluation.intervals import Counted
from components.evaluation.moments import Floats

_SEED = 20_260_229  # of post-processing: the same release gives the same intervals
_DRAWS, _MOST_DRAWS, _BEYOND = 1000, 20_000, 20  # enough that some draws lie beyond each bound
_KINK = 2**0.5 - 1


def derived(
    plan: JointPlan, noised: NoisedHistograms, histogram: Histogram, *, rows: Counted, confidence: float
) -> dict[str, dict[str, Interval]]:
    """Return by bundle every metric of `histogram` with bounds that hold it with `confidence`.

    Raises:
        ContractBroken: `histogram.figures` does not return the metrics that are declared.
    """
    return {
        name: intervals_of(
            np.array(cells), histogram, noise=plan.noise, mass=plan.mass, rows=rows, confidence=confidence
        )
        for name, cells in noised.cells.items()
    }


def intervals_of(
    cells: Floats, histogram: Histogram, *, noise: float, mass: float, rows: Counted, confidence: float
) -> dict[str, Interval]:
    """Return every metric of `histogram` from the noised sum `cells` of one bundle.

    Args:
        cells: `(size,)` noised sums over users.
        histogram: says which figures are derived.
        noise: standard deviation of the noise on each cell.
        mass: bound on the L1 norm of a user's cells.
        rows: how many were summed over.
        confidence: two-sided coverage, over the drawing of users and all noise.
    """
    means = projected(cells / rows.divisor, mass)
    found = _figures(histogram, means)
    if not rows.tells:
        return {metric.name: _whole(metric, found[metric.name]) for metric in histogram.metrics}
    random = np.random.default_rng(_SEED)
    draws = min(_MOST_DRAWS, max(_DRAWS, ceil(2 * _BEYOND / (1 - confidence))))
    chances = np.append(means, max(0.0, mass - means.sum())) / mass
    drawn = random.multinomial(rows.lower_bound, chances / chances.sum(), size=draws)[:, :-1] * mass
    counts = rows.lower_bound + rows.deviation * random.standard_normal(draws)
    drawn = (drawn + noise * random.standard_normal(drawn.shape)) / np.maximum(counts, 1.0)[:, None]
    bootstrap = [_figures(histogram, one) for one in projected(drawn, mass)]
    columns = {metric.name: np.array([one[metric.name] for one in bootstrap]) for metric in histogram.metrics}
    return {
        metric.name: _interval(metric, found[metric.name], columns[metric.name], confidence)
        for metric in histogram.metrics
    }


def projected(means: Floats, mass: float) -> Floats:
    """Return the nearest vector (Euclid) without negative cells and with the same total, that clipped to [0, mass].

    It does so with each vector along the last axis. The algorithm is Duchi et al. (2008), figure 1.
    """
    total = np.clip(means.sum(axis=-1, keepdims=True), 0.0, mass)
    falling = -np.sort(-means, axis=-1)
    excess = (np.cumsum(falling, axis=-1) - total) / np.arange(1, means.shape[-1] + 1)
    kept = np.maximum((falling > excess).sum(axis=-1, keepdims=True) - 1, 0)
    return np.where(total > 0, np.maximum(means - np.take_along_axis(excess, kept, axis=-1), 0.0), 0.0)


def _figures(histogram: Histogram, means: Floats) -> Mapping[str, float]:
    found = histogram.figures(means)
    declared = {metric.name for metric in histogram.metrics}
    if set(found) != declared:
        raise ContractBroken(
            "The figures of a histogram are others than those that are declared",
            value=", ".join(sorted(found)) or "none",
            limit=", ".join(sorted(declared)),
            next_step="Let SERVICE.histogram.figures return what SERVICE.histogram.metrics names.",
        )
    return found


def _interval(metric: Metric, value: float, draws: Floats, confidence: float) -> Interval:
    if not np.isfinite(value):
        return _whole(metric, value)
    tail = (1 - confidence) / 2
    # A draw that is no number might have been any: it counts against both bounds.
    below = np.where(np.isfinite(draws), draws, metric.low)
    above = np.where(np.isfinite(draws), draws, metric.high)
    low = float(np.quantile(below, tail, method="lower"))
    high = float(np.quantile(above, 1 - tail, method="higher"))
    raised, lowered = max(0.0, float(above.mean()) - value), max(0.0, value - float(below.mean()))
    further = 1 / _KINK - 1
    return Interval(
        value=_within(metric, value),
        low=_within(metric, min(low, 2 * value - high - further * raised, value)),
        high=_within(metric, max(high, 2 * value - low + further * lowered, value)),
    )


def _whole(metric: Metric, value: float) -> Interval:
    middle = (metric.low + metric.high) / 2
    return Interval(value=_within(metric, value) if np.isfinite(value) else middle, low=metric.low, high=metric.high)


def _within(metric: Metric, value: float) -> float:
    return float(min(metric.high, max(metric.low, value)))
