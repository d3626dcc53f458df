"""Events become bounded interactions."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.core import digest
from components.core.errors import ContractBroken
from components.core.params import Prepare
from components.data import prepare as room
from components.data.prepare import prepare
from components.data.tables import EVENTS, ITEMS
from tests.unit.data.events import CATALOGUE, event, prepared

MAY, AUGUST = datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 8, 1, tzinfo=UTC)


def test_purchases_of_one_item_in_one_block_are_one_row(tmp_path: Path) -> None:
    rows = prepared(tmp_path, [event(ts=MAY), event(ts=MAY.replace(day=2))])
    category = CATALOGUE[0]["category"]
    assert rows == [{"user": "a" * 32, "item": "I00", "category": category, "weight": 2.0, "block": "2024Q2"}]


def test_blocks_are_kept_apart(tmp_path: Path) -> None:
    rows = prepared(tmp_path, [event(ts=MAY), event(ts=AUGUST)])
    assert [row["block"] for row in rows] == ["2024Q2", "2024Q3"]


def test_a_duplicated_event_counts_once(tmp_path: Path) -> None:
    assert prepared(tmp_path, [event()] * 5)[0]["weight"] == 1.0


@pytest.mark.parametrize("column", ["session", "query", "text", "site", "currency", "ad"])
def test_events_that_differ_in_any_column_are_no_duplicates(tmp_path: Path, column: str) -> None:
    assert prepared(tmp_path, [event(**{column: "x"}), event(**{column: "y"})])[0]["weight"] == 2.0


def test_kinds_weigh_what_params_say(tmp_path: Path) -> None:
    params = Prepare(weights={"view": 0.25, "purchase": 2.0})
    rows = prepared(tmp_path, [event("view"), event("purchase"), event("click")], params)
    assert rows[0]["weight"] == 2.25


def test_views_that_weigh_nothing_are_no_interaction(tmp_path: Path) -> None:
    rows = prepared(tmp_path, [event("view", item="I01"), event("purchase")])
    assert [row["item"] for row in rows] == ["I00"]


def test_a_return_takes_its_share_back(tmp_path: Path) -> None:
    rows = prepared(tmp_path, [event(quantity=3), event(quantity=1, ts=MAY), event("return", quantity=1)])
    assert rows[0]["weight"] == pytest.approx(2 * 3 / 4)


def test_a_full_return_removes_the_pair_in_every_block(tmp_path: Path) -> None:
    events = [event(ts=MAY), event("view", ts=MAY), event("return", ts=AUGUST), event(item="I01")]
    rows = prepared(tmp_path, events, Prepare(weights={"view": 1, "purchase": 1}))
    assert [row["item"] for row in rows] == ["I01"]


def test_a_return_without_its_purchase_removes_the_pair(tmp_path: Path) -> None:
    rows = prepared(tmp_path, [event("return"), event("review", rating=5.0), event(item="I01")])
    assert [row["item"] for row in rows] == ["I01"]


def test_a_rating_below_the_minimum_is_no_interaction(tmp_path: Path) -> None:
    events = [event("review", rating=3.5), event("review", rating=4.0, item="I01")]
    rows = prepared(tmp_path, events, Prepare(minimum_rating=4.0))
    assert [row["item"] for row in rows] == ["I01"]


def test_quantities_too_large_for_a_float_are_added_exactly_in_any_order(tmp_path: Path) -> None:
    bought = [event(quantity=quantity, ts=MAY.replace(day=day)) for day, quantity in enumerate([2**53, 1, 1], 1)]
    returned = [event("return", quantity=quantity, ts=MAY.replace(day=day)) for day, quantity in [(4, 2**53), (5, 1)]]
    first = prepared(tmp_path, [*bought, *returned])
    assert first
    assert prepared(tmp_path, [*bought[::-1], *returned[::-1]]) == first


def test_items_of_any_script_keep_their_names_and_categories(tmp_path: Path) -> None:
    names = ["z", "Z", "é", "中", "\U0001f600", "\uffff", "a b", "10", "9"]
    items = [{"item": name, "category": f"of {name}"} for name in names]
    rows = prepared(tmp_path, [event(item=name) for name in names], items=items)
    assert {row["item"]: row["category"] for row in rows} == {name: f"of {name}" for name in names}
    assert [row["item"] for row in rows] == sorted(names)


def test_an_unknown_item_is_left_out(tmp_path: Path) -> None:
    rows = prepared(tmp_path, [event(item="nowhere"), event(item=None), event()])
    assert [row["item"] for row in rows] == ["I00"]


def test_a_user_with_100000_events_is_cut_to_the_limit(tmp_path: Path) -> None:
    events = [event(item=f"I{n % 90:02d}", ts=MAY, session=str(n)) for n in range(100_000)]
    rows = prepared(tmp_path, events, Prepare(max_items_per_user=20))
    assert len({row["item"] for row in rows}) == 20
    assert sum(row["weight"] for row in rows) == pytest.approx(100_000 * 20 / 90, rel=0.01)


def test_which_items_stay_depends_on_the_user(tmp_path: Path) -> None:
    events = [event(user=user * 32, item=f"I{n:02d}") for user in "ab" for n in range(90)]
    rows = prepared(tmp_path, events, Prepare(max_items_per_user=20))
    kept = {user: {row["item"] for row in rows if row["user"] == user * 32} for user in "ab"}
    assert len(kept["a"]) == len(kept["b"]) == 20
    assert kept["a"] != kept["b"]


def test_no_interaction_at_all_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ContractBroken, match="No event is an interaction"):
        prepared(tmp_path, [event(item="nowhere")])
    assert not (tmp_path / "prepared").exists()


def test_a_catalogue_that_names_an_item_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractBroken, match="names an item twice"):
        prepared(tmp_path, [event()], items=[*CATALOGUE, {"item": "I00", "title": "again"}])


@pytest.mark.slow
def test_ranges_of_users_give_the_same_as_all_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = [event(user=digest.of_bytes(bytes([n]))[:32], item=f"I{n % 7:02d}") for n in range(200)]
    whole = prepared(tmp_path, events)
    monkeypatch.setattr(room, "_EVENTS_AT_ONCE", 60)
    assert prepared(tmp_path, events) == whole
    assert len(whole) == 200


def test_the_same_events_give_the_same_bytes_and_leave_no_scratch(tmp_path: Path) -> None:
    events = [event(user=digest.of_bytes(bytes([n]))[:32]) for n in range(50)]
    prepared(tmp_path, events)
    content = digest.of_path(tmp_path / "prepared")
    prepared(tmp_path, events)
    assert digest.of_path(tmp_path / "prepared") == content
    assert sorted(path.name for path in (tmp_path / "prepared").iterdir()) == ["interactions.parquet", "items.parquet"]


def test_files_with_null_typed_statistics_are_read(tmp_path: Path) -> None:
    # A file written without statistics says nothing about which columns are empty.
    rows: list[dict[str, Any]] = [event(session="x"), event(session="y")]
    pq.write_table(pa.Table.from_pylist(rows, EVENTS), tmp_path / "e.parquet", write_statistics=False)
    pq.write_table(pa.Table.from_pylist(CATALOGUE, ITEMS), tmp_path / "i.parquet")
    out = prepare(tmp_path / "e.parquet", tmp_path / "i.parquet", Prepare(), "year", tmp_path / "out")
    assert pq.read_table(out / "interactions.parquet")["weight"].to_pylist() == [2.0]
