"""A small shop of files, and one call that collects it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from components.core.params import Source, Window
from components.data.collect import Collected, collect
from components.data.sources import open_source

NOW = datetime(2024, 6, 1, tzinfo=UTC)
ITEMS = "sku,name,group,price\nA,Apple,Fresh/Fruit,0.50\nB,Bread,Food/Bakery,2.90\n"
HEADER = "customer,when,what,sku,pieces,price\n"
COLUMNS = {
    "user": "customer",
    "ts": "when",
    "event": "what",
    "item": "sku",
    "quantity": "pieces",
    "unit_price": "price",
}


ALWAYS = Window()


@dataclass(frozen=True)
class Outcome:
    """What a collection wrote."""

    record: Collected
    folder: Path

    @property
    def events(self) -> list[dict[str, Any]]:
        return pq.read_table(self.folder / "events.parquet").to_pylist()

    @property
    def quarantine(self) -> list[dict[str, Any]]:
        return pq.read_table(self.folder / "quarantine.parquet").to_pylist()

    @property
    def reasons(self) -> list[str]:
        return [row["reason"] for row in self.quarantine]


Collect = Callable[..., Outcome]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def collect_csv(tmp_path: Path, home: Path) -> Collect:
    """Collect the lines given as the shop's orders; keywords change the mapping of events."""

    def run(
        content: str | bytes, *, window: Window = ALWAYS, header: str = HEADER, public: bool = True, **mapping: Any
    ) -> Outcome:
        orders = content if isinstance(content, bytes) else content.encode()
        (tmp_path / "orders.csv").write_bytes(header.encode() + orders)
        (tmp_path / "items.csv").write_text(ITEMS)
        events = {"path": str(tmp_path / "orders.csv"), "columns": COLUMNS, "currency": "EUR", **mapping}
        catalogue = {"item": "sku", "title": "name", "category": "group", "price": "price"}
        items = {"path": str(tmp_path / "items.csv"), "columns": catalogue, "currency": "EUR"}
        source = Source.model_validate({"kind": "files", "public": public, "events": events, "items": items})
        reader = open_source(source, tmp_path / "wheels")
        out = tmp_path / "raw"
        return Outcome(collect(reader, source, window, "quarter", home, out, now=NOW), out)

    return run


def order(user: str = "u1", when: str = "2024-05-01T12:00:00Z", what: str = "purchase", rest: str = "A,1,0.50") -> str:
    return f"{user},{when},{what},{rest}\n"


def said(row: dict[str, Any]) -> dict[str, Any]:
    """What a quarantined row said."""
    return json.loads(row["row"])
