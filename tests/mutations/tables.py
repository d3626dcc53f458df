"""Detectors of the data rooms: one user's rows depend on that user alone, and are bounded once. None finds a fault."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.core.params import Prepare, Split
from components.data import prepare as prepare_room
from components.data import split as split_room
from components.data.tables import EVENTS, ITEMS
from components.privacy.draws import Fault
from tests.unit.data.events import CATALOGUE, event

LIMIT = 6
USERS = [f"{number:02x}" * 16 for number in range(0, 240, 6)]
SATURATING = "ab" * 16
"""Takes every item, some in each of three blocks."""
MONTHS = (2, 5, 8)


def neighbours(folder: Path) -> list[Fault]:
    """Prepare and split with and without one user, and compare what is left of everyone else."""
    usual = [
        event(user=user, item=CATALOGUE[step and (place + step) % 30]["item"], ts=_day(2))
        for place, user in enumerate(USERS)
        for step in range(3)
    ]
    everything = [
        event(user=SATURATING, item=item["item"], ts=_day(MONTHS[n % 3], day))
        for n, item in enumerate(CATALOGUE)
        for day in (3, 4)
    ]
    without, with_ = _tables(folder / "without", usual), _tables(folder / "with", [*usual, *everything])
    found = []
    for name, rows in with_.items():
        others = [row for row in rows if row["user"] != SATURATING]
        if others != without[name]:
            found.append(Fault("leak", f"another user changes other users' rows of {name}", "the same rows"))
    if any(row["user"] == SATURATING for rows in without.values() for row in rows):
        found.append(Fault("leak", "a user who is not there has rows", "none"))
    return found + _bounds(with_)


def _bounds(tables: dict[str, list[dict[str, Any]]]) -> list[Fault]:
    splits, items = defaultdict(set), defaultdict(set)
    for name, rows in tables.items():
        for row in rows:
            splits[row["user"]].add(name)
            items[row["user"]].add(row["item"])
    found = []
    if torn := sum(len(names) > 1 for names in splits.values()):
        found.append(Fault("contribution", f"{torn} users are in more than one split", "one each"))
    if (most := max(map(len, items.values()))) > LIMIT:
        found.append(Fault("contribution", f"a user contributes {most} items over all splits and blocks", f"{LIMIT}"))
    return found


def _tables(folder: Path, events: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(events, EVENTS), folder / "events.parquet")
    pq.write_table(pa.Table.from_pylist(CATALOGUE, ITEMS), folder / "items.parquet")
    params = Prepare(max_items_per_user=LIMIT)
    prepared = prepare_room.prepare(
        folder / "events.parquet", folder / "items.parquet", params, "quarter", folder / "prepared"
    )
    paths = split_room.split(prepared, Split(), folder / "split")
    return {name: pq.read_table(path / "interactions.parquet").to_pylist() for name, path in paths.items()}


def _day(month: int, day: int = 3) -> datetime:
    return datetime(2024, month, day, tzinfo=UTC)
