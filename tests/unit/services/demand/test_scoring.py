"""The score of a user: adds up to the squared error that a forecast saves, and is best for the mean."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.services.demand.bundle import Bundle
from components.services.demand.data import read_catalogue
from components.services.demand.naive import naive
from components.services.demand.release import unnoised
from components.services.demand.scoring import exact, lines
from tests.unit.services.demand.shop import PARAMS, bought, bundle_of, rows_of, write_public


def everyone() -> list[dict[str, object]]:
    drawn = np.random.default_rng(3)
    return [bought(user, int(drawn.integers(12)), int(drawn.integers(6))) for user in range(40) for _ in range(4)]


def scaled(bundle: Bundle, factor: float) -> Bundle:
    return replace(bundle, past=replace(bundle.past, mean=bundle.past.mean * factor))


def test_the_mean_gain_is_the_squared_error_that_is_saved(tmp_path: Path) -> None:
    rows, catalogue = rows_of(tmp_path, everyone())
    bundle = naive(unnoised(rows), catalogue, len(rows))
    first = len(catalogue.calendar) - catalogue.calendar.scored
    together = rows.units(first, slice(None)).sum(axis=0) / len(rows)
    expected = bundle.past.mean[:, :3] / len(rows)
    saved = (together**2).sum() - ((together - expected) ** 2).sum()
    assert lines(bundle, rows)[:, 0].mean() == pytest.approx(saved)


def test_no_other_scale_of_the_true_mean_gains_more(tmp_path: Path) -> None:
    rows, catalogue = rows_of(tmp_path, everyone())
    bundle = naive(unnoised(rows), catalogue, len(rows))
    first = len(catalogue.calendar) - catalogue.calendar.scored
    mean = np.zeros_like(bundle.past.mean)
    mean[:, :3] = rows.units(first, slice(None)).sum(axis=0)
    true = replace(bundle, past=replace(bundle.past, mean=mean))
    gains = [lines(scaled(true, factor), rows)[:, 0].mean() for factor in (0.5, 0.9, 1.0, 1.1, 2.0)]
    assert max(gains) == gains[2]


def test_a_bundle_of_an_earlier_window_is_asked_for_the_weeks_it_forecast(tmp_path: Path) -> None:
    rows, _ = rows_of(tmp_path / "now", everyone())
    earlier = read_catalogue(write_public(tmp_path / "before", weeks=8), PARAMS)
    known = bundle_of(tmp_path / "all")
    older = replace(known, config=known.config.model_copy(update={"last": earlier.calendar.last, "scored": 2}))
    # Its forecasts of the weeks after its own, 0.2 units a user, and not of those before.
    past, future = np.full((2, 6), 77.0), np.full((12, 6), 20.0 / 3)
    older = replace(older, past=replace(older.past, mean=past), future=replace(older.future, mean=future))
    found = lines(older, rows)[:, 1] + rows.units(8, slice(None)).sum(axis=(1, 2))
    np.testing.assert_allclose(found, 4 * 0.2)


def test_exact_figures_are_those_of_a_hand_calculation() -> None:
    seen, mean = np.array([[10.0], [20.0]]), np.array([[12.0], [16.0]])
    found = exact(seen, mean, np.ones((2, 1)), np.array([[1.0], [4.0], [4.0]]))
    assert found["wape"] == pytest.approx(6 / 30)
    assert found["mase"] == pytest.approx(3 / 1.5)
    assert found["pinball"] > 0
