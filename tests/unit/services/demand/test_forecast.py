"""What a forecast is worth: noise of known size is taken out, sums agree, and offers and gaps are understood."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.services.demand import naive, statespace
from components.services.demand.bundle import shares_within
from components.services.demand.data import AHEAD, read_catalogue
from components.services.demand.forecast import Forecast, joined, reconciled
from components.services.demand.lift import lift_of
from components.services.demand.release import Released
from tests.unit.services.demand.shop import PARAMS, START, bundle_of, released_of, write_public

LEVEL = np.array([50.0, 100.0, 200.0])


def sold(weeks: int, sigma: float, seed: int = 0) -> np.ndarray:
    return np.tile(LEVEL, (weeks, 1)) + sigma * np.random.default_rng(seed).normal(size=(weeks, 3))


def by_state_space(history: np.ndarray, sigma: float, offered: np.ndarray | None = None) -> Forecast:
    none = np.zeros((len(history) + 4, history.shape[1]))
    shown = none if offered is None else offered
    return statespace.forecast(history, np.full(history.shape[1], sigma), 4, shown, history.shape[1] - 1)


def test_state_space_is_nearer_than_the_naive_forecast_under_noise() -> None:
    errors = []
    for seed in range(8):
        history = sold(20, 40.0, seed)
        found = [by_state_space(history, 40.0).mean, naive.forecast(history, np.full(3, 40.0), 4).mean]
        errors.append([np.abs(mean - LEVEL).mean() for mean in found])
    state, floor = np.mean(errors, axis=0)
    assert state < 0.6 * floor


def test_noise_that_is_known_does_not_widen_what_is_forecast() -> None:
    history = sold(30, 40.0)
    told, untold = by_state_space(history, 40.0), by_state_space(history, 0.0)
    assert (np.diag(told.irregular)[:2] < 0.5 * np.diag(untold.irregular)[:2]).all()


def test_a_missing_week_is_no_week_of_nothing() -> None:
    history = sold(12, 1.0)
    history[[4, 11]] = np.nan
    for mean in (by_state_space(history, 1.0).mean, naive.forecast(history, np.ones(3), 4).mean):
        np.testing.assert_allclose(mean, np.tile(LEVEL, (4, 1)), rtol=0.1)


def test_a_year_of_history_is_repeated_by_the_floor() -> None:
    history = np.arange(60.0)[:, None]
    assert naive.forecast(history, np.zeros(1), 4).mean[:, 0].tolist() == [8, 9, 10, 11]
    assert naive.forecast(history[:20], np.zeros(1), 4).mean[:, 0].tolist() == [19, 19, 19, 19]


def test_weeks_on_offer_are_forecast_higher_where_they_were_higher() -> None:
    offered = np.zeros((28, 3))
    offered[[2, 5, 9, 13, 17, 21, 25], :] = 1.0
    history = sold(24, 2.0) * (1 + 0.8 * offered[:24])
    mean = by_state_space(history, 2.0, offered).mean
    assert (mean[1] > 1.5 * mean[0]).all()
    np.testing.assert_allclose(mean[0], LEVEL, rtol=0.1)


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_after_reconciliation_categories_and_sites_add_up_to_the_same(categories: int, sites: int, seed: int) -> None:
    drawn = np.random.default_rng(seed)

    def group(size: int) -> Forecast:
        root = drawn.normal(size=(3, size, size))
        return Forecast(100 + drawn.random((5, size)) * 9, *(each @ each.T + np.eye(size) for each in root))

    base = joined(group(categories), group(sites))
    base = Forecast(base.mean + 500, base.persistent, base.walk, base.irregular)
    found = reconciled(base, categories)
    if (found.mean > 0).all():
        np.testing.assert_allclose(found.mean[:, :categories].sum(1), found.mean[:, categories:].sum(1))
    before, after = (np.trace(each.persistent + each.walk + each.irregular) for each in (base, found))
    assert after <= before + 1e-9


def test_the_variance_of_many_weeks_grows_with_what_persists() -> None:
    one = np.eye(1)
    forecast = Forecast(np.ones((3, 1)), persistent=4 * one, walk=1 * one, irregular=2 * one)
    assert forecast.covariance(np.array([1.0, 0, 0]))[0, 0] == pytest.approx(4 + 1 + 2)
    assert forecast.covariance(np.array([1.0, 1, 0]))[0, 0] == pytest.approx(4 * 4 + (1 + 1 + 1 + 2) + 2 * 2)
    assert forecast.deviation()[:, 0] ** 2 == pytest.approx([7, 8, 9])


def test_items_of_a_category_share_it_and_noise_gives_none_away(tmp_path: Path) -> None:
    catalogue = read_catalogue(write_public(tmp_path), PARAMS)
    within = shares_within(released_of(catalogue, LEVEL, sigma=3.0), catalogue.of_item, 3)
    assert (within > 0).all()
    np.testing.assert_allclose(np.bincount(catalogue.of_item, weights=within), 1)
    np.testing.assert_allclose(within, 0.5, atol=0.05)


NEAR = {"weeks": np.full((10, 2), 100.0), "left": np.array([0.0, 500.0]), "beyond": np.array([500.0])}
FAR = {**NEAR, "beyond": np.array([2000.0])}


def test_what_the_bounds_left_out_is_put_back_for_each_category() -> None:
    found = lift_of(Released(NEAR, {"left": 1.0, "beyond": 1.0})).factor
    np.testing.assert_allclose(found, [1.0, 1.5], atol=0.01)
    blurred = lift_of(Released(NEAR, {"left": 1e5, "beyond": 1.0})).factor
    np.testing.assert_allclose(blurred, 1.25, atol=0.01)
    np.testing.assert_allclose(lift_of(Released(FAR, {"left": 1.0, "beyond": 100.0})).factor, [1.0, 3.0], atol=0.02)
    np.testing.assert_allclose(lift_of(Released(FAR, {"left": 1.0, "beyond": 1000.0})).factor, [1.0, 1.5], atol=0.01)


def test_what_is_put_back_is_the_less_sure_the_more_noise_is_in_it() -> None:
    clear, blurred = (lift_of(Released(NEAR, {"left": sigma, "beyond": sigma})) for sigma in (1.0, 50.0))
    assert (clear.own < blurred.own).all()
    assert 0 < clear.common < blurred.common


@pytest.mark.parametrize(
    ("shock", "sigma", "least", "most"), [(0.05, 10, 0.8, 1.2), (0.5, 10, 4, 9), (0.05, 2000, 0.8, 1.2)]
)
def test_weeks_further_off_than_the_model_says_scale_its_variance_and_noise_of_known_size_does_not(
    shock: float, sigma: float, least: float, most: float
) -> None:
    drawn = np.random.default_rng(5)
    history = 1000 * (1 + shock * drawn.normal(size=(60, 4))) + sigma * drawn.normal(size=(60, 4))
    group = statespace._Group(history, np.full(4, float(sigma)), np.zeros((64, 4)), statespace.USUAL)
    group._set(np.array([*group.expected, 0.0]))
    assert least * 0.99 <= group._scale(group.filter.filter()) <= most * 1.05


def test_an_interval_from_few_weeks_is_wider() -> None:
    history = sold(40, 5.0)
    few, many = (by_state_space(history[-weeks:], 0.0).deviation()[0] for weeks in (6, 40))
    assert (few > many).all()


def test_the_bundle_forecasts_a_level_shop_and_its_weekdays(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path)
    np.testing.assert_allclose(bundle.future.mean[:, :3], np.tile(LEVEL, (AHEAD, 1)), rtol=0.02)
    np.testing.assert_allclose(bundle.weekday, np.array([1, 1, 1, 1, 1, 2, 3]) / 10)
    assert bundle.config.last.weekday() == 6, f"twelve weeks from {START:%A}"
    np.testing.assert_allclose(bundle.expected(bundle.config.last, 20)[-1], LEVEL / 100, rtol=0.02)
