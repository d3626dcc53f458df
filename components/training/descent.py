"""What every candidate that is trained by DP-SGD has in common: its plan, and how its fit ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from pydantic import BaseModel, ConfigDict

from components.core.files import write_bytes
from components.privacy.plan import PrivacyPlan
from components.privacy.release import SampledGaussian

if TYPE_CHECKING:
    from components.training.fit import Fitted

MODULES = (
    __name__,
    "components.training.augment",
    "components.training.fit",
    "components.training.ranks",
    "components.training.watched",
    "components.training.batches",
    "components.training.checkpoint",
    "components.privacy.canaries",
    "components.privacy.engine",
    "components.privacy.clipping.book_keeping",
    "components.privacy.clipping.by_opacus",
    "components.privacy.clipping.calls",
    "components.privacy.clipping.layers",
    "components.privacy.clipping.linear",
    "components.privacy.clipping.lookups",
    "components.privacy.clipping.sums",
    "components.privacy.randomness",
    "components.privacy.rows",
)
"""The code beside a candidate's own that shapes its answer (`Candidate.modules`)."""


class Schedule(Protocol):
    """The parameters of a training that its plan needs."""

    @property
    def expected_batch_size(self) -> int:
        """Users of a step, expected."""

    @property
    def steps(self) -> int:
        """Noisy steps."""

    @property
    def max_grad_norm(self) -> float:
        """What a user's gradient is clipped to."""


class DescentPlan(BaseModel):
    """Everything that shapes a training; a candidate adds its own parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    privacy: PrivacyPlan
    floor: str
    """Digest of the floor's bundle, from which the training starts."""

    @property
    def event(self) -> SampledGaussian:
        """What the accountants compose."""
        return self.privacy.event

    @property
    def sensitivity(self) -> float:
        """L2 distance by which one user can move the un-noised sum of a step."""
        return self.privacy.sensitivity

    def at_noise(self, noise_multiplier: float) -> Self:
        """Return the same plan with another noise."""
        return self.model_copy(
            update={"privacy": self.privacy.model_copy(update={"noise_multiplier": noise_multiplier})}
        )

    def ended(self, fitted: Fitted, telemetry: Path | None) -> SampledGaussian:
        """Return what really ran, and leave the loss curve in the folder `telemetry` of the trusted zone."""
        if telemetry is not None:
            write_bytes(telemetry / "loss.json", json.dumps(fitted.losses).encode())
        return self.event.model_copy(update={"steps": fitted.steps})


def calibrated(schedule: Schedule, *, mu: float, delta: float, population: int) -> PrivacyPlan:
    """Return the plan of a schedule that is dominated by a Gaussian mechanism at μ (`PrivacyPlan.calibrate`)."""
    return PrivacyPlan.calibrate(
        mu=mu,
        delta=delta,
        population=population,
        expected_batch_size=schedule.expected_batch_size,
        steps=schedule.steps,
        max_grad_norm=schedule.max_grad_norm,
    )
