"""The floor: the seasonal naive forecast on noised units, which is what a shop has before it has a forecaster.

The next weeks are as the same weeks of a year ago, where so much is known, and as the last week otherwise (on daily
figures that is the season of a week). Nothing is taken out of the noise.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from components.core.params import PerformanceFlags
from components.core.progress import Progress, no_progress
from components.privacy.canaries import Canaries
from components.privacy.release import Gaussian
from components.services.demand.bundle import Bundle, bundle_of, write_bundle
from components.services.demand.data import Catalogue, Floats
from components.services.demand.forecast import Forecast
from components.services.demand.release import DemandPlan, Released, release
from components.services.demand.rows import Rows

YEAR = 52
_SHRUNK = 0.5
"""How far covariances between series are drawn to 0; there are more of them than weeks."""


def forecast(history: Floats, sigma: Floats, ahead: int) -> Forecast:
    """Return the seasonal naive forecast.

    Args:
        history: `(weeks, series)` noised units; NaN where a week is missing.
        sigma: `(series,)` deviation of the noise on each.
        ahead: weeks to forecast.
    """
    known = _filled(history)
    season = YEAR if len(known) >= YEAR + ahead else 1
    mean = np.array([known[len(known) - season + step % season] for step in range(ahead)])
    changes = known[season:] - known[:-season]
    spread = changes.T @ changes / max(len(changes), 1)
    # A difference holds the noise of two weeks, and what the forecast is of has none.
    own = np.maximum(np.diag(spread) - sigma**2, 0.1 * np.diag(spread)) + 1e-9
    spread = (1 - _SHRUNK) * spread
    np.fill_diagonal(spread, np.maximum(own, 1e-9))
    none = np.zeros_like(spread)
    return Forecast(np.maximum(mean, 0), none, *((none, spread) if season > 1 else (spread, none)))


def _filled(history: Floats) -> Floats:
    """Return the history with each missing week as the one before it (the first as the mean)."""
    known = np.array(history)
    means = np.nan_to_num(np.nanmean(known, axis=0)) if np.isfinite(known).any() else np.zeros(known.shape[1])
    for week, row in enumerate(known):
        row[np.isnan(row)] = (known[week - 1] if week else means)[np.isnan(row)]
    return known


class Naive:
    """The candidate, see the module."""

    name = "naive"
    personal = False
    share = 0.1
    modules = (
        __name__,
        "components.services.bundles",
        "components.services.demand.bundle",
        "components.services.demand.data",
        "components.services.demand.forecast",
        "components.services.demand.lift",
        "components.services.demand.release",
        "components.services.demand.rows",
        "components.privacy.canaries",
        "components.privacy.mechanisms",
    )

    def plan(self, *, mu: float, delta: float, population: int, params: Any, floor: Path | None) -> DemandPlan:
        """Return the release at μ: σ = sensitivity ÷ μ."""
        return DemandPlan(noise_multiplier=1 / mu, params=params, population=population)

    def at_noise(self, plan: DemandPlan, noise_multiplier: float) -> DemandPlan:
        """Return the same plan with another noise."""
        return plan.model_copy(update={"noise_multiplier": noise_multiplier})

    def fit(
        self,
        rows: Rows,
        plan: DemandPlan,
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
        """Release the units and write the bundle."""
        released = release(rows, plan, catalogue, intend, canaries)
        write_bundle(out, self.made_of(released, catalogue, plan))
        return plan.event

    def made_of(self, released: Released, catalogue: Catalogue, plan: DemandPlan) -> Bundle:
        """Return what becomes of the released units: all that candidates differ in."""
        return naive(released, catalogue, plan.population)


def naive(released: Released, catalogue: Catalogue, population: int) -> Bundle:
    """Return the bundle that a release, or for a ceiling an un-noised one, makes."""
    return bundle_of(
        "naive", released, catalogue, population, lambda past, sigma, ahead, _: forecast(past, sigma, ahead)
    )
