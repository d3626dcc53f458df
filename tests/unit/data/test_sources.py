"""Databases, catalogues and files that are not what they seem."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from components.core.errors import ContractBroken, Misconfigured, Unavailable
from components.core.params import Source, Window
from components.data.collect import collect
from components.data.sources import Reader, open_source
from tests.unit.data.conftest import ITEMS, NOW, Collect, order


def database(tmp_path: Path, **changes: Any) -> tuple[Source, Reader]:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("create table orders (who text, at text, sku text)")
        connection.executemany(
            "insert into orders values (?, ?, ?)",
            [
                ("u2", "2024-05-02T00:00:00Z", "A"),
                ("u1", "2024-05-01T00:00:00Z", "B"),
                (None, "2024-05-03T00:00Z", "A"),
            ],
        )
        connection.execute("create table goods (sku text, name text)")
        connection.executemany("insert into goods values (?, ?)", [("B", "Bread"), ("A", "Apple"), ("A", "Apple")])
    events = {"table": "orders", "columns": {"user": "who", "ts": "at", "item": "sku"}, "event": "purchase"}
    items = {"table": "goods", "columns": {"item": "sku", "title": "name"}}
    options = {
        "kind": "sql",
        "public": True,
        "url": f"sqlite:///{tmp_path / 'shop.db'}",
        "events": events,
        "items": items,
        **changes,
    }
    source = Source.model_validate(options)
    return source, open_source(source, tmp_path)


def test_a_database_is_read_in_order_of_time(tmp_path: Path) -> None:
    source, reader = database(tmp_path)
    record = collect(reader, source, Window(), "month", tmp_path / "home", tmp_path / "raw", now=NOW)
    assert record.blocks == ("2024-05",)
    (batch,) = reader.events(Window())
    assert batch.rows["item"].to_pylist() == ["B", "A", "A"]
    assert reader.items()["title"].to_pylist() == ["Apple", "Bread"]


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    _, reader = database(tmp_path, items={"table": "wares", "columns": {"item": "sku"}})
    with pytest.raises(Misconfigured, match="wares"):
        reader.items()


def test_a_value_that_is_not_of_its_columns_type_refuses_the_table_without_being_quoted(tmp_path: Path) -> None:
    columns = {"user": "who", "ts": "at", "quantity": "pieces"}
    _, reader = database(tmp_path, events={"table": "counted", "columns": columns, "event": "purchase"})
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("create table counted (who text, at text, pieces integer)")
        connection.execute("insert into counted values ('u', '2024-05-01T00:00:00Z', 'alice@example.org')")
    with pytest.raises(ContractBroken, match=r"^A column of counted .* another type") as caught:
        list(reader.events(Window()))
    assert "alice" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_database_that_does_not_answer_is_an_outage(tmp_path: Path) -> None:
    _, reader = database(tmp_path, url="sqlite:////nonexistent/folder/shop.db")
    with pytest.raises(Unavailable, match="does not answer"):
        list(reader.events(Window()))


@pytest.mark.parametrize(
    ("catalogue", "complaint"),
    [
        ("sku,name,group,price\n", "catalogue is empty"),
        ("sku,name,group,price\n,Apple,x,1\n", r"items.csv:2 \(missing item\)"),
        ("sku,name,group,price\nA,Apple,x,1\nB,Bread,x,dear\n", r"items.csv:3 \(unparsable number in price\)"),
        ("sku,name,group,price\nA,Apple,x,1\nB,Bre", r"items.csv:3 \(truncated line\)"),
    ],
)
def test_a_broken_catalogue_is_refused_at_its_line(
    collect_csv: Collect, tmp_path: Path, catalogue: str, complaint: str
) -> None:
    collect_csv(order())
    other = tmp_path / "catalogue" / "items.csv"
    other.parent.mkdir()
    other.write_text(catalogue)
    columns = {"item": "sku", "title": "name", "price": "price"}
    events = {"path": str(tmp_path / "orders.csv"), "columns": {"user": "customer", "ts": "when"}, "event": "view"}
    options = {"kind": "files", "events": events, "items": {"path": str(other), "columns": columns}}
    with pytest.raises(ContractBroken, match=complaint):
        open_source(Source.model_validate(options), tmp_path).items()


def test_half_a_parquet_file_is_refused(collect_csv: Collect, tmp_path: Path) -> None:
    whole = (collect_csv(order()).folder / "events.parquet").read_bytes()
    half = tmp_path / "half.parquet"
    half.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ContractBroken, match=r"half.parquet is not a whole Parquet file"):
        collect_csv("", path=str(half))


def test_a_parquet_column_of_the_wrong_type_is_refused(collect_csv: Collect, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = {"customer": ["u"], "when": [True], "what": ["view"], "sku": ["A"], "pieces": [1], "price": [1.0]}
    pq.write_table(pa.table(rows), tmp_path / "odd.parquet")
    with pytest.raises(ContractBroken, match=r"ts in odd.parquet has the wrong type \(found bool"):
        collect_csv("", path=str(tmp_path / "odd.parquet"))


def test_a_parquet_file_of_a_user_id_too_long_for_a_whole_number_is_read(collect_csv: Collect, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    stamp = datetime(2024, 5, 1, tzinfo=UTC)
    rows = {"customer": [1e300], "when": [stamp], "what": ["view"], "sku": ["A"], "pieces": [None], "price": [1e300]}
    pq.write_table(pa.table(rows), tmp_path / "odd.parquet")
    outcome = collect_csv(order(), path=str(tmp_path / "o*.[cp]*"))
    assert len(outcome.events) == 1
    assert outcome.reasons == ["unparsable number in unit_price"]


def test_seconds_since_1970_are_read_where_the_mapping_says_so(collect_csv: Collect) -> None:
    outcome = collect_csv(order(when="1714564800"), epoch="s")
    assert outcome.events[0]["ts"] == datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("lines", [2, 1_000, 250_000])
def test_a_quote_that_is_never_closed_is_refused_since_it_would_swallow_good_lines(
    collect_csv: Collect, lines: int
) -> None:
    with pytest.raises(ContractBroken, match=r"orders.csv .*never closed"):
        collect_csv(order() + 'u1,"2024' + order() * lines)


def test_a_price_of_a_whole_line_is_divided_by_its_pieces(collect_csv: Collect) -> None:
    columns = {"user": "customer", "ts": "when", "item": "sku", "quantity": "pieces", "line_price": "price"}
    outcome = collect_csv(order(rest="A,3,7.50"), columns=columns, event="purchase")
    assert outcome.events[0]["unit_price"] == 250


def test_the_catalogue_of_the_example_is_read(collect_csv: Collect) -> None:
    import pyarrow.parquet as pq

    items = pq.read_table(collect_csv(order()).folder / "items.parquet").to_pylist()
    assert items[0] == {"item": "A", "title": "Apple", "category": "Fresh/Fruit", "brand": None, "price": 50}
    assert len(items) == ITEMS.count("\n") - 1
