"""Measured curves: what is between and beyond the measured trainings, and how wrong it may be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import ContractBroken
from components.data import shop
from components.evaluation.curves import COLUMNS, CURVES, FLOOR, Curves
from tests.unit.evaluation.measured import EPSILONS, ITEMS, NOISE, USERS, curves, points, truth

KNOWN = curves()
SHIPPED = Curves.read() if CURVES.exists() else None
SOME_USERS = st.floats(1, 1e7)
SOME_ITEMS = st.floats(1, 1e6)
SOME_EPSILON = st.floats(0.01, 100)


def test_a_measured_cell_is_told_as_it_was_measured() -> None:
    surface = KNOWN.best["corner-shop"]
    for users in USERS:
        assert surface.at(users, 500, 1.0) == pytest.approx(truth(users, 500, 1.0), abs=3 * NOISE)


def test_between_the_cells_the_truth_lies_within_the_error() -> None:
    surface = KNOWN.best["corner-shop"]
    for users, items, epsilon in ((2_000, 1_000, 0.7), (9_000, 3_000, 3.0), (40_000, 600, 7.0)):
        assert surface.low(users, items, epsilon) < truth(users, items, epsilon) < surface.high(users, items, epsilon)


def test_the_bounds_hold_further_trainings_on_the_same_data() -> None:
    surface, further = KNOWN.best["corner-shop"], points(seed=99)
    inside = [
        surface.low(p.users, p.items, p.epsilon) <= p.kept <= surface.high(p.users, p.items, p.epsilon)
        for p in further
        if p.candidate != FLOOR
    ]
    assert np.mean(inside) >= 0.93


def test_the_bounds_widen_with_the_luck_of_single_trainings() -> None:
    lucky = Curves([replace(point, kept=point.kept + (0.1 if point.run % 2 else 0.0)) for point in points()])
    for found in (lucky.best["corner-shop"], KNOWN.best["corner-shop"]):
        assert (found.least <= found.middle).all()
        assert (found.middle <= found.most).all()
    wide, narrow = (one.most - one.least for one in (lucky.best["corner-shop"], KNOWN.best["corner-shop"]))
    assert (wide > narrow).all()


def test_the_bounds_are_narrow_where_trainings_agree_and_wide_where_they_do_not() -> None:
    unlucky = [replace(p, kept=p.kept + 0.2 * (-1) ** p.run) if p.users * p.epsilon <= 2_000 else p for p in points()]
    surface = Curves(unlucky).best["corner-shop"]
    assert surface.high(1_000, 500, 0.5) - surface.low(1_000, 500, 0.5) > 0.3
    assert surface.high(64_000, 500, 10.0) - surface.low(64_000, 500, 10.0) < 0.1


def test_one_training_a_cell_says_nothing_of_its_luck_and_is_refused() -> None:
    with pytest.raises(ContractBroken, match="How much trainings differ"):
        _ = Curves(points(runs=1)).best


@given(SOME_USERS, SOME_USERS, SOME_ITEMS, SOME_EPSILON)
def test_more_users_never_keep_less(one: float, other: float, items: float, epsilon: float) -> None:
    for surface in KNOWN.best.values():
        assert surface.at(min(one, other), items, epsilon) <= surface.at(max(one, other), items, epsilon) + 1e-12


@given(SOME_USERS, SOME_ITEMS, SOME_EPSILON, SOME_EPSILON)
def test_a_larger_epsilon_never_keeps_less(users: float, items: float, one: float, other: float) -> None:
    for surface in [*KNOWN.best.values(), *KNOWN.floor.values()]:
        assert surface.at(users, items, min(one, other)) <= surface.at(users, items, max(one, other)) + 1e-12


def test_trainings_that_were_unlucky_bend_no_curve_downwards() -> None:
    bent = [replace(p, kept=0.2) if (p.users, p.epsilon) == (16_000, 4.0) else p for p in points()]
    surface = Curves(bent).best["corner-shop"]
    assert (np.diff(surface.middle, axis=0) >= 0).all()
    assert (np.diff(surface.middle, axis=2) >= 0).all()


def test_the_best_candidate_of_a_cell_is_told_even_where_it_is_the_floor() -> None:
    worse = [replace(point, kept=0.1) if point.candidate != FLOOR else point for point in points()]
    found = Curves(worse)
    assert np.array_equal(found.best["corner-shop"].middle, found.floor["corner-shop"].middle)


def test_beyond_its_users_a_surface_goes_on_along_users_times_epsilon() -> None:
    surface = KNOWN.best["corner-shop"]
    assert surface.at(500, 500, 2.0) == surface.at(1_000, 500, 1.0)
    assert surface.at(128_000, 500, 1.0) == surface.at(64_000, 500, 2.0)


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    rows = [",".join(str(getattr(point, name)).replace("None", "") for name in COLUMNS) for point in points()]
    path = tmp_path / "curves.csv"
    path.write_text("\n".join([",".join(COLUMNS), *rows]) + "\n")
    assert Curves.read(path).points == tuple(points())


@pytest.mark.parametrize("broken", ["", "source,candidate\nshop,gram\n", "nothing"])
def test_a_table_that_is_none_is_refused_with_the_command_that_writes_it(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "curves.csv"
    if broken != "nothing":
        path.write_text(broken)
    with pytest.raises(ContractBroken, match=r"python bench/curves\.py"):
        Curves.read(path)


def test_a_figure_that_is_no_number_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    path.write_text(",".join(COLUMNS) + "\nshop,gram,6000,1000,1,1,0.2,nan,2\n")
    with pytest.raises(ContractBroken, match="cannot be read"):
        Curves.read(path)


def test_a_grid_with_a_hole_is_refused() -> None:
    holed = [
        point for point in points() if (point.users, point.items, point.epsilon) != (USERS[1], ITEMS[0], EPSILONS[2])
    ]
    with pytest.raises(ContractBroken, match="no training at"):
        _ = Curves(holed).best


def test_the_shipped_curves_hold_both_data_sets_and_the_floor() -> None:
    assert SHIPPED is not None
    assert set(SHIPPED.sources) == {"ta-feng", "shop"}
    for surface in SHIPPED.best.values():
        assert len(surface.users) >= 3
        assert len(surface.epsilons) >= 4
    assert set(SHIPPED.floor) == set(SHIPPED.best)


def test_the_shipped_curves_are_of_the_frozen_simulator() -> None:
    assert SHIPPED is not None
    versions = {(point.source, point.simulator) for point in SHIPPED.points}
    assert versions == {("ta-feng", None), ("shop", shop.FITTED)}, "run `python bench/curves.py --out ...` again"
