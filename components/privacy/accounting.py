"""What releases cost: exact Gaussian figures, PLD for a fixed schedule, RDP for the filter, PRV as the second opinion.

Every ε is unitless and for neighbours that differ by one user, added or removed. PLD figures are upper bounds; they
compose a schedule that is fixed beforehand. Under adaptively chosen releases the bounds are the ledger's RDP filter,
and for one training those of `adaptive`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaln, log_ndtr, logsumexp

from components.core.errors import Refused
from components.privacy.release import BestOf, Event, Gaussian, SampledGaussian

if TYPE_CHECKING:
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

FINE = 1e-4
"""Grid of the privacy loss for figures that are reported."""
COARSE = 1e-3
"""Grid while searching: ten times faster, and further on the safe side."""

_MOST_POINTS = 3e7
"""Points of a grid of losses that fit into a gigabyte; only an ε in the thousands needs more."""
_FEW_ORDERS = (2, 3, 4, 8, 16, 32)
"""Enough to tell how far a loss reaches, in a millisecond."""


def gaussian_delta(epsilon: float, mu: float) -> float:
    """Return the least δ at which a μ-Gaussian-DP mechanism is (ε, δ)-DP (Balle & Wang 2018, theorem 8)."""
    low = epsilon + log_ndtr(-epsilon / mu - mu / 2)
    return float(math.exp(log_ndtr(mu / 2 - epsilon / mu)) - math.exp(min(low, 0.0)))


def gaussian_epsilon(mu: float, delta: float) -> float:
    """Return the least ε at which a μ-Gaussian-DP mechanism is (ε, δ)-DP; 0 where δ alone covers it."""
    if mu == 0 or gaussian_delta(0.0, mu) <= delta:
        return 0.0
    # ε = μ²/2 + μ √(2 log 1/δ) is the classic tail bound, so it lies beyond the root.
    beyond = mu * mu / 2 + mu * math.sqrt(2 * math.log(1 / delta)) + 1e-9
    return float(brentq(lambda epsilon: gaussian_delta(epsilon, mu) - delta, 0.0, beyond, xtol=1e-12))


def gaussian_mu(epsilon: float, delta: float) -> float:
    """Return the largest Gaussian-DP μ that is (ε, δ)-DP: σ = sensitivity ÷ μ (Balle & Wang 2018; Dong et al. 2019)."""
    high = 1.0
    while gaussian_delta(epsilon, high) < delta:
        high *= 2
    return float(brentq(lambda mu: gaussian_delta(epsilon, mu) - delta, 1e-9, high, xtol=1e-13))


def epsilon_of(events: Iterable[Event], delta: float, *, grid: float = FINE) -> float:
    """Return the ε of all `events` together, by their privacy loss distribution (Doroshenko et al. 2022).

    The events are a schedule fixed before the first of them ran. Gaussian events alone are exact; anything sampled is
    an upper bound, within about `grid` · √steps. A search has no such distribution: with one among them, the figure of
    all is their conversion from RDP, which is larger.

    Raises:
        Refused: so much is lost that its distribution would not fit into memory.
    """
    events = list(events)
    if any(isinstance(event, BestOf) for event in events):
        return rdp_epsilon_of(events, delta)
    mu, sampled = _merge(events)
    if not sampled:
        return gaussian_epsilon(mu, delta)
    _require_computable(mu, sampled, delta, grid)
    return _sampled_epsilon(mu, tuple(sorted(sampled.items())), delta, grid)


def distribution_of(event: SampledGaussian, delta: float, grid: float) -> PrivacyLossDistribution:
    """Return the privacy loss distribution of a sampled `event`, an upper bound at every δ from `delta` on.

    Raises:
        Refused: it would not fit into memory.
    """
    _, sampled = _merge([event])
    _require_computable(0.0, sampled, delta, grid)
    (((sigma, rate), steps),) = sampled.items()
    return _sampled_pld(sigma, rate, steps, grid)


def rdp(event: Event, order: int) -> float:
    """Return the Rényi divergence of integer `order` ≥ 2 that `event` costs.

    Gaussian: count · α / 2σ². Sampled: the closed form for integer orders (Mironov, Talwar & Zhang 2019, section 3.3).
    A search: `tuning`.
    """
    if isinstance(event, BestOf):
        from components.privacy import tuning  # it stands on this module

        return tuning.rdp(event, order)
    if isinstance(event, Gaussian):
        return event.count * order / (2 * event.noise_multiplier**2)
    if event.sample_rate == 1:
        return event.steps * order / (2 * event.noise_multiplier**2)
    return event.steps * _sampled_rdp(event.noise_multiplier, event.sample_rate, order)


def rdp_epsilon(divergence: float, order: int, delta: float) -> float:
    """Return the ε of (order, divergence)-RDP at δ (Canonne, Kamath & Steinke 2020, proposition 12)."""
    return max(0.0, divergence + _conversion(order, delta))


def rdp_epsilon_of(events: Iterable[Event], delta: float) -> float:
    """Return the ε of all `events` together by RDP at the order that suits them best: a looser second figure."""
    fixed = list(events)
    return min(rdp_epsilon(sum(rdp(event, order) for event in fixed), order, delta) for order in range(2, 257))


def rdp_budget(epsilon: float, delta: float) -> tuple[int, float]:
    """Return the order at which (ε, δ) holds the most Gaussian noise releases, and the divergence that it allows."""
    budgets = {order: rdp_budget_at(order, epsilon, delta) for order in range(2, 1025)}
    order = max(budgets, key=lambda order: budgets[order] / order)
    if budgets[order] <= 0:
        raise Refused(
            f"No Rényi order up to 1024 gives (ε = {epsilon:g}, δ = {delta:g})",
            next_step="Raise privacy.cap.epsilon or privacy.cap.delta in params.yaml.",
        )
    return order, budgets[order]


def rdp_budget_at(order: int, epsilon: float, delta: float) -> float:
    """Return the divergence at `order` that converts to exactly (ε, δ); below zero where the order is too low."""
    return epsilon - _conversion(order, delta)


@lru_cache(maxsize=256)
def prv_epsilon(event: SampledGaussian, delta: float) -> tuple[float, float]:
    """Return the ε of `event` by Opacus' privacy random variables, and their own error bound (Gopi et al. 2021).

    An implementation that shares no code with the PLD: numerical composition by FFT over another discretisation.

    Raises:
        Refused: it has no answer for this event (it fails at extremes).
    """
    from opacus.accountants.analysis import prv

    no_figure = Refused(
        "The PRV accountant has no figure for this event",
        value=event,
        next_step="Choose a noise multiplier, a sample rate and steps that are less extreme.",
    )
    epsilon_error, delta_error = 0.01, delta / 1000
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # about the orders of the RDP bound that sizes the grid, and log(1 - q)
            variable = prv.PoissonSubsampledGaussianPRV(event.sample_rate, event.noise_multiplier)
            reach = prv.compute_safe_domain_size([variable], [event.steps], epsilon_error, delta_error)
            mesh = epsilon_error / math.sqrt(event.steps * math.log(12 / delta_error) / 2)
            if not 2 * reach / mesh < _MOST_POINTS:
                raise no_figure
            domain = prv.Domain.create_aligned(-reach, reach, mesh)
            discrete = prv.discretize(prv.TruncatedPrivacyRandomVariable(variable, domain.t_min, domain.t_max), domain)
            composed = prv.compose_heterogeneous([discrete], [event.steps])
            low, estimate, high = composed.compute_epsilon(delta, delta_error, epsilon_error)
    except (ArithmeticError, RuntimeError, ValueError) as error:
        raise no_figure from error
    return float(estimate), float(max(high - estimate, estimate - low))


def cross_check(event: SampledGaussian, delta: float) -> dict[str, float]:
    """Return ε by both accountants, `{"pld": …, "prv": …}`, having checked that they agree.

    Raises:
        Refused: they differ by more than 1% and by more than PRV's own error bound, or PRV has no figure.
    """
    by_pld, (by_prv, error) = epsilon_of([event], delta), prv_epsilon(event, delta)
    allowed = max(0.01 * by_pld, error)
    if not abs(by_pld - by_prv) <= allowed:  # a NaN does not agree
        raise Refused(
            f"The accountants do not agree on {event}",
            value=f"PLD ε = {by_pld:.4f}, PRV ε = {by_prv:.4f}",
            limit=f"a difference of {allowed:.4f}",
            next_step="Do not release: change the plan, or find which accountant is wrong.",
        )
    return {"pld": by_pld, "prv": by_prv}


def _merge(events: Iterable[Event]) -> tuple[float, dict[tuple[float, float], int]]:
    """Join the Gaussians into one (squares of μ add up) and equal sampled events into one longer run."""
    squares, sampled = 0.0, dict[tuple[float, float], int]()
    for event in events:
        if isinstance(event, Gaussian):
            squares += event.count / event.noise_multiplier**2
        elif isinstance(event, BestOf):
            raise Refused("A search has no privacy loss distribution", next_step="Convert its Rényi divergence.")
        elif event.sample_rate == 1:
            squares += event.steps / event.noise_multiplier**2
        elif event.steps:
            kind = (event.noise_multiplier, event.sample_rate)
            sampled[kind] = sampled.get(kind, 0) + event.steps
    return math.sqrt(squares), sampled


def _require_computable(mu: float, sampled: dict[tuple[float, float], int], delta: float, grid: float) -> None:
    """Refuse what would fill the memory: the grid reaches about as far as ε does, for which there are cheap bounds."""
    unsampled = math.sqrt(mu**2 + sum(steps / sigma**2 for (sigma, _), steps in sampled.items()))
    bounds = [gaussian_epsilon(unsampled, delta)]
    for order in _FEW_ORDERS:
        steps_cost = sum(steps * _sampled_rdp(*kind, order) for kind, steps in sampled.items())
        bounds.append(rdp_epsilon(order * mu**2 / 2 + steps_cost, order, delta))
    if not min(bounds) <= _MOST_POINTS * grid:
        raise Refused(
            "The privacy loss of these events is too large for a figure",
            value=f"ε up to {min(bounds):,.0f}",
            limit=f"ε = {_MOST_POINTS * grid:,.0f}",
            next_step="Take fewer steps, or more noise: nobody is protected at such an ε.",
        )


@lru_cache(maxsize=1024)
def _sampled_epsilon(
    mu: float, sampled: tuple[tuple[tuple[float, float], int], ...], delta: float, grid: float
) -> float:
    from dp_accounting.pld import privacy_loss_distribution as pld

    parts = [_sampled_pld(sigma, rate, steps, grid) for (sigma, rate), steps in sampled]
    if mu > 0:
        parts.append(pld.from_gaussian_mechanism(1 / mu, value_discretization_interval=grid))
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.compose(part)
    return float(whole.get_epsilon_for_delta(delta))


def _sampled_pld(sigma: float, rate: float, steps: int, grid: float) -> PrivacyLossDistribution:
    from dp_accounting.pld import privacy_loss_distribution as pld

    one = pld.from_gaussian_mechanism(sigma, value_discretization_interval=grid, sampling_prob=rate)
    return one.self_compose(steps)


@lru_cache(maxsize=4096)
def _sampled_rdp(sigma: float, rate: float, order: int) -> float:
    terms = [
        gammaln(order + 1)
        - gammaln(k + 1)
        - gammaln(order - k + 1)
        + (order - k) * math.log1p(-rate)
        + k * math.log(rate)
        + (k * k - k) / (2 * sigma**2)
        for k in range(order + 1)
    ]
    return max(0.0, float(logsumexp(terms))) / (order - 1)


def _conversion(order: int, delta: float) -> float:
    return math.log1p(-1 / order) - math.log(delta * order) / (order - 1)
