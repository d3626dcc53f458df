"""One plan binds sampler, clip, noise and normaliser, and makes the event that is charged for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict, model_validator

from components.core.errors import BudgetExhausted, Misconfigured, Refused
from components.core.params import PerformanceFlags as PerformanceFlags
from components.privacy import accounting, adaptive
from components.privacy.release import Event, SampledGaussian


class PrivacyPlan(BaseModel):
    """Everything about a DP-SGD training that its guarantee depends on (Abadi et al. 2016).

    Formal guarantee: a training that samples every user independently with `sample_rate`, clips each user's gradient
    to L2 norm `max_grad_norm`, adds Gaussian noise of standard deviation `noise_multiplier · max_grad_norm` to the
    sum, divides by the constant `expected_batch_size` and takes at most `steps` steps costs `event`, for neighbours
    that differ by one user. The engine takes all of these from the plan, and the ledger takes `event`.

    Attributes:
        delta: the δ that σ was calibrated at.
        noise_multiplier: σ, in units of `max_grad_norm`.
        sample_rate: q, the probability with which a user enters a step.
        max_grad_norm: L2 bound of one user's gradient.
        steps: noisy steps.
        expected_batch_size: the public normaliser; it is not q times the number of users, which is private.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    delta: float
    noise_multiplier: float
    sample_rate: float
    max_grad_norm: float
    steps: int
    expected_batch_size: float

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        """Refuse what has no guarantee.

        Raises:
            Misconfigured: in one sentence, whatever makes the plan.
        """
        if not self.noise_multiplier > 0:
            raise Misconfigured(
                "A training without noise protects nobody, so that no ε can be claimed for it",
                value=f"noise_multiplier = {self.noise_multiplier:g}",
                limit="more than 0",
                next_step="Calibrate the plan to an ε, or train a ceiling without a plan.",
            )
        if not 0 < self.sample_rate <= 1:
            raise Misconfigured(
                "A sample rate is the probability with which a user enters a step",
                value=f"sample_rate = {self.sample_rate:g}",
                limit="more than 0, at most 1",
            )
        _require_delta(self.delta, 1.0)
        _require_positive(
            max_grad_norm=self.max_grad_norm, steps=self.steps, expected_batch_size=self.expected_batch_size
        )
        return self

    @property
    def event(self) -> SampledGaussian:
        """What the accountants compose."""
        return SampledGaussian(noise_multiplier=self.noise_multiplier, sample_rate=self.sample_rate, steps=self.steps)

    @property
    def sensitivity(self) -> float:
        """L2 distance by which one user can move the un-noised sum of a step."""
        return self.max_grad_norm

    @classmethod
    def calibrate(
        cls,
        *,
        delta: float,
        population: int,
        expected_batch_size: int,
        steps: int,
        max_grad_norm: float,
        epsilon: float | None = None,
        mu: float | None = None,
    ) -> Self:
        """Return the plan with the least noise whose ε at `delta` is at most `epsilon`, by PLD; or that `mu` dominates.

        Where everyone is in every step (q = 1), σ is the analytic Gaussian's. In either case Opacus' PRV computes the
        ε again, and the plan is refused where it comes to another figure (`accounting.cross_check`).

        Args:
            delta: the δ of the guarantee; at most 1 in 10 times `population`, since with probability δ anything goes.
            population: lower bound of the users (public). q is `expected_batch_size` ÷ `population`, at most 1.
            expected_batch_size: users that a step is normalised by.
            steps: noisy steps.
            max_grad_norm: L2 bound of one user's gradient.
            epsilon, mu: the target; give one. With μ, the ε at every δ is at most that of a Gaussian mechanism with
                that μ, up to `adaptive.SLACK` of `delta`: so it composes as that mechanism does, whatever else is
                chosen after its answer.

        Raises:
            Misconfigured: a figure is out of its range; nothing was read and nothing is spent.
            Refused: no noise is enough, or the accountants do not agree.
        """
        if (epsilon is None) == (mu is None):
            raise Misconfigured("A plan is calibrated to epsilon or to mu", limit="exactly one of the two")
        given = {"epsilon": epsilon} if mu is None else {"mu": mu}
        _require_positive(
            **given, population=population, expected_batch_size=expected_batch_size, steps=steps,
            max_grad_norm=max_grad_norm,
        )  # fmt: skip
        _require_delta(delta, 1 / (10 * population))
        rate = min(1.0, expected_batch_size / population)
        schedule: dict[str, Any] = {"delta": delta, "sample_rate": rate, "steps": steps}
        if mu is not None:
            noise = least_noise_dominated(mu, **schedule)
        else:
            assert epsilon is not None
            noise = least_noise(epsilon, **schedule)
        plan = cls(
            delta=delta,
            noise_multiplier=noise,
            sample_rate=rate,
            max_grad_norm=max_grad_norm,
            steps=steps,
            expected_batch_size=expected_batch_size,
        )
        accounting.cross_check(plan.event, delta)
        return plan


class Planned(Protocol):
    """A plan of any mechanism: it knows its event."""

    @property
    def event(self) -> Event:
        """What the accountants compose."""


P = TypeVar("P", bound=Planned)


def least_noise(epsilon: float, *, delta: float, sample_rate: float, steps: int) -> float:
    """Return the least σ, to 0.1%, at which `steps` sampled Gaussian steps cost at most `epsilon` at `delta`, by PLD.

    Raises:
        Refused: no σ up to 10⁶ is enough.
    """

    if sample_rate == 1:  # the analytic Gaussian mechanism; rounding goes to the safe side
        return math.sqrt(steps) / accounting.gaussian_mu(epsilon, delta) * (1 + 1e-9)
    grid = _grid(epsilon)

    def enough(sigma: float) -> bool:
        event = SampledGaussian(noise_multiplier=sigma, sample_rate=sample_rate, steps=steps)
        try:
            return accounting.epsilon_of([event], delta, grid=grid) <= epsilon
        except Refused:
            return False  # a loss that is too large for a figure is too large for the target

    return _least(enough, f"ε = {epsilon:g}")


@lru_cache(maxsize=256)  # the trials of a search mostly have one schedule
def least_noise_dominated(mu: float, *, delta: float, sample_rate: float, steps: int) -> float:
    """Return the least σ, to 0.1%, at which `mu` dominates `steps` sampled Gaussian steps up to `adaptive.SLACK` of δ.

    Raises:
        Refused: no σ up to 10⁶ is enough.
    """
    if sample_rate == 1:
        return math.sqrt(steps) / mu * (1 + 1e-9)
    grid = _grid(accounting.gaussian_epsilon(mu, delta))

    def enough(sigma: float) -> bool:
        event = SampledGaussian(noise_multiplier=sigma, sample_rate=sample_rate, steps=steps)
        return adaptive.dominated(event, mu, adaptive.SLACK * delta, grid)

    return _least(enough, f"μ = {mu:g}")


def _grid(epsilon: float) -> float:
    """Return the grid to search on: its error grows with steps, not with ε."""
    return accounting.COARSE if epsilon >= 0.5 else accounting.FINE


def _least(enough: Callable[[float], bool], target: str) -> float:
    """Return the least σ, to 0.1%, that is `enough`."""
    low = high = 1.0
    while not enough(high):
        low, high = high, high * 2
        if high > 1e6:
            raise Refused(
                "No noise is enough for this training", value=target, next_step="Raise ε or take fewer steps."
            )
    while low == high or (low > 0.3 and enough(low)):
        high, low = low, low / 2
    while high / low > 1.001:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def allocate(
    epsilon: float,
    delta: float,
    spent: Sequence[Event],
    candidates: Mapping[str, float],
    plan_of: Callable[[str, float], P],
) -> tuple[dict[str, P], float]:
    """Divide a training's budget among its candidates and return their plans with the ε of all together.

    Gaussian-DP composition: what `epsilon` at `delta` allows, less what is `spent`, is divided by the shares of μ². It
    holds whatever `spent` answered, and in whatever order the candidates run (`adaptive`, the lemma).

    Args:
        epsilon, delta: the whole training's budget.
        spent: what this training has already released (its counts).
        candidates: share by name; only ratios matter.
        plan_of: the plan of a candidate at a Gaussian-DP μ.

    Raises:
        BudgetExhausted: `spent` alone leaves nothing, or the plans cost more than their μ.
    """
    already = adaptive.epsilon_of(spent, delta)
    if already >= epsilon:
        raise BudgetExhausted(
            "The counts of this training leave nothing for its candidates",
            value=f"spent ε = {already:.4f}, asked more than 0, left 0",
            limit=f"ε = {epsilon:g} at δ = {delta:g}",
            next_step="Raise training.epsilon, or count with more noise.",
        )
    whole = adaptive.allowed_mu(epsilon, delta) ** 2
    square = whole - sum(adaptive.dominating_mu(event, adaptive.SLACK * delta) ** 2 for event in spent)
    parts = {name: square * share / sum(candidates.values()) for name, share in candidates.items()}
    plans = {name: plan_of(name, math.sqrt(part)) for name, part in parts.items() if part > 0}
    composed = adaptive.epsilon_of([*spent, *(plan.event for plan in plans.values())], delta)
    if len(plans) < len(parts) or composed > epsilon * (1 + 1e-7):
        raise BudgetExhausted(
            "No division of the budget keeps the whole training within it",
            value=f"asked ε = {composed:.4f}, spent ε = {already:.4f}, left {epsilon - already:.4f}",
            limit=f"ε = {epsilon:g} at δ = {delta:g}",
            next_step="Raise training.epsilon, or take candidates out.",
        )
    return plans, composed


def _require_positive(**figures: float | None) -> None:
    for name, figure in figures.items():
        if figure is None or not (0 < figure < math.inf):
            raise Misconfigured(f"A plan needs {name} to be positive and finite", value=figure, limit="more than 0")


def _require_delta(delta: float, limit: float) -> None:
    if not (0 < delta < 1 and delta <= limit * (1 + 1e-9)):
        raise Misconfigured(
            "A plan's δ must be positive and well below one in the number of users",
            value=f"δ = {delta:g}",
            limit=f"δ = {limit:.3g}",
            next_step="Lower delta: with probability δ the guarantee may fail for someone.",
        )
