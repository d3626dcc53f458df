"""From bounded units to all units: by how much those that the bounds left fall short, and how surely that is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.services.demand.data import Floats
from components.services.demand.release import Released


@dataclass(frozen=True)
class Lift:
    """All units ÷ those that the bounds left.

    Attributes:
        factor: `(categories,)`, at least 1.
        own: `(categories,)` relative variance of each factor, of one category independent of another's.
        common: relative variance that all have in common.
    """

    factor: Floats
    own: Floats
    common: float


def lift_of(released: Released) -> Lift:
    """Return the lift: 1 + units left out ÷ units counted, drawn to that of all where noise hides one's own.

    What is left out beyond the bound of `left` is known of all categories together alone; how far each one's
    part of it differs cannot be told, and no variance here holds it.
    """
    left, sigma = released.parts["left"], released.sigma["left"]
    counted = np.maximum(released.parts["weeks"].sum(axis=0), 1.0)
    overall = max(float(left.sum()), 0.0) / float(counted.sum())
    own = left / counted
    noise = (sigma / counted) ** 2
    surely = 1 + 2 * np.sqrt(2 / len(own))  # categories are held to differ by what noise hardly ever makes of none
    weight = (noise + 1e-4) ** -2  # by what each can tell: an estimate of small categories is nearly all noise
    spread = max(float(np.average((own - overall) ** 2 - noise * surely, weights=weight)), 1e-6)
    sure = spread / (spread + noise)
    further, doubt = _further(released)
    factor = 1 + np.maximum(sure * own + (1 - sure) * overall, 0) * further
    unknown = sure * noise * further**2
    return Lift(np.asarray(factor), np.asarray(unknown / factor**2), (doubt / float(factor @ counted)) ** 2)


def _further(released: Released) -> tuple[float, float]:
    """Return all units left out ÷ what `left` holds of them, 1 where noise might make the difference; and the deviation
    of the noise on all units left out.
    """
    near, far = float(released.parts["left"].sum()), float(released.parts["beyond"][0])
    of_near = released.sigma["left"] * float(np.sqrt(released.parts["left"].size))
    noise = float(np.hypot(released.sigma["beyond"], of_near))
    if near > 0 and far - near > 3 * noise:
        return far / near, released.sigma["beyond"]
    return 1.0, of_near
