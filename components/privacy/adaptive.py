"""What is proved of releases whose noise was chosen after earlier answers: composition of dominating Gaussians.

A release is *dominated by μ up to τ* if for all γ ≥ 0 and both orders of the neighbours its hockey-stick divergence is
at most that of N(μ, 1) from N(0, 1), plus τ. A Gaussian event is so at τ = 0; of a sampled one it is certified here.

**Lemma** (fully adaptive composition; after Smith & Thakurta 2022 and Koskela, Tobaben & Honkela 2023).
Let M² and T be fixed. If each release is dominated by some μᵢ up to some τᵢ, both chosen from the answers before it,
with Σ μᵢ² ≤ M² and Σ τᵢ ≤ T always, then all answers together are dominated by M up to T. *Proof*, by the number of
releases: μ₁ is fixed, and whatever the first answer x is, the others are dominated by √(M² − μ₁²) up to T − τ₁. With ℓ
the ratio of densities, H_γ(all) = E[H_{γ/ℓ(x)}(others given x)] is at most that of the first release and an independent
N(√(M² − μ₁²), 1), plus T − τ₁; exchange the two, and do the same with the first.

**Theorem** (δ that follows the count). A training first counts its n users with noise N(0, s²), whence n̂ = max(1,
⌊n + noise − 3.09 s⌋). It states an ε that was fixed beforehand, and δ(n̂) = min(most, 1/(10 n̂)); it keeps everything,
the count included, within the M(n̂) and T(n̂) that the lemma allows for ε at d(n̂) = `proved_delta(δ(n̂), s)`. Then
P(S) ≤ e^ε Q(S) + δ* for neighbours P and Q and every set S of all answers, where δ* depends on P alone and is at most
the δ(n̂) that is stated, unless the count's noise is beyond `REACH` · s, which has a probability below 10⁻¹².
*Proof*: let A be the counts within REACH · s of P's n. M and T (a fixed share of d) grow as n̂ falls. So, whatever was
counted in A, the rest is dominated by what the least n̂ in A, a, allows, and the lemma, with everything else put into
the term of its own, gives P(S) ≤ e^ε Q(S) + d(a) + P(outside A). In A, n̂ varies by at most 2 REACH s + 1 users, for
which d was lowered: d(a) + 10⁻¹² ≤ δ(n̂) for every n̂ in A.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr, ndtri

from components.core.errors import Misconfigured, Refused
from components.privacy import accounting
from components.privacy.release import BestOf, Event, SampledGaussian

TAIL = 1e-12
"""Part of δ for a count that is further off than `REACH`; half of it is for rounding."""
REACH = -float(ndtri(TAIL / 4))
"""Deviations of a count's noise beyond which it falls, on either side, with probability `TAIL` / 2."""
SLACK = 2e-4
"""Part of δ up to which each sampled release is dominated: further out, its tail is heavier than a Gaussian's."""
RESERVED = 1e-2
"""Part of δ that a training keeps for all slack together, however many of its releases are sampled."""

_POINTS = 8001
"""Of a curve. Between two of them a Gaussian's δ falls by (ε/μ)²/8000, which is below 1% where it matters."""
_PER_USER = 10
"""δ is at most one in so many times the users."""


def stated_delta(users: int, most: float) -> float:
    """Return the δ that is stated of a split with at least so many users."""
    return min(most, 1 / (_PER_USER * users))


def proved_delta(stated: float, count_noise: float) -> float:
    """Return the lower δ that releases after a count keep within, so that what is `stated` holds (see the theorem).

    Args:
        stated: of `stated_delta`, by the lower bound of the count.
        count_noise: its standard deviation, in users.

    Raises:
        Misconfigured: `stated` is too small to leave anything.
    """
    others = math.ceil(2 * REACH * count_noise) + 1
    proved = 1 / (1 / stated + _PER_USER * others) - TAIL
    if proved < 10 * TAIL:
        raise Misconfigured(
            "δ is too small for what depends on a noisy count", value=f"δ = {stated:g}", limit=f"δ above {11 * TAIL:g}"
        )
    return proved


def allowed_mu(epsilon: float, delta: float) -> float:
    """Return the M of the lemma: the μ that all releases of a training may have together, at T = `RESERVED` · δ."""
    return accounting.gaussian_mu(epsilon, delta * (1 - RESERVED))


def epsilon_of(events: Iterable[Event], delta: float) -> float:
    """Return the ε at `delta` of all `events` together by the lemma, whoever chose them and after whatever answers.

    Gaussians alone cost what they do by PLD, which is for a schedule that was fixed beforehand; others hardly more.

    Raises:
        Misconfigured: more events are sampled than slack is reserved for.
        Refused: so much is lost that its distribution would not fit into memory.
    """
    fixed = list(events)
    mu = math.sqrt(sum(dominating_mu(event, SLACK * delta) ** 2 for event in fixed))
    sampled = sum(map(_sampled, fixed))
    if sampled * SLACK > RESERVED:
        raise Misconfigured(
            "A training has too many candidates that sample their users",
            value=sampled,
            limit=f"{RESERVED / SLACK:.0f}",
            next_step="Take trials out of training.trials.",
        )
    return accounting.gaussian_epsilon(mu, delta * (1 - RESERVED) if sampled else delta)


@lru_cache(maxsize=256)
def dominating_mu(event: Event, slack: float) -> float:
    """Return the least μ, to 10⁻⁹, that dominates `event` up to `slack`; a Gaussian's own, exactly, whatever `slack`.

    Raises:
        Refused: so much is lost that its distribution would not fit into memory; or it is a search, which no Gaussian
            is known to dominate.
    """
    if isinstance(event, BestOf):
        raise Refused("A search is composed by its Rényi divergence alone", next_step="See `tuning`.")
    if not isinstance(event, SampledGaussian):
        return math.sqrt(event.count) / event.noise_multiplier
    everyone = math.sqrt(event.steps) / event.noise_multiplier
    if not _sampled(event):
        return everyone
    curve = _curve(event, slack, accounting.FINE)
    low, high = 0.0, everyone  # sampling never costs more than everyone: Gaussian mixtures are post-processing
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if _below(curve, middle, slack) else (middle, high)
    return high


def dominated(event: SampledGaussian, mu: float, slack: float, grid: float = accounting.FINE) -> bool:
    """Return whether `event` is certainly dominated by `mu` up to `slack`; a coarser `grid` certifies less."""
    if not _sampled(event):
        return math.sqrt(event.steps) / event.noise_multiplier <= mu
    try:
        return _below(_curve(event, slack, grid), mu, slack)
    except Refused:  # a loss that is too large for a figure is above any target
        return False


Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


def _sampled(event: Event) -> bool:
    return isinstance(event, SampledGaussian) and event.sample_rate < 1 and event.steps > 0


def _curve(event: SampledGaussian, slack: float, grid: float) -> Curve:
    """Return ε from 0 on, and an upper bound of δ at each, down to where `slack` covers the rest."""
    loss = accounting.distribution_of(event, slack, grid)
    reach = grid
    while loss.get_delta_for_epsilon(reach) > slack:
        reach *= 2
    epsilons = np.linspace(0.0, reach, _POINTS)
    return epsilons, np.asarray(loss.get_delta_for_epsilon(epsilons))


def _below(curve: Curve, mu: float, slack: float) -> bool:
    """Compare each δ with the Gaussian's at the *next* ε: both curves fall, so it holds between the points too.

    Beyond the last point `slack` covers all. Below ε = 0 it follows: H_γ(P, Q) = 1 − γ + γ H_{1/γ}(Q, P), either order
    being within the curve.
    """
    epsilons, deltas = curve
    if mu <= 0:
        return False
    after = epsilons[1:]
    gaussian = ndtr(mu / 2 - after / mu) - np.exp(after + log_ndtr(-after / mu - mu / 2))
    return bool((deltas[:-1] <= gaussian + slack).all())
