"""Small tables without a fault, and a way to plant one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.data.tables import ACTIVITY, ADS, EVENTS, INTERACTIONS, ITEMS, MESSAGES, PREPARED_MESSAGES

EXPECTATIONS = Path(__file__).parents[3] / "expectations"
NOW = datetime(2001, 1, 1, tzinfo=UTC)
START, END = datetime(2000, 11, 1, tzinfo=UTC), datetime(2000, 12, 1, tzinfo=UTC)


def user(number: int) -> str:
    return f"{number:032x}"


def items(count: int = 5) -> pa.Table:
    rows = [
        {"item": f"i{n}", "title": f"Item {n}", "category": "food/tea", "brand": "Acme", "price": 100 + n}
        for n in range(count)
    ]
    return pa.Table.from_pylist(rows, schema=ITEMS)


def ads(count: int = 5) -> pa.Table:
    rows = [
        {
            "ad": f"a{n}",
            "item": f"i{n}",
            "campaign": "May",
            "placement": "home",
            "starts": START,
            "ends": END,
            "bid": 20,
        }
        for n in range(count)
    ]
    return pa.Table.from_pylist(rows, schema=ADS)


def messages(count: int = 40) -> pa.Table:
    rows = [
        {
            "message": f"m{n}",
            "user": user(n % 10),
            "ts": END - timedelta(hours=1 + n),
            "text": f"Where is order {n}?",
            "language": "en",
            "intent": "order_status",
        }
        for n in range(count)
    ]
    return pa.Table.from_pylist(rows, schema=MESSAGES)


def events(count: int = 40) -> pa.Table:
    rows = [
        {
            "user": user(n % 10),
            "ts": END - timedelta(hours=1 + n),
            "event": "purchase",
            "item": f"i{n % 5}",
            "quantity": 1,
            "unit_price": 250,
            "currency": "TWD",
            "rating": 4.0 if n % 3 else None,
        }
        for n in range(count)
    ]
    return pa.Table.from_pylist(rows, schema=EVENTS)


def interactions(users: int = 12) -> pa.Table:
    rows = [
        {"user": user(n), "item": f"i{(n + k) % 5}", "category": "food/tea", "weight": 1.0, "block": "2000Q4"}
        for n in range(users)
        for k in range(3)
    ]
    return pa.Table.from_pylist(rows, schema=INTERACTIONS)


def activity(users: int = 12) -> pa.Table:
    """Each user is shown two ads, clicks on the second, and buys what it advertises."""
    rows = [
        {
            "user": user(n),
            "ts": END - timedelta(days=1, seconds=-second),
            "event": event,
            "session": f"s{n}",
            "item": f"i{n % 5}" if event == "purchase" else None,
            "ad": None if event == "purchase" else f"a{(n + shift) % 5}",
            "position": position,
            "block": "2000Q4",
        }
        for n in range(users)
        for second, (event, shift, position) in enumerate(
            [("impression", 1, 1), ("impression", 0, 2), ("ad_click", 0, 2), ("purchase", 0, None)]
        )
    ]
    return pa.Table.from_pylist(rows, schema=ACTIVITY)


def written(users: int = 12) -> pa.Table:
    """Each user writes two messages."""
    rows = [{**row, "user": user(n // 2), "block": "2000Q4"} for n, row in enumerate(messages(2 * users).to_pylist())]
    return pa.Table.from_pylist(rows, schema=PREPARED_MESSAGES)


def plant(table: pa.Table, column: str, *values: Any) -> pa.Table:
    """Return `table` with the first rows of `column` replaced by `values`."""
    changed = [*values, *table[column].to_pylist()[len(values) :]]
    return with_column(table, column, pa.array(changed, table.schema.field(column).type))


def with_column(table: pa.Table, column: str, content: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(column), column, content)


def write(folder: Path, **tables: pa.Table) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        pq.write_table(table, folder / f"{name}.parquet")
    return folder
