"""Events made by hand, and a call that prepares them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.core.params import Prepare
from components.data.prepare import prepare
from components.data.tables import EVENTS, ITEMS

CATALOGUE: list[dict[str, Any]] = [
    {"item": f"I{n:02d}", "title": f"Item {n}", "category": f"G{n % 5}/S{n % 10}"} for n in range(90)
]

SHIPPED = Prepare()


def event(kind: str = "purchase", **columns: Any) -> dict[str, Any]:
    """One event of one user, with the columns given."""
    return {"user": "a" * 32, "ts": datetime(2024, 5, 3, tzinfo=UTC), "event": kind, "item": "I00", **columns}


def prepared(
    folder: Path,
    events: list[dict[str, Any]],
    params: Prepare = SHIPPED,
    items: list[dict[str, Any]] = CATALOGUE,
    blocks: tuple[str, ...] | None = None,
) -> list[dict[str, Any]]:
    """The interactions of `events`, by quarter."""
    pq.write_table(pa.Table.from_pylist(events, EVENTS), folder / "events.parquet")
    pq.write_table(pa.Table.from_pylist(items, ITEMS), folder / "items.parquet")
    paths = folder / "events.parquet", folder / "items.parquet"
    out = prepare(*paths, params, "quarter", folder / "prepared", blocks=blocks)
    return pq.read_table(out / "interactions.parquet").to_pylist()
