"""A forecast of several series at once, with what is uncertain about it, and its reconciliation.

The error of the forecast k weeks ahead is e_k = p + w_1 + … + w_k + i_k: the error p of the level that is known now,
steps w of how the level walks, and what is irregular about one week, each with a covariance over the series. From these
three follow the variance of any week, of any number of days, and of any sum of series.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.services.demand.data import Floats


@dataclass(frozen=True)
class Forecast:
    """Units a week of the series, categories first and then sites.

    Attributes:
        mean: `(weeks ahead, series)`, not below 0.
        persistent, walk, irregular: `(series, series)` covariances of p, w and i.
    """

    mean: Floats
    persistent: Floats
    walk: Floats
    irregular: Floats

    @property
    def arrays(self) -> dict[str, Floats]:
        """The fields by name."""
        return {
            "mean": self.mean,
            "persistent": self.persistent,
            "walk": self.walk,
            "irregular": self.irregular,
        }

    def covariance(self, weights: Floats) -> Floats:
        """Return the covariance `(series, series)` of Σ_k `weights`_k · (units of week k), 0 ≤ weights ≤ 1.

        A part a of a week has a of its irregular variance, for what happens on its days is not repeated on others.
        """
        steps = np.arange(1, len(weights) + 1)
        walked = float(weights @ np.minimum(steps[:, None], steps[None, :]) @ weights)
        return np.asarray(
            weights.sum() ** 2 * self.persistent + walked * self.walk + np.abs(weights).sum() * self.irregular
        )

    def deviation(self) -> Floats:
        """Return the standard deviation of each week and series, `(weeks ahead, series)`."""
        weeks = np.eye(len(self.mean))
        return np.sqrt(np.array([np.maximum(np.diag(self.covariance(week)), 0) for week in weeks]))


def reconciled(base: Forecast, categories: int) -> Forecast:
    """Return the forecast whose categories add up to the same total as its sites: the minimum-trace projection.

    With A = (1, …, 1, −1, …, −1), for which Aŷ = 0 wherever the two agree, and W the covariance of the base
    forecast's errors one week ahead, ỹ = (I − W Aᵀ (A W Aᵀ)⁻¹ A) ŷ has the least variance among all that agree
    (Wickramasuriya, Athanasopoulos & Hyndman 2019; as a projection Panagiotelis et al. 2021, section 3).
    """
    series = base.mean.shape[1]
    sign = np.where(np.arange(series) < categories, 1.0, -1.0)
    spread = (base.persistent + base.walk + base.irregular) @ sign
    onto = np.eye(series) - np.outer(spread, sign) / max(float(sign @ spread), 1e-12)
    mean = base.mean @ onto.T
    covariances = (onto @ each @ onto.T for each in (base.persistent, base.walk, base.irregular))
    return Forecast(np.maximum(mean, 0), *covariances)


def joined(one: Forecast, other: Forecast) -> Forecast:
    """Return both forecasts side by side, their errors held to be independent."""
    size = one.mean.shape[1]

    def both(first: Floats, second: Floats) -> Floats:
        whole = np.zeros((size + len(second), size + len(second)))
        whole[:size, :size], whole[size:, size:] = first, second
        return whole

    return Forecast(
        np.hstack([one.mean, other.mean]),
        both(one.persistent, other.persistent),
        both(one.walk, other.walk),
        both(one.irregular, other.irregular),
    )
