"""What the best of a random number of trials costs: the RDP adapter for a search, which dp_accounting has no event for.

A *trial* Q draws a choice from a public grid, runs the mechanism of that choice, and gives a score that is itself
noised; the choice, what was made and the score are its answer. A search A draws K, the number of trials, from a
declared law that reads no data, runs Q so many times with fresh randomness, and answers with the trial of the largest
score alone. How many trials there were and what the others answered stays secret: nothing here covers it.

Formal guarantee (Papernot & Steinke 2022, "Hyperparameter tuning with Rényi differential privacy", ICLR). Let Q be
(α, ρ(α))-RDP. A is (α, ρ')-RDP, with E the expected number of trials and

    theorem 2, K truncated negative binomial with η > −1 and γ, for any order β ≥ 1:
        ρ' = ρ(α) + (1 + η) (1 − 1/β) ρ(β) + (1 + η) log(1/γ) / β + log(E) / (α − 1)

    theorem 6, K Poisson with mean E, Q also (ε̂, δ̂)-DP at ε̂ = log(1 + 1/(α − 1)):
        ρ' = ρ(α) + E δ̂ + log(E) / (α − 1)

η = 1 is the geometric law, η = 0 the logarithmic one. Where K is 0, which only Poisson's can be, the answer is one that
was fixed beforehand. As to the grid: with the choice a part of its answer, Q is a mixture of which the component is
told, so that ρ(α) is at most the largest among the choices, and δ̂ too.

There is no privacy loss distribution of A here: whatever asks for one is given the conversion of ρ', which is larger.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from functools import lru_cache, partial

from scipy.optimize import brentq

from components.core.errors import Refused
from components.privacy import accounting, adaptive
from components.privacy.release import BestOf, Gaussian, Trials

ORDERS = (*range(2, 33), *range(36, 65, 4), 80, 96, 128, 192, 256)
"""Orders β, and orders α that a search may be planned at."""

_SLACK = 1e-7
"""Part of δ̂ up to which a sampled event is dominated by a Gaussian."""
_FARTHEST = 1e9
"""Trials beyond which no law is followed: less likely than a number of 53 bits can tell."""

Divergence = Callable[[int], float]


def rdp(event: BestOf, order: int) -> float:
    """Return the Rényi divergence of integer `order` ≥ 2 that a search costs."""
    if event.count == 0:
        return 0.0
    return event.count * best_of(event.trials, order, partial(_dearest, event), partial(_fault, event, order))


def best_of(trials: Trials, order: int, trial: Divergence, fault: Callable[[], float]) -> float:
    """Return the divergence of the best of a random number of trials by the theorems above.

    Args:
        trials: the law of their number.
        order: α.
        trial: ρ, at integer orders from 2 on.
        fault: δ̂ at `pure_part(order)`; asked of for Poisson's law alone.
    """
    many = math.log(trials.expected) / (order - 1)
    if trials.law == "poisson":
        return trial(order) + trials.expected * fault() + many
    tail, weight = math.log(1 / rate(trials)), 1 + trials.shape
    least = weight * tail  # β = 1
    for other in ORDERS:
        least = min(least, weight * ((1 - 1 / other) * trial(other) + tail / other))
    return trial(order) + least + many


def pure_part(order: int) -> float:
    """Return the largest ε̂ at which theorem 6 holds for this α."""
    return math.log1p(1 / (order - 1))


@lru_cache(maxsize=256)
def rate(trials: Trials) -> float:
    """Return γ of the truncated negative binomial law, by its η and its mean; 1 where there is always one trial."""
    if _single(trials):
        return 1.0

    def excess(logarithm: float) -> float:
        return _mean(trials.shape, math.exp(logarithm)) - trials.expected

    low = -1.0
    while excess(low) < 0:
        low *= 2
    return math.exp(float(brentq(excess, low, -1e-9, xtol=1e-14)))


def number(trials: Trials, uniform: float | None = None) -> int:
    """Draw K. The draw is secret: neither it nor what is computed from it but the best trial may be told.

    Args:
        uniform: a number in [0, 1); by default 53 bits of the operating system.
    """
    drawn = secrets.randbits(53) * 2.0**-53 if uniform is None else uniform
    if _single(trials):
        return 1
    if trials.law == "poisson":
        many, chance = 0, math.exp(-trials.expected)
    else:
        many, chance = 1, _chance_of_one(trials)
    below = chance
    while below <= drawn and many < _FARTHEST and (chance > 0 or many < trials.expected):
        chance *= _next(trials, many)
        many += 1
        below += chance
    return many


def trial_mu(trials: Trials, order: int, divergence: float) -> float:
    """Return the largest Gaussian-DP μ of a trial with which the search costs at most `divergence` at `order`; 0 where
    even a trial that tells nothing would cost more.
    """

    def cost(mu: float) -> float:
        fault = partial(accounting.gaussian_delta, pure_part(order), mu)
        return best_of(trials, order, lambda at: at * mu**2 / 2, fault)

    low, high = 1e-6, math.sqrt(2 * max(divergence, 0.0) / order)  # one trial's own cost alone
    if high <= low or cost(low) > divergence:
        return 0.0
    while high / low > 1 + 1e-6:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if cost(middle) <= divergence else (low, middle)
    return low


def planned_order(trials: Trials, left: Callable[[int], float]) -> int:
    """Return the order at which a trial may have the largest μ, to be fixed before anything is released.

    Args:
        left: order -> divergence that a search may cost at it.

    Raises:
        Refused: at no order is anything left for a trial.
    """
    by_order = {order: trial_mu(trials, order, left(order)) for order in ORDERS}
    best: int = max(by_order, key=lambda order: by_order[order])
    if by_order[best] == 0:
        raise Refused(
            "A search with so many trials leaves nothing to any of them",
            value=f"{trials.expected:g} trials expected",
            next_step="Raise --epsilon, or lower --trials.",
        )
    return best


def held_to(order: int, trials: Trials, mu: float) -> tuple[int, ...]:
    """Return the orders at which a trial may cost no more than a Gaussian at `mu`, for the search to cost no more at
    `order` than with trials that are such Gaussians: α, and the β that the bound is least at.
    """
    if trials.law == "poisson":
        return (order,)
    tail = math.log(1 / rate(trials))
    least: int = min(ORDERS, key=lambda other: (1 - 1 / other) * other * mu**2 / 2 + tail / other)
    return order, least


def _dearest(event: BestOf, order: int) -> float:
    return max(sum(accounting.rdp(one, order) for one in choice) for choice in event.choices)


def _fault(event: BestOf, order: int) -> float:
    """Return δ̂ of a trial: of the Gaussian that dominates a choice (`adaptive`, the lemma), and what is beyond it."""
    faults = []
    for choice in event.choices:
        mu = math.hypot(*(adaptive.dominating_mu(one, _SLACK) for one in choice))
        beyond = sum(_SLACK for one in choice if not isinstance(one, Gaussian))
        faults.append((accounting.gaussian_delta(pure_part(order), mu) if mu > 0 else 0.0) + beyond)
    return min(1.0, max(faults))


def _single(trials: Trials) -> bool:
    """Return whether there is always one trial, which is as near to so small a mean as numbers are."""
    return trials.law == "negative_binomial" and trials.expected < 1 + 1e-6


def _mean(shape: float, gamma: float) -> float:
    """Return E[K] (definition 1); its limits at η = 0 and γ = 1 are exact."""
    if gamma == 1:
        return 1.0
    if shape == 0:
        return (1 / gamma - 1) / math.log(1 / gamma)
    return shape * (1 - gamma) / (gamma * -math.expm1(shape * math.log(gamma)))


def _chance_of_one(trials: Trials) -> float:
    gamma = rate(trials)
    if trials.shape == 0:
        return (1 - gamma) / math.log(1 / gamma)
    return (1 - gamma) * trials.shape / math.expm1(-trials.shape * math.log(gamma))


def _next(trials: Trials, many: int) -> float:
    """Return P(K = many + 1) ÷ P(K = many)."""
    if trials.law == "poisson":
        return trials.expected / (many + 1)
    return (1 - rate(trials)) * (many + trials.shape) / (many + 1)
