"""How a training divided its budget: the record that statement, plots and MLflow read."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from components.core.evidence import Record
from components.privacy.release import Event, SampledGaussian

_POINTS = 12


class Share(BaseModel):
    """One release of the training: its mechanism, what shaped it, and what it costs."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    mechanism: str
    release: str
    """Digest of the `Release`."""
    event: Event
    parameters: dict[str, Any]


class Budget(Record):
    """The ε of a training, which was fixed before its first release, its δ, and the releases that it is made of."""

    kind: ClassVar[str] = "budget"
    epsilon: float
    delta: float
    count: Share
    """The DP count of the users."""
    plans: dict[str, Share]
    """By candidate."""

    @property
    def events(self) -> list[Event]:
        """Everything that the training released."""
        return [self.count.event, *(share.event for share in self.plans.values())]

    def curve(self, candidate: str) -> list[tuple[int, float]]:
        """Return (noisy steps, ε at δ) of one candidate alone: one point for a one-shot mechanism."""
        from components.privacy import accounting

        event = self.plans[candidate].event
        if not isinstance(event, SampledGaussian):
            return [(1, accounting.epsilon_of([event], self.delta))]
        steps = sorted({max(1, round(event.steps * point / _POINTS)) for point in range(1, _POINTS + 1)})
        cut = [event.model_copy(update={"steps": count}) for count in steps]
        return [(one.steps, accounting.epsilon_of([one], self.delta, grid=accounting.COARSE)) for one in cut]
