"""State space with known observation variance: the privacy noise is taken out of the history, not forecast.

Series i of a group (the categories, or the sites) sells in week t

    y_it = (1 + β x_it) · (a_it + L_i g_t + L_i h_t) + e_it        e_it ~ N(0, σ_i² + φ₁ L_i + φ₂ L_i²)

a is its own level and g that of all, both walk; h is what one week has for all; x is the share of its units on offer; L
is the series' mean. σ is the deviation of the noise of the release: known, so that a filter separates it from what
demand itself does. The other figures are few and shared by the group, found by maximum a posteriori: a shop's history
is short. The filter and its likelihood are those of statsmodels.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np

from components.services.demand.bundle import Bundle, bundle_of
from components.services.demand.data import Catalogue, Floats
from components.services.demand.forecast import Forecast, joined
from components.services.demand.naive import Naive
from components.services.demand.params import StateSpaceParams
from components.services.demand.release import DemandPlan, Released

_PIECES = 3.0
"""Where φ₁ is expected; φ₂ and the variances of h, of a's walk and of g's walk, relative to L², are parameters."""
_SPREAD = np.array([0.7, 1.0, 1.5, 1.5, 1.5])
"""How far from there these five are, in logarithms."""
_OFFER_SPREAD = 0.5
_ROUNDS = 25
_WARM, _AS_SAID, _SCALES = 4, 20.0, (0.8, 9.0)
"""Weeks that are not looked at for how far the forecast was off; weeks of a series that are held to have gone as the
model says; and between what variances are scaled."""
_TENTH = NormalDist().inv_cdf(0.9)

USUAL = StateSpaceParams()
"""What is expected where nothing else is said."""


def forecast(
    history: Floats,
    sigma: Floats,
    ahead: int,
    offered: Floats,
    categories: int,
    params: StateSpaceParams = USUAL,
) -> Forecast:
    """Return the forecast of categories and sites, each group by its own model.

    Args:
        history: `(weeks, series)` noised units; NaN where a week is missing.
        sigma: `(series,)` deviation of the noise on each.
        ahead: weeks to forecast.
        offered: `(weeks + ahead, series)` share on offer.
        categories: how many of the series are categories.
        params: what is expected.
    """
    groups = (slice(None, categories), slice(categories, None))
    return joined(*(_Group(history[:, each], sigma[each], offered[:, each], params).forecast(ahead) for each in groups))


class _Group:
    def __init__(self, history: Floats, sigma: Floats, offered: Floats, params: StateSpaceParams) -> None:
        from statsmodels.tsa.statespace.kalman_filter import FILTER_UNIVARIATE, KalmanFilter

        irregular, walk = params.irregular, params.walk
        self.expected, self.offer = np.log([_PIECES, irregular, irregular, walk, walk]), params.offer

        self.weeks, self.series = history.shape
        known = np.isfinite(history).sum(axis=0).clip(1)
        mean = np.nansum(history, axis=0) / known
        self.level = np.maximum(mean, np.maximum(sigma / np.sqrt(known), 1e-3))
        self.noise, self.offered = sigma**2, offered
        size = self.series + 2
        self.filter = KalmanFilter(k_endog=self.series, k_states=size, filter_method=FILTER_UNIVARIATE)
        self.history = history
        self.filter.bind(np.array(history, dtype=np.float64))
        self.filter["transition"] = np.diag([*np.ones(self.series + 1), 0.0])
        self.filter["selection"] = np.eye(size)
        self.start = np.maximum(mean, 0)
        self.spread = (0.5 * self.level) ** 2 + self.noise / known

    def forecast(self, ahead: int) -> Forecast:
        from scipy.optimize import minimize

        first = np.array([*self.expected, self.offer])
        moves = bool(np.ptp(self.offered[: self.weeks]) > 0)
        bounds = [(each - 3 * s, each + 3 * s) for each, s in zip(self.expected, _SPREAD, strict=True)]
        bounds += [(0.0, 2.0) if moves else (self.offer, self.offer)]
        found = minimize(self._cost, first, method="L-BFGS-B", bounds=bounds, options={"maxiter": _ROUNDS})
        self._set(found.x)
        result = self.filter.filter()
        own = result.filtered_state[:, -1]
        spread = result.filtered_state_cov[:-1, :-1, -1]
        seen = np.hstack([np.eye(self.series), self.level[:, None]])  # from the walking states to the series
        walk, irregular = self._variances(found.x)
        scale = self._scale(result)
        mean = self._lift(found.x[-1])[self.weeks : self.weeks + ahead] * (seen @ own[:-1])
        return Forecast(np.maximum(mean, 0), *(scale * each for each in (seen @ spread @ seen.T, walk, irregular)))

    def _scale(self, result: Any) -> float:
        """Return by what variances are multiplied, so that 80% of the weeks so far were within their 80% interval.

        The interval is that of a forecast one week ahead: of a variance V by the model, and of the noise on what was
        released, whose variance is known and is not scaled: sV + σ². A week counts by how much of it is no noise, and
        `_AS_SAID` weeks of a series are held to have gone as the model says. Few weeks tell little of what is
        irregular, so that the interval is widened to that of Student's t.
        """
        from scipy.stats import t as student

        weeks = np.arange(min(_WARM, self.weeks // 2), self.weeks)
        design = np.moveaxis(self.filter["design"], 2, 0)[weeks]
        states, covariances = result.predicted_state.T[weeks], np.moveaxis(result.predicted_state_cov, 2, 0)[weeks]
        off = np.abs(self.history[weeks] - np.einsum("wsk,wk->ws", design, states))
        level = np.einsum("wsk,wkl,wsl->ws", design, covariances, design)
        model = level + np.diag(self.filter["obs_cov"]) - self.noise
        counts = np.where(np.isfinite(off), (model / (model + self.noise)) ** 2, 0.0)

        def within(scale: float) -> float:
            inside = off <= _TENTH * np.sqrt(scale * model + self.noise)
            said = 2 * NormalDist().cdf(_TENTH * np.sqrt(scale)) - 1
            return float(((counts * inside).sum() + _AS_SAID * said) / (counts.sum() + _AS_SAID))

        scales = np.geomspace(*_SCALES, 61)
        few = (student.ppf(0.9, max(self.weeks - _WARM, 1)) / _TENTH) ** 2
        return float(few * next((scale for scale in scales if within(scale) >= 0.8), scales[-1]))

    def _cost(self, values: Floats) -> float:
        self._set(values)
        off = np.append((values[:-1] - self.expected) / _SPREAD, (values[-1] - self.offer) / _OFFER_SPREAD)
        return float(-self.filter.loglike() + off @ off / 2)

    def _lift(self, beta: float) -> Floats:
        return 1 + beta * self.offered

    def _variances(self, values: Floats) -> tuple[Floats, Floats]:
        pieces, own, week, walk, together = np.exp(values[:-1])
        shared = np.outer(self.level, self.level)
        each = np.diag(self.level**2)
        return walk * each + together * shared, np.diag(pieces * self.level) + own * each + week * shared

    def _set(self, values: Floats) -> None:
        pieces, own, week, walk, together = np.exp(values[:-1])
        lift = self._lift(values[-1])[: self.weeks].T
        design = np.zeros((self.series, self.series + 2, self.weeks))
        design[np.arange(self.series), np.arange(self.series)] = lift
        design[:, self.series] = design[:, self.series + 1] = self.level[:, None] * lift
        self.filter["design"] = design
        self.filter["obs_cov"] = np.diag(self.noise + pieces * self.level + own * self.level**2)
        self.filter["state_cov"] = np.diag([*(walk * self.level**2), together, week])
        self.filter.initialize_known(np.array([*self.start, 0, 0]), np.diag([*self.spread, 1e-9, week]))


class StateSpace(Naive):
    """The candidate, see the module: another forecast of a release of the same kind."""

    name = "state_space"
    personal = True
    share = 0.9
    modules = (__name__, *Naive.modules, Naive.__module__)

    def made_of(self, released: Released, catalogue: Catalogue, plan: DemandPlan) -> Bundle:
        """Return the bundle of the released units."""
        return state_space(released, catalogue, plan.population, plan.params.state_space)


def state_space(released: Released, catalogue: Catalogue, population: int, params: StateSpaceParams = USUAL) -> Bundle:
    """Return the bundle that a release, or for a ceiling an un-noised one, makes."""
    categories = len(catalogue.categories)
    return bundle_of(
        "state_space",
        released,
        catalogue,
        population,
        lambda past, sigma, ahead, offered: forecast(past, sigma, ahead, offered, categories, params),
    )
