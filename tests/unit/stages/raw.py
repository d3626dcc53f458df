"""Raw tables made by hand."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.data.tables import ADS, EVENTS, ITEMS, MESSAGES
from components.stages.run import Run

CHECKOUT = Path(__file__).parents[3]


def raw_tables(run: Run, events: int, start: datetime) -> None:
    """Write what collect writes: `events` purchases, a minute apart from `start` on, and the suites beside them."""
    folder = run.data / "raw"
    folder.mkdir(parents=True, exist_ok=True)
    happened = [
        {
            "user": f"{number % 90:032x}",
            "ts": start + number * timedelta(minutes=1),
            "event": "purchase",
            "item": f"I{number % 7}",
            "quantity": 1,
        }
        for number in range(events)
    ]
    items = [{"item": f"I{item}", "title": f"Item {item}", "category": f"G{item % 3}"} for item in range(7)]
    pq.write_table(pa.Table.from_pylist(happened, EVENTS), folder / "events.parquet")
    pq.write_table(pa.Table.from_pylist(items, ITEMS), folder / "items.parquet")
    pq.write_table(ADS.empty_table(), folder / "ads.parquet")
    pq.write_table(MESSAGES.empty_table(), folder / "messages.parquet")
    (folder / "counts.json").write_text(json.dumps({"events": events}))
    suites = run.root / "expectations"
    suites.mkdir(exist_ok=True)
    for suite in (CHECKOUT / "expectations").glob("*.json"):
        (suites / suite.name).write_text(suite.read_text())
