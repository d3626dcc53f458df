"""Calendar blocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from components.core.params import Block
from components.data.blocks import between, is_name, last_whole, name_of


@pytest.mark.parametrize(
    ("block", "name"),
    [("day", "2000-11-03"), ("week", "2000W44"), ("month", "2000-11"), ("quarter", "2000Q4"), ("year", "2000")],
)
def test_a_block_is_named_by_its_period(block: Block, name: str) -> None:
    assert name_of(datetime(2000, 11, 3, 12, tzinfo=UTC), block) == name


def test_a_block_is_one_of_utc() -> None:
    new_year_in_taipei = datetime(2001, 1, 1, tzinfo=timezone(timedelta(hours=8)))
    assert name_of(new_year_in_taipei, "quarter") == "2000Q4"


def test_the_last_days_of_a_year_may_belong_to_a_week_of_the_next() -> None:
    assert name_of(datetime(2024, 12, 30, tzinfo=UTC), "week") == "2025W01"
    assert name_of(datetime(2021, 1, 1, tzinfo=UTC), "week") == "2020W53"


def test_the_end_of_a_window_is_outside() -> None:
    window = datetime(2000, 11, 1, tzinfo=UTC), datetime(2001, 1, 1, tzinfo=UTC)
    assert between(*window, "month") == ("2000-11", "2000-12")
    assert between(window[0], window[1] + timedelta(microseconds=1), "month") == ("2000-11", "2000-12", "2001-01")


def test_a_window_within_a_day_has_one_block() -> None:
    noon = datetime(2000, 11, 1, 12, tzinfo=UTC)
    assert between(noon, noon + timedelta(hours=1), "day") == ("2000-11-01",)


@pytest.mark.parametrize(
    ("block", "start", "end"),
    [
        ("day", (2026, 3, 9), (2026, 3, 10)),
        ("week", (2026, 3, 2), (2026, 3, 9)),
        ("month", (2026, 2, 1), (2026, 3, 1)),
        ("quarter", (2025, 10, 1), (2026, 1, 1)),
        ("year", (2025, 1, 1), (2026, 1, 1)),
    ],
)
def test_the_last_whole_block_is_one_block_that_was_over(
    block: Block, start: tuple[int, int, int], end: tuple[int, int, int]
) -> None:
    found = last_whole(block, datetime(2026, 3, 10, 2, tzinfo=UTC))
    assert found == (datetime(*start, tzinfo=UTC), datetime(*end, tzinfo=UTC))
    assert len(between(*found, block)) == 1


@pytest.mark.parametrize(
    ("block", "name", "others"),
    [
        ("day", "2024-02-29", ["2023-02-29", "2024-02", "2024-2-29"]),
        ("week", "2026W53", ["2025W53", "2026W00", "2026W5", "2026-W53"]),
        ("month", "2026-07", ["2026-13", "2026-07-01", "2026Q3"]),
        ("quarter", "2024Q4", ["2024Q5", "2024Q0", "2024q4", "lifetime", "2024"]),
        ("year", "2024", ["24", "2024-01", "", "2024Q1"]),
    ],
)
def test_a_name_is_that_of_a_period_or_of_none(block: Block, name: str, others: list[str]) -> None:
    assert is_name(name, block)
    assert [other for other in others if is_name(other, block)] == []


@pytest.mark.parametrize("block", ["day", "week", "month", "quarter", "year"])
def test_every_name_that_a_time_gives_is_one(block: Block) -> None:
    days = [datetime(2019, 12, 28, tzinfo=UTC) + timedelta(days=day) for day in range(800)]
    assert all(is_name(name_of(day, block), block) for day in days)
