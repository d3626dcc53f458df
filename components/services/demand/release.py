"""The one release of demand: Σ of the users' vectors and Gaussian noise, and what is known of it afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from components.privacy import mechanisms
from components.privacy.canaries import Canaries
from components.privacy.release import Gaussian
from components.services.demand.data import Catalogue, Floats
from components.services.demand.params import DemandParams
from components.services.demand.rows import PARTS, Rows, layout_of


class DemandPlan(BaseModel):
    """Everything that shapes a candidate's release and its post-processing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    noise_multiplier: float = Field(gt=0)
    sensitivity: float = 1.0
    """One user adds a vector of L2 norm at most 1."""
    params: DemandParams
    population: int = Field(ge=1)
    """Lower bound of the users by their DP count: forecasts are scored a user."""

    @property
    def event(self) -> Gaussian:
        """What the accountants compose."""
        return Gaussian(noise_multiplier=self.noise_multiplier)


@dataclass(frozen=True)
class Released:
    """Noised units of bounded users by part, and the standard deviation of the noise on each entry.

    Attributes:
        parts: as `Layout.shapes`, in units.
        sigma: by part, in units; 0 where there is no privacy.
    """

    parts: dict[str, Floats]
    sigma: dict[str, float]


def release(
    rows: Rows, plan: DemandPlan, catalogue: Catalogue, intend: Callable[[int], None], canaries: Canaries | None
) -> Released:
    """Return the noised sum: one Gaussian mechanism of sensitivity 1, the canaries' coordinates taken off."""
    layout = layout_of(catalogue, plan.params)
    vector = summed(canaries.as_items(rows.matrix) if canaries else rows.matrix)
    intend(1)
    noised = mechanisms.noised_sum(vector, plan.sensitivity, plan.noise_multiplier)
    noised, reserved = np.split(noised, [layout.size])
    if canaries:
        canaries.observe(reserved / plan.sensitivity)
    sigma = plan.sensitivity * plan.noise_multiplier
    return Released(layout.parts(noised), {name: sigma * layout.units[name] for name in PARTS})


def unnoised(rows: Rows) -> Released:
    """Return the sum without noise: for a ceiling, of public rows alone."""
    return Released(rows.layout.parts(summed(rows.matrix)), dict.fromkeys(PARTS, 0.0))


def summed(matrix: object) -> Floats:
    """Return the sum over users, `(columns,)`: private."""
    return np.asarray(matrix.sum(axis=0), dtype=np.float64).ravel()  # type: ignore[attr-defined]
