"""A user's row: the user's own latest searches, what was taken after each, and what came before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.core.errors import ContractBroken
from components.services.search.data import MOST_LETTERS, Rows, read_catalogue
from components.services.search.params import SearchParams

from .shop import ITEMS, catalogue, event, rows, searched

PLACE = catalogue().position
NAMES = [item for item, *_ in ITEMS]


def test_a_search_has_what_was_clicked_after_it_and_what_was_taken_before(tmp_path: Path) -> None:
    events = [
        event(0, 0, "purchase", item="t1"),
        *searched(0, 60, "chocolate", "c1", "c2", position=3),
        *searched(0, 600, "tea", "t2"),
    ]
    first, second = rows(tmp_path, events).users[0]
    assert (first.query, first.taken, first.shown) == ("chocolate", (PLACE["c1"], PLACE["c2"]), (3, 4))
    assert first.history == (PLACE["t1"],)
    assert second.history == (PLACE["c2"], PLACE["c1"], PLACE["t1"])


@pytest.mark.parametrize(
    "events",
    [
        [event(0, 0, "search", query="tea")],
        [event(0, 0, "click", item="t1", position=1)],
        searched(0, 0, "tea", "not of the catalogue"),
        searched(0, 0, " ", "t1"),
        searched(0, 0, "x" * (MOST_LETTERS + 1), "t1"),
        [event(0, 0, "search", query="tea"), event(0, 600, "click", item="t1")],
        [event(0, 0, "search", query="tea", session="other"), event(0, 5, "click", item="t1", position=1)],
    ],
    ids=["nothing taken", "nothing searched", "unlisted", "blank", "too long", "too late", "another session"],
)
def test_who_took_nothing_after_a_search_has_no_row(tmp_path: Path, events: list[dict[str, Any]]) -> None:
    assert len(rows(tmp_path, events)) == 0


def test_where_clicks_show_positions_the_others_followed_from_something_else(tmp_path: Path) -> None:
    placed = [*searched(0, 0, "tea", "t2"), event(0, 9, "click", item="c1")]
    bare = [*searched(1, 0, "tea", "t2", position=None), event(1, 9, "click", item="c1")]
    one, two = rows(tmp_path, [*placed, *bare]).users
    assert one[0].taken == (PLACE["t2"],)
    assert two[0].taken == (PLACE["t2"], PLACE["c1"])


def test_only_the_latest_searches_and_history_are_read(tmp_path: Path) -> None:
    params = SearchParams(dense=False, max_searches_per_user=2, max_history=1)
    events = [line for turn in range(5) for line in searched(0, 100 * turn, f"tea {turn}", "t1")]
    (user,) = rows(tmp_path, events, params).users
    assert [search.query for search in user] == ["tea 3", "tea 4"]
    assert all(len(search.history) == 1 for search in user)


def test_a_history_of_a_hundred_thousand_is_bounded(tmp_path: Path) -> None:
    events = [event(0, n / 10, "click", item=NAMES[n % 10]) for n in range(100_000)]
    (user,) = rows(tmp_path, [*events, *searched(0, 20_000, "tea", "t1")]).users
    assert len(user[0].history) == SearchParams().max_history


happenings = st.lists(
    st.tuples(
        st.integers(0, 300),
        st.sampled_from(["search", "click", "cart", "purchase"]),
        st.sampled_from(NAMES),
        st.none() | st.integers(1, 30),
    ),
    max_size=12,
)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(people=st.lists(happenings, min_size=2, max_size=5), data=st.data())
def test_a_row_depends_on_nobody_else_and_on_no_order(
    tmp_path: Path, people: list[list[Any]], data: st.DataObject
) -> None:
    events = [
        event(user, second, kind, **({"query": f"q{item}"} if kind == "search" else {"item": item, "position": place}))
        for user, own in enumerate(people)
        for second, kind, item, place in own
    ]
    chosen = data.draw(st.integers(0, len(people) - 1))
    alone = rows(tmp_path, [one for one in events if one["user"] == f"{chosen:032x}"])
    together = rows(tmp_path, data.draw(st.permutations(events)))
    assert len(alone) <= 1
    assert all(_row(alone, place) in _all(together) for place in range(len(alone)))


def _row(of: Rows, place: int) -> tuple[Any, Any]:
    return of.users[place], of.items[place]


def _all(of: Rows) -> list[tuple[Any, Any]]:
    return [_row(of, place) for place in range(len(of))]


@pytest.mark.parametrize("table", [pa.table({"title": ["a"]}), pa.table({"item": ["a", "a"]}), pa.table({"item": []})])
def test_a_catalogue_that_does_not_list_every_item_once_is_refused(tmp_path: Path, table: pa.Table) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, tmp_path / "items.parquet")
    with pytest.raises(ContractBroken, match="every item once"):
        read_catalogue(tmp_path / "items.parquet")


def test_a_catalogue_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "items.parquet").write_bytes(b"nothing")
    with pytest.raises(ContractBroken, match="cannot be read"):
        read_catalogue(tmp_path / "items.parquet")


def test_what_is_searched_of_an_item_has_each_word_once() -> None:
    assert catalogue().texts[PLACE["c1"]] == "Foxglove Dark Chocolate, 100 g"
    assert catalogue().texts[PLACE["m1"]] == "Café au Lait Mug Mugs"
    assert np.all([bool(text) for text in catalogue().texts])
