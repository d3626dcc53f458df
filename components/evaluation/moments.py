"""The mechanism of an evaluation: first and second moments of several figures in one Gaussian release.

A figure is a mean over the users who have a row: of one metric of one bundle, or of the difference of two bundles in it
(paired: the same user, the same targets). A user's value v in the declared range [low, high] is centred and scaled to z
in [−1, 1], and adds `w·(z, z²/2)` to the sum, where the w² of all figures sum to 1 − c; and adds `√(1.25·c)` to one
coordinate that counts the rows. Adding or removing one user therefore moves the sum by at most

    √( Σ w²·(1 + 1/4)  +  1.25·c )  =  √1.25

in L2: a constant, known from declared ranges alone. How many have a row is as private as who they are, and need not be
how many users the split has: some never search, others never write. So the mean's divisor is released with the sum.

The second moment is what a sampling error is computed from; at weight 1/2 it costs the first 12% of its precision, and
the count another 2.5%.
"""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from components.core.errors import ContractBroken
from components.core.evidence import Record
from components.privacy.mechanisms import noised_sum
from components.privacy.release import Gaussian

SECOND = 0.5
"""Weight of the second moment against the first."""

COUNT = 0.05
"""Of the precision, for the number of rows."""

Floats = npt.NDArray[np.float64]


class Figure(BaseModel):
    """One mean over users, with the range that each user's value is clipped to.

    Attributes:
        bundle: whose figure it is, by its name in the evaluation.
        against: the bundle that is subtracted user by user, or None.
        metric: place of the metric among the service's.
        low, high: the declared range.
        share: its part of the precision that is left beside the count; all shares sum to 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: str
    against: str | None = None
    metric: int = Field(ge=0)
    low: float
    high: float
    share: float = Field(gt=0, le=1)

    @property
    def middle(self) -> float:
        """Where z = 0."""
        return (self.low + self.high) / 2

    @property
    def half(self) -> float:
        """How far z = 1 lies from the middle."""
        return (self.high - self.low) / 2

    @property
    def weight(self) -> float:
        """The scale of its coordinates in the sum."""
        return float(np.sqrt((1 - COUNT) * self.share))

    def z(self, values: dict[str, Floats]) -> Floats:
        """Return each user's value in [−1, 1]; what is no number counts as the lowest."""
        value = values[self.bundle][:, self.metric]
        if self.against is not None:
            with np.errstate(invalid="ignore"):  # inf − inf is NaN, which is met below
                value = value - values[self.against][:, self.metric]
        clipped = np.clip(np.nan_to_num(value, nan=self.low), self.low, self.high)
        return np.asarray((clipped - self.middle) / self.half)


class MomentsPlan(BaseModel):
    """Everything that shapes the release.

    Attributes:
        bundles: digest of each bundle, by its name.
        figures: what is released, in order.
        mu: Gaussian-DP parameter of the whole release: σ = sensitivity ÷ μ.
        seed: what the service draws targets with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundles: dict[str, str]
    figures: tuple[Figure, ...] = Field(min_length=1)
    mu: float = Field(gt=0)
    seed: int

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> Self:
        total = sum(figure.share for figure in self.figures)
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the figures' shares must sum to 1, not {total:g}")
        return self

    @property
    def sensitivity(self) -> float:
        """L2 distance by which one user, added or removed, moves `moments`."""
        return float(np.sqrt(1 + SECOND**2))

    @property
    def count_weight(self) -> float:
        """What one row adds to the coordinate that counts them."""
        return self.sensitivity * float(np.sqrt(COUNT))

    @property
    def noise_of_count(self) -> float:
        """Standard deviation of the noise on the released number of rows."""
        return self.sensitivity / self.mu / self.count_weight

    @property
    def event(self) -> Gaussian:
        """What the ledger charges."""
        return Gaussian(noise_multiplier=1 / self.mu)


class NoisedMoments(Record):
    """What the mechanism put out: the noised number of rows, and two noised sums for each figure."""

    kind: ClassVar[str] = "noised-moments"
    rows: float
    first: tuple[float, ...]
    """Σ z"""
    second: tuple[float, ...]
    """Σ z²"""


def moments(plan: MomentsPlan, values: dict[str, Floats]) -> Floats:
    """Return the un-noised sums `(1 + 2·figures,)`, the rows' first, then two of each figure: private.

    Args:
        plan: its figures are summed.
        values: `(users, metrics)` of each bundle, the same user in the same line of each.

    Raises:
        ContractBroken: the matrices do not have the same users.
    """
    if len({len(matrix) for matrix in values.values()}) > 1:
        raise ContractBroken(
            "Two bundles were scored on different users, so that their figures cannot be paired",
            next_step="Let the service's score return one line for every row.",
        )
    sums = [plan.count_weight * len(next(iter(values.values())))]
    for figure in plan.figures:
        z = figure.z(values)
        sums += [figure.weight * z.sum(), figure.weight * SECOND * np.square(z).sum()]
    return np.array(sums)


def release_moments(plan: MomentsPlan, values: dict[str, Floats]) -> NoisedMoments:
    """Return the noised moments: μ-Gaussian DP for adding or removing one user."""
    return unweighted(
        plan, noised_sum(moments(plan, values), sensitivity=plan.sensitivity, noise_multiplier=1 / plan.mu)
    )


def unweighted(plan: MomentsPlan, sums: Floats) -> NoisedMoments:
    """Return sums that are laid out as those of `moments`, each divided by its weight."""
    weights = np.array([figure.weight for figure in plan.figures])
    return NoisedMoments(
        rows=float(sums[0] / plan.count_weight),
        first=tuple((sums[1::2] / weights).tolist()),
        second=tuple((sums[2::2] / (weights * SECOND)).tolist()),
    )
