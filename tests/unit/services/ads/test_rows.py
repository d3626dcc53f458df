"""A row is one user's own: what they were shown, what they looked at before, and nothing from the future or others."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.errors import ContractBroken
from components.services.ads.data import (
    AD,
    BEFORE,
    CLICKED,
    HOUR,
    POSITION,
    SLOTS,
    hour_of_week,
    impressions,
    looks_of,
    read_catalogue,
)
from components.services.ads.order import earlier

from .shop import event, public, rows_of

kinds = st.sampled_from(["impression", "ad_click", "purchase", "click", "search"])
histories = st.lists(st.tuples(kinds, st.integers(0, 11), st.integers(0, 50)), min_size=1, max_size=12)


def events_of(user: int, history: list[tuple[str, int, int]]) -> list[dict[str, Any]]:
    found = [event(user, 0, "impression", ad="a00", position=1)]
    for kind, number, second in history:
        about = {"ad": f"a{number:02d}", "position": 1 + number % 4} if kind in ("impression", "ad_click") else {}
        found.append(event(user, second, kind, **(about or {"item": f"i{number:02d}"})))
    return found


@given(st.lists(histories, min_size=2, max_size=4))
@settings(max_examples=40, deadline=None)
def test_a_users_row_depends_on_nobody_else(everyone: list[list[tuple[str, int, int]]]) -> None:
    with TemporaryDirectory() as folder:
        together = rows_of(Path(folder), [e for user, history in enumerate(everyone) for e in events_of(user, history)])
        for user, history in enumerate(everyone):
            alone = rows_of(Path(folder), events_of(user, history))
            np.testing.assert_array_equal(together.matrix[[user]].toarray(), alone.matrix.toarray())


@given(histories, st.integers(1, 5), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_a_row_holds_no_more_than_its_bounds_and_counts_only_looks_that_it_holds(
    history: list[tuple[str, int, int]], most: int, looks: int
) -> None:
    with TemporaryDirectory() as folder:
        rows = rows_of(Path(folder), events_of(0, history), max_impressions_per_user=most, max_looks_per_user=looks)
    owner, cells = impressions(rows)
    seen = looks_of(rows)
    assert rows.matrix.shape == (1, most * SLOTS + looks)
    assert 1 <= len(owner) <= most
    assert len(seen.items) <= looks
    assert len(set(seen.items.tolist())) == len(seen.items)
    assert np.all((cells[:, BEFORE] >= 0) & (cells[:, BEFORE] <= len(seen.items)))


def test_what_was_done_at_the_same_time_or_later_is_not_before_an_impression(tmp_path: Path) -> None:
    story = [
        event("u", 10, "purchase", item="i03"),
        event("u", 20, "purchase", item="i05"),
        event("u", 20, "impression", ad="a01", position=2),
        event("u", 21, "impression", ad="a02", position=1),
        event("u", 30, "purchase", item="i07"),
        event("u", 40, "purchase", item="i03"),
    ]
    rows = rows_of(tmp_path, story)
    _, cells = impressions(rows)
    assert cells[:, AD].tolist() == [3, 2], "the latest first, counted from 1"
    assert cells[:, BEFORE].tolist() == [2, 1]
    assert cells[:, POSITION].tolist() == [1, 2]
    assert cells[:, HOUR].tolist() == [1, 1]
    assert looks_of(rows).items.tolist() == [3, 5, 7], "each once, the first look at it"


def test_of_more_looks_than_there_is_room_for_the_latest_stay(tmp_path: Path) -> None:
    story = [event("u", n, "click", item=f"i{n:02d}") for n in range(6)]
    rows = rows_of(tmp_path, [*story, event("u", 9, "impression", ad="a01")], max_looks_per_user=2)
    _, cells = impressions(rows)
    assert looks_of(rows).items.tolist() == [4, 5]
    assert (cells[0, BEFORE], cells[0, POSITION]) == (2, 0)


def test_a_click_is_of_the_latest_impression_of_its_ad_in_its_session(tmp_path: Path) -> None:
    story = [
        event("u", 1, "impression", ad="a01"),
        event("u", 2, "impression", ad="a01"),
        event("u", 3, "ad_click", ad="a01"),
        event("u", 4, "impression", ad="a01"),
        event("u", 5, "impression", ad="a02"),
        {**event("u", 6, "ad_click", ad="a02"), "session": "another"},
        event("v", 1, "impression", ad="a01"),
    ]
    owner, cells = impressions(rows_of(tmp_path, story))
    assert owner.tolist() == [0, 0, 0, 0, 1]
    assert cells[:, CLICKED].tolist() == [0, 0, 1, 0, 0]


def test_who_was_shown_nothing_has_no_row(tmp_path: Path) -> None:
    story = [event("u", 1, "purchase", item="i01"), event("v", 1, "impression", ad="a01")]
    rows = rows_of(tmp_path, [*story, event("w", 1, "impression", ad="not listed")])
    assert len(rows) == 1
    assert looks_of(rows).items.tolist() == []


def test_nobody_at_all_is_no_row(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, [])
    assert len(rows) == 0
    assert impressions(rows)[1].shape == (0, SLOTS)


@given(
    st.lists(st.tuples(st.integers(0, 2**62), st.integers(0, 2**34)), max_size=20),
    st.lists(st.tuples(st.integers(0, 2**62), st.integers(0, 2**34)), max_size=20),
)
def test_what_is_earlier_is_found_however_large_the_numbers_are(
    events: list[tuple[int, int]], asked: list[tuple[int, int]]
) -> None:
    events = sorted(events)
    columns = [np.array(column, dtype=np.int64) for pairs in (events, asked) for column in zip(*pairs, strict=True)]
    of_events, of_asked = columns[:2] if events else [np.empty(0, np.int64)] * 2, columns[-2:]
    if not asked:
        of_asked = [np.empty(0, np.int64)] * 2
    found = earlier(*of_events, *of_asked)
    assert found.tolist() == [sum(one < pair for one in events) for pair in asked]


def test_hours_of_the_week_begin_on_monday() -> None:
    monday = np.array([973468800], dtype=np.int64)  # 2000-11-06
    assert hour_of_week(monday)[0] == 0
    assert hour_of_week(monday - 1)[0] == 167


@pytest.mark.parametrize(
    ("ads", "found"),
    [
        ([{"ad": "o", "placement": "offer"}], "0 rows"),
        ([{"ad": "a", "placement": "home"}, {"ad": "a", "placement": "home"}], "2 rows, 1 different"),
    ],
)
def test_a_catalogue_without_ads_or_with_one_twice_is_refused(
    tmp_path: Path, ads: list[dict[str, Any]], found: str
) -> None:
    with pytest.raises(ContractBroken, match=found):
        read_catalogue(public(tmp_path, ads))
