"""How good a forecast is: user by user, on users whom it was not made from, and on what it released itself.

The score of a user is 2 f·y − ‖f‖², where y are the user's own units by category in the scored weeks and f what was
expected of a user. It is how much nearer, in squared distance, f is to y than a forecast of nothing; and since it adds
up, its mean over users is ‖m‖² − ‖f − m‖², for m their mean units: the squared error of the forecast of what they buy
together, of which more is better, though every user's part is known from that user alone (Savage 1971, on scores whose
best answer is the mean). y is bounded like what was released, and so is f.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np

from components.core.service import Metric
from components.services.demand.bundle import Bundle, read_bundle
from components.services.demand.data import Catalogue, Floats
from components.services.demand.rows import Rows

METRICS = (Metric("gain", low=-1.0, high=3.0, paired=0.125), Metric("surplus", low=-10.0, high=10.0))
"""`gain` is the score above, in units²; `surplus` the units expected of a user in these weeks beyond what was sold."""

NORMAL_80 = 1.2815515655446004  # the 90% quantile of a normal variable
_BATCH = 4096


def score(folder: Path, rows: Rows, seed: int) -> Floats:
    """Return `METRICS` of every row, `(users, metrics)`: un-noised, private. Nothing is drawn, so `seed` is unused."""
    return lines(read_bundle(folder), rows)


def lines(bundle: Bundle, rows: Rows) -> Floats:
    """Return `METRICS` of every row, clipped to their ranges.

    A bundle that was made on another window or catalogue is asked for the same weeks and categories: what it does not
    know it expects nothing of.
    """
    expected = _expected(bundle, rows.catalogue)
    first = len(rows.catalogue.calendar) - rows.catalogue.calendar.scored
    whole = rows.catalogue.calendar.whole[first:].astype(np.float64)[:, None]
    expected = expected * whole
    square, total = float((expected**2).sum()), float(expected.sum())
    parts = [np.empty((0, len(METRICS)))]
    for start in range(0, len(rows), _BATCH):
        units = rows.units(first, slice(start, start + _BATCH))
        gain = 2 * np.einsum("uwc,wc->u", units, expected) - square
        parts.append(np.column_stack([gain, total - units.sum(axis=(1, 2))]))
    return np.clip(np.concatenate(parts), [metric.low for metric in METRICS], [metric.high for metric in METRICS])


def probe(folder: Path) -> dict[str, float]:
    """Return `back_test` of a bundle: all of it was released, so the figures are exact, and free."""
    return back_test(read_bundle(folder))


def back_test(bundle: Bundle) -> dict[str, float]:
    """Return how the forecast of the scored weeks, by category, meets what was released of these weeks.

    nrmse: root of the mean squared error, of which the known variance of the noise on what was released is taken off, ÷
    mean units. coverage80: share of what was released within the 80% interval, widened by that noise. Where there is no
    noise (a ceiling) also `exact` figures: with noise they would tell of it and not of the forecast.
    """
    categories = len(bundle.config.categories)
    scored, sigma = bundle.config.scored, bundle.config.sigma["weeks"]
    history, mean = bundle.history[:, :categories], bundle.past.mean[:, :categories]
    seen, spread = history[-scored:], bundle.past.deviation()[:, :categories]
    error = (seen - mean)[np.isfinite(seen)]
    units = max(float(np.nanmean(np.maximum(seen, 0))), 1e-9) if error.size else 1.0
    wide = np.sqrt(spread**2 + sigma**2)[np.isfinite(seen)]
    found = {
        "nrmse": float(np.sqrt(max(np.mean(error**2) - sigma**2, 0.0)) / units) if error.size else 0.0,
        "coverage80": float(np.mean(np.abs(error) <= NORMAL_80 * wide)) if error.size else 0.0,
    }
    return found if sigma else found | exact(seen, mean, spread, history[:-scored])


def exact(seen: Floats, mean: Floats, spread: Floats, before: Floats) -> dict[str, float]:
    """Return figures of a forecast beside what really came.

    wape: sum of absolute errors ÷ sum of units. mase: mean absolute error ÷ that of the last week's units in the weeks
    before (Hyndman & Koehler 2006). pinball: mean loss of the quantiles 10%, 50% and 90% ÷ mean units.

    Args:
        seen: `(weeks, series)` what came; NaN where a week is missing.
        mean, spread: `(weeks, series)` forecast and its deviation.
        before: `(weeks, series)` history before it.
    """
    known = np.isfinite(seen)
    error = np.where(known, seen - mean, 0.0)
    units = max(float(np.nansum(seen)), 1e-9)
    steps = np.abs(np.diff(before, axis=0))
    naive = float(np.nanmean(steps)) if np.isfinite(steps).any() else 0.0
    losses = []
    for level, shift in ((0.1, -NORMAL_80), (0.5, 0.0), (0.9, NORMAL_80)):
        off = np.where(known, seen - np.maximum(mean + shift * spread, 0), 0.0)
        losses.append(np.maximum(level * off, (level - 1) * off).sum())
    return {
        "wape": float(np.abs(error).sum() / units),
        "mase": float(np.abs(error).sum() / max(known.sum(), 1) / naive) if naive > 0 else 0.0,
        "pinball": float(np.mean(losses) / units),
    }


def _expected(bundle: Bundle, catalogue: Catalogue) -> Floats:
    """Return what the bundle expects of a user in the catalogue's scored weeks, `(weeks, categories)`."""
    calendar = catalogue.calendar
    known = bundle.expected(calendar.last - timedelta(days=7 * calendar.scored - 1), calendar.scored)
    place = {name: number for number, name in enumerate(bundle.config.categories)}
    answer = np.zeros((calendar.scored, len(catalogue.categories)))
    for number, name in enumerate(catalogue.categories):
        if name in place:
            answer[:, number] = known[:, place[name]]
    return answer
