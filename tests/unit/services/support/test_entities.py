"""What a message names is found as people write it."""

from __future__ import annotations

from datetime import date

import pytest

from components.data.shop.messages import order_number
from components.services.support.entities import Titles, dates, number_of, order_numbers
from components.services.support.params import SupportParams
from tests.unit.services.support.shop import TITLES

PATTERN = SupportParams().order_number


@pytest.mark.parametrize("written", ["JS-3-1201", "js-3-1201", "#3-1201", "no. 3-1201", "no.3-1201"])
def test_all_ways_to_write_an_order_number_are_one(written: str) -> None:
    assert order_numbers(f"where is {written}?", PATTERN) == [number_of("JS-3-1201", PATTERN)]


def test_the_simulated_shops_numbers_are_understood() -> None:
    assert order_numbers(f"it is {order_number('visit-3-1201')}!", PATTERN) == ["3-1201"]


@pytest.mark.parametrize("text", ["", "it was on 2024-03-01", "from 10-12 people", "a-1", "# 3"])
def test_what_is_no_order_number_is_none(text: str) -> None:
    assert order_numbers(text, PATTERN) == []


def test_each_number_counts_once_and_not_without_end() -> None:
    assert order_numbers("#1-1, JS-1-1 and #2-2", PATTERN) == ["1-1", "2-2"]
    assert len(order_numbers(" ".join(f"#1-{n}" for n in range(1000)), PATTERN)) == 20


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("2024-03-01", date(2024, 3, 1)),
        ("01/03/2024", date(2024, 3, 1)),
        ("1.3.2024", date(2024, 3, 1)),
        ("1 March", date(2024, 3, 1)),
        ("March 1st", date(2024, 3, 1)),
        ("March 1, 2023", date(2023, 3, 1)),
        ("1. März", date(2024, 3, 1)),
        ("24.12.", date(2023, 12, 24)),
        ("24 December", date(2023, 12, 24)),
        ("yesterday", date(2024, 3, 9)),
        ("heute", date(2024, 3, 10)),
    ],
)
def test_a_day_is_read_as_it_is_written_and_is_the_latest_where_the_year_is_left_out(written: str, day: date) -> None:
    assert [one.day for one in dates(f"I bought it on {written} in town", date(2024, 3, 10))] == [day]


def test_a_day_that_there_is_not_and_one_whose_year_is_not_known_have_none() -> None:
    assert [one.day for one in dates("on 2024-02-31, on 29.02.2023 and on 1 March")] == [None, None, None]


@pytest.mark.parametrize("text", ["", "order JS-3-1201", "12-34", "in may be", "10.5 kg", "may 99 people"])
def test_what_is_no_day_is_none(text: str) -> None:
    assert [one.day for one in dates(text, date(2024, 3, 10)) if one.day] == []


def test_a_product_is_found_by_its_title_or_by_a_part_of_it() -> None:
    titles = Titles(list(TITLES), list(TITLES.values()))
    assert [one.items for one in titles.find("Is the pebble mild rye bread back?")] == [("i1",)]
    assert [one.items for one in titles.find("my GREEN TEA, and rye bread")] == [("i3",), ("i1", "i2")]
    assert [one.items for one in titles.find("a Pebble rye bread")] == [("i1", "i2")]


def test_what_was_ordered_is_meant_where_it_fits() -> None:
    titles = Titles(list(TITLES), list(TITLES.values()))
    assert [one.items for one in titles.find("the rye bread", own=["i2"])] == [("i2",)]
    assert [one.items for one in titles.find("the green tea", own=["i2"])] == [("i3",)]


def test_single_words_of_longer_titles_and_nothing_at_all_are_no_product() -> None:
    titles = Titles(list(TITLES), list(TITLES.values()))
    assert titles.find("bread and tea") == []
    assert titles.find("") == []
    assert Titles([], []).find("rye bread") == []
