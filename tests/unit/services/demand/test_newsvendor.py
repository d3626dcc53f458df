"""The order is the cheapest one: no other quantity costs less, by the formula and by what chance brings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.services.demand.newsvendor import cost, order

amounts = st.floats(0.1, 1e4)


@given(amounts, amounts, amounts, amounts)
def test_no_other_stock_is_expected_to_cost_less(
    mean: float, deviation: float, holding: float, shortage: float
) -> None:
    costs = {"holding": holding, "shortage": shortage}
    best = cost(mean, deviation, order(mean, deviation, stock=0, **costs).up_to, **costs)
    for other in np.linspace(0, mean + 4 * deviation, 23):
        assert best <= cost(mean, deviation, float(other), **costs) * (1 + 1e-6) + 1e-6


def test_the_expected_cost_is_that_of_many_draws() -> None:
    drawn = np.random.default_rng(4).normal(100, 30, 400_000)
    mean = np.mean(2 * np.maximum(120 - drawn, 0) + 7 * np.maximum(drawn - 120, 0))
    assert cost(100, 30, 120, holding=2, shortage=7) == pytest.approx(mean, rel=0.01)


@given(amounts, amounts, st.floats(0, 1e5), amounts, amounts)
def test_an_order_is_whole_units_and_none_where_enough_is_there(
    mean: float, deviation: float, stock: float, holding: float, shortage: float
) -> None:
    found = order(mean, deviation, stock=stock, holding=holding, shortage=shortage)
    assert found.quantity == int(found.quantity) >= 0
    assert (found.quantity == 0) == (found.up_to - stock <= 1e-9)
    assert found.expected_cost >= 0


def test_dearer_shortage_orders_more() -> None:
    levels = [order(100, 20, stock=0, holding=1, shortage=shortage).up_to for shortage in (0.5, 1, 4, 20)]
    assert levels == sorted(levels)
    assert levels[1] == pytest.approx(100)
