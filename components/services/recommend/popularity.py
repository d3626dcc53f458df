"""The floor: DP popularity, the same answer for everyone.

One Gaussian release of Σ_u x_u / ‖x_u‖ over the whole catalogue. Rows of L2 norm 1 give every user the same say and
need no bound to be guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from components.core.params import PerformanceFlags
from components.core.progress import Progress, no_progress
from components.privacy import mechanisms
from components.privacy.canaries import Canaries
from components.privacy.release import Gaussian
from components.services.recommend.bundle import Bundle, Config, write_bundle
from components.services.recommend.data import Catalogue, Matrix, Rows

_WIDE = 5_000
"""More items are not harder to rank: what is asked for is among the most popular ones."""
_MOST = 0.95
"""What popularity gets at most: the last twentieth of μ² would take 2.5% of its noise away."""


class PopularityPlan(BaseModel):
    """Everything that shapes the floor's release."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    noise_multiplier: float = Field(gt=0)
    sensitivity: float = 1.0
    """One user adds a vector of L2 norm 1, or nothing."""

    @property
    def event(self) -> Gaussian:
        """What the accountants compose."""
        return Gaussian(noise_multiplier=self.noise_multiplier)


def statistic(matrix: Matrix) -> npt.NDArray[np.float64]:
    """Return Σ_u x_u / ‖x_u‖, `(items,)`, un-noised: private. One user moves it by at most 1 in L2 norm."""
    size = np.diff(matrix.indptr)
    weights = np.repeat(1 / np.sqrt(np.maximum(size, 1)), size)
    return np.bincount(matrix.indices, weights=weights, minlength=matrix.shape[1])


def shares(noised: npt.NDArray[np.float64], sigma: float) -> npt.NDArray[np.float64]:
    """Return positive shares of sum 1 from noised popularity.

    What the noise hides, everything below σ (or below half a user, where there is none), is held to be small: less
    than that, in the order that the noise left it in.
    """
    least = max(sigma, 0.5)
    positive = np.where(noised > least, noised, least * np.exp(np.clip(noised / least - 1, -20, 0)))
    return np.asarray(positive / positive.sum())


def needs(mu: float, population: int, catalogue: Catalogue | None) -> float:
    """Return the part of μ² that popularity needs beside a Gram matrix: most of it for few users, little for many.

    With y = 2 · users · μ ÷ items, about the signal over the noise of a mean item's count, its odds are 1 + y³ to y⁴.
    Where y is small nothing can be learnt from pairs, and a ranking that is worse than it need be costs more than any
    taste brings; where y is large, popularity is soon known. Found on public data: docs/decisions/0017-kernel-prior.md.

    Args:
        mu: Gaussian-DP μ of the whole training, its counts taken out.
        population: lower bound of the users by their DP count.
        catalogue: the public items; None where they are not known yet: many.
    """
    items = min(len(catalogue), _WIDE) if catalogue is not None else _WIDE
    told = 2 * mu * population / max(items, 1)
    return min((1 + told**3) / (1 + told**3 + told**4), _MOST)


class Popularity:
    """The candidate, see the module."""

    name = "popularity"
    personal = False
    share = 0.02
    modules = (
        __name__,
        "components.services.recommend.data",
        "components.services.bundles",
        "components.services.recommend.bundle",
        "components.privacy.canaries",
        "components.privacy.mechanisms",
    )

    def plan(self, *, mu: float, delta: float, population: int, params: Any, floor: Path | None) -> PopularityPlan:
        """Return the release at μ: σ = sensitivity ÷ μ."""
        return PopularityPlan(noise_multiplier=1 / mu)

    def at_noise(self, plan: PopularityPlan, noise_multiplier: float) -> PopularityPlan:
        """Return the same plan with another noise."""
        return plan.model_copy(update={"noise_multiplier": noise_multiplier})

    def fit(
        self,
        rows: Rows,
        plan: PopularityPlan,
        catalogue: Catalogue,
        *,
        floor: Path | None,
        intend: Callable[[int], None],
        out: Path,
        telemetry: Path | None = None,
        canaries: Canaries | None = None,
        flags: PerformanceFlags | None = None,
        progress: Progress = no_progress,
    ) -> Gaussian:
        """Release popularity and write the bundle."""
        intend(1)
        vector = statistic(canaries.as_items(rows.matrix) if canaries else rows.matrix)
        noised = mechanisms.noised_sum(vector, plan.sensitivity, plan.noise_multiplier)
        noised, reserved = np.split(noised, [len(catalogue)])
        if canaries:
            canaries.observe(reserved / plan.sensitivity)
        popularity = shares(noised, plan.sensitivity * plan.noise_multiplier).astype(np.float32)
        write_bundle(out, Bundle(Config(kind="popularity"), {"popularity": popularity}, catalogue))
        return plan.event
