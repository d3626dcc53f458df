"""The mechanism of an evaluation with derived figures: moments and histograms of several bundles in one release.

A user adds to the sum `√(1 − s) · m`, what `moments` adds for one, and for each of the B bundles `√(1.25 · s ÷ B) · h`,
where h is the user's vector of cells, ‖h‖₂ ≤ 1, and s the histograms' share of the precision. Since ‖m‖₂² ≤ 1.25,
adding or removing one user moves the whole by at most

    √( (1 − s) · 1.25  +  B · 1.25 · s ÷ B )  =  √1.25

in L2: the constant of the moments alone, whatever the metrics, the cells and the bundles. The noise is one draw of the
Gaussian mechanism on the joint vector, so the release costs μ, no more than without histograms; the moments are as if
they had been released alone with μ·√(1 − s), the histograms of all bundles with μ·√s.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from components.core.errors import ContractBroken
from components.core.evidence import Record
from components.evaluation import moments as of_moments
from components.evaluation.moments import Floats, MomentsPlan, NoisedMoments
from components.privacy.mechanisms import clip_rows, noised_sum

SHARE = 0.25
"""Of the precision, for all histograms of a release."""


class JointPlan(MomentsPlan):
    """Everything that shapes a release of moments and histograms.

    Attributes:
        mu: Gaussian-DP parameter of the whole release: σ = sensitivity ÷ μ.
        size: cells of a histogram, one of which is released for every bundle.
        mass: bound on the L1 norm of a user's cells.
        share: the histograms' part of the precision.
    """

    size: int = Field(ge=1)
    mass: float = Field(1.0, gt=0)
    share: float = Field(SHARE, gt=0, lt=1)

    @property
    def moments(self) -> MomentsPlan:
        """The plan of the moments as if they were released alone."""
        alone = MomentsPlan.model_fields.keys() - {"mu"}
        return MomentsPlan(mu=self.mu * float(np.sqrt(1 - self.share)), **{name: getattr(self, name) for name in alone})

    @property
    def weight(self) -> float:
        """Scale of one bundle's cells in the sum."""
        return self.sensitivity * float(np.sqrt(self.share / len(self.bundles)))

    @property
    def noise(self) -> float:
        """Standard deviation of the noise on each cell of a released histogram, in users."""
        return self.sensitivity / self.mu / self.weight


class NoisedHistograms(Record):
    """What the mechanism put out beside the moments: by bundle, the noised sum over users of each cell."""

    kind: ClassVar[str] = "noised-histograms"
    cells: dict[str, tuple[float, ...]]


def clipped(vectors: Any, *, size: int, mass: float) -> Floats:
    """Return `(users, size)` cells that are ≥ 0, each user's of L1 norm ≤ `mass` and L2 norm ≤ 1.

    A user with a cell that is not finite becomes zero.

    Raises:
        ContractBroken: the shape is another.
    """
    cells = np.asarray(vectors, dtype=np.float64)
    if cells.ndim != 2 or cells.shape[1] != size:
        raise ContractBroken(  # how many lines there are is private
            "A histogram has another number of cells than its service declares",
            value=f"{cells.shape[1]} cells" if cells.ndim == 2 else f"{cells.ndim} dimensions",
            limit=f"(users, {size})",
            next_step="Let SERVICE.histogram.of return one line of cells for each user.",
        )
    finite = np.isfinite(cells).all(axis=1, keepdims=True)
    cells = np.where(finite, np.maximum(cells, 0.0), 0.0)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # a sum beyond floating point is infinite
        shrunk = np.minimum(1.0, mass / cells.sum(axis=1))
    return np.asarray(clip_rows(cells * np.nan_to_num(shrunk, nan=1.0)[:, None], 1.0), dtype=np.float64)


def joint(plan: JointPlan, values: dict[str, Floats], vectors: dict[str, Floats]) -> Floats:
    """Return the un-noised vector, flat: private.

    Args:
        plan: its figures and its bundles' histograms are summed.
        values: as for `moments`.
        vectors: `(users, size)` of each bundle of `plan`.

    Raises:
        ContractBroken: shapes are others, or the bundles do not have the same users.
    """
    if {len(matrix) for matrix in vectors.values()} != {len(matrix) for matrix in values.values()}:
        raise ContractBroken(
            "Metrics and histogram are of different users",
            next_step="Let both return one line for every row.",
        )
    means = np.sqrt(1 - plan.share) * of_moments.moments(plan.moments, values)
    cells = [
        plan.weight * clipped(vectors[name], size=plan.size, mass=plan.mass).sum(axis=0)
        for name in sorted(plan.bundles)
    ]
    return np.concatenate([means, *cells])


def release_joint(
    plan: JointPlan, values: dict[str, Floats], vectors: dict[str, Floats]
) -> tuple[NoisedMoments, NoisedHistograms]:
    """Return noised moments and histograms: together μ-Gaussian DP for adding or removing one user."""
    noised = noised_sum(joint(plan, values, vectors), sensitivity=plan.sensitivity, noise_multiplier=1 / plan.mu)
    means, cells = np.split(noised, [1 + 2 * len(plan.figures)])
    return (
        of_moments.unweighted(plan.moments, means / np.sqrt(1 - plan.share)),
        NoisedHistograms(
            cells={
                name: tuple(part.tolist())
                for name, part in zip(sorted(plan.bundles), (cells / plan.weight).reshape(-1, plan.size), strict=True)
            }
        ),
    )
