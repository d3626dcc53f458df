"""A user's row is bounded whatever the user bought, and scaled down evenly rather than cut."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.services.demand.data import level
from components.services.demand.params import DemandParams
from components.services.demand.release import unnoised
from components.services.demand.rows import PARTS
from tests.unit.services.demand.shop import PARAMS, bought, rows_of

purchases = st.lists(
    st.tuples(st.integers(0, 11), st.integers(0, 5), st.one_of(st.none(), st.integers(-5, 2**62))), min_size=1
)


@given(purchases, st.floats(0.1, 50))
@settings(max_examples=40, deadline=None)
def test_whatever_a_user_buys_the_row_has_at_most_norm_one(
    drawn: list[tuple[int, int, int | None]], norm: float
) -> None:
    with TemporaryDirectory() as folder:
        events = [bought(1, week, item, quantity) for week, item, quantity in drawn]
        rows, _ = rows_of(Path(folder), events, DemandParams(norm=norm))
    assert rows.matrix.shape[0] == 1
    assert np.linalg.norm(rows.matrix.toarray()) <= 1 + 1e-12


def test_units_within_the_bounds_are_counted_as_they_are(tmp_path: Path) -> None:
    events = [bought(1, 0, 0, 2), bought(1, 5, 4, 3, site="there"), bought(2, 5, 1, None, site="abroad")]
    rows, _ = rows_of(tmp_path, events)
    parts = unnoised(rows).parts
    assert parts["weeks"][0].round(9).tolist() == [2, 0, 0]
    assert parts["weeks"][5].round(9).tolist() == [0, 4, 0]
    assert parts["sites"][5].round(9).tolist() == [0, 3, 1]
    assert parts["items"].round(9).tolist() == [2, 1, 0, 0, 3, 0]
    assert parts["weekdays"].round(9).tolist() == [0, 5, 1, 0, 0, 0, 0]
    assert not parts["left"].round(9).any()


def test_more_than_a_block_allows_is_scaled_down_and_keeps_its_proportions(tmp_path: Path) -> None:
    events = [bought(1, 0, 0, 75), bought(1, 1, 1, 25), bought(1, 6, 2, 10), bought(2, 0, 0, 40)]
    rows, _ = rows_of(tmp_path, events, PARAMS.model_copy(update={"norm": 1000.0}))
    weeks, left = (unnoised(rows).parts[name] for name in ("weeks", "left"))
    part = 27 / 57  # of the days of the longer block the shorter one has: so much of 50 units is allowed in it
    assert left == pytest.approx([75 * (1 - part / 2) + 40 - 50 * part, 25 * (1 - part / 2), 0])
    assert [weeks[0, 0], weeks[1, 1], weeks[6, 2]] == pytest.approx([(37.5 + 50) * part, 12.5 * part, 10])


def test_what_the_norm_takes_away_is_released_as_left(tmp_path: Path) -> None:
    rows, _ = rows_of(tmp_path, [bought(1, 0, 0, 40)], PARAMS.model_copy(update={"norm": 16.0}))
    parts = unnoised(rows).parts  # two blocks: the bound is 16 √2 = 22.6
    assert parts["weeks"].sum() == pytest.approx(16 * np.sqrt(2))
    assert parts["weeks"].sum() + parts["left"].sum() == pytest.approx(40)


def test_other_events_other_items_and_days_outside_the_window_are_no_demand(tmp_path: Path) -> None:
    others = [bought(1, 0, event="return"), bought(1, 0, item=9), bought(1, 40), bought(1, -1), bought(1, 0, item=0)]
    rows, _ = rows_of(tmp_path, others)
    assert unnoised(rows).parts["weeks"].sum() == pytest.approx(1)


def test_a_user_who_bought_nothing_has_a_row_of_zeros(tmp_path: Path) -> None:
    rows, _ = rows_of(tmp_path, [bought(1, 0), bought(2, 0, event="click")])
    assert len(rows) == 2
    assert rows.matrix[[1]].nnz == 0


def test_the_level_that_is_released_is_the_narrowest_that_fits() -> None:
    paths = ["a/x", "a/y", "b/x", None]
    assert level(paths, 4)[0] == ("", "a/x", "a/y", "b/x")
    assert level(paths, 3)[0] == ("", "a", "b")
    assert level(paths, 2)[0] == ("",)


def test_the_parts_of_the_layout_stand_one_after_the_other(tmp_path: Path) -> None:
    rows, _ = rows_of(tmp_path, [bought(1, 0)])
    vector = np.arange(rows.layout.size, dtype=float)
    parts = rows.layout.parts(vector)
    joined = np.concatenate([parts[name].ravel() / rows.layout.units[name] for name in PARTS])
    np.testing.assert_allclose(joined, vector)
