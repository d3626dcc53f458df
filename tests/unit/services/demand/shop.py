"""A shop of six items in three categories over twelve weeks, and purchases made by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.data.activity import calendar
from components.data.blocks import name_of
from components.data.tables import ACTIVITY, ADS, ITEMS, SHARES
from components.services.demand.bundle import Bundle
from components.services.demand.data import Catalogue, read_catalogue
from components.services.demand.params import DemandParams
from components.services.demand.release import Released
from components.services.demand.rows import Rows, layout_of, read_rows

START = datetime(2000, 9, 4, tzinfo=UTC)
WEEKS = 12
PARAMS = DemandParams(sites=("here", "there"), norm=20)


def write_public(folder: Path, *, weeks: int = WEEKS, offers: list[dict[str, Any]] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    items = [{"item": f"i{n}", "title": f"Item {n}", "category": f"c{n % 3}"} for n in range(6)]
    pq.write_table(pa.Table.from_pylist(items, schema=ITEMS), folder / "items.parquet")
    pq.write_table(pa.Table.from_pylist(offers or [], schema=ADS), folder / "ads.parquet")
    pq.write_table(calendar(START, START + timedelta(weeks=weeks), "quarter"), folder / "calendar.parquet")
    pq.write_table(pa.table([["train", "test"], [0.8, 0.2]], schema=SHARES), folder / "shares.parquet")
    return folder


def bought(user: int, week: int, item: int = 0, quantity: int | None = 1, **columns: Any) -> dict[str, Any]:
    ts = START + timedelta(weeks=week, days=user % 7, hours=12)
    about = {"user": f"{user:032x}", "ts": ts, "event": "purchase", "item": f"i{item}", "quantity": quantity}
    return {**about, "block": name_of(ts, "quarter"), "site": "here", **columns}


def rows_of(folder: Path, events: list[dict[str, Any]], params: DemandParams = PARAMS) -> tuple[Rows, Catalogue]:
    catalogue = read_catalogue(write_public(folder / "public"), params)
    pq.write_table(pa.Table.from_pylist(events, schema=ACTIVITY), folder / "activity.parquet")
    return read_rows(folder / "activity.parquet", catalogue, params), catalogue


def released_of(catalogue: Catalogue, level: np.ndarray, sigma: float = 0.0, seed: int = 0) -> Released:
    """Units of a shop that sells `level` of each category every week, with noise of `sigma` on each figure."""
    drawn, weeks = np.random.default_rng(seed), len(catalogue.calendar)
    totals = level * weeks
    parts = {
        "weeks": np.tile(level, (weeks, 1)).astype(float),
        "sites": np.tile(level.sum() * np.array([0.5, 0.3, 0.2]), (weeks, 1)),
        "left": 0.25 * totals,
        "beyond": 0.25 * totals.sum(keepdims=True),
        "items": totals[catalogue.of_item] / 2.0,
        "weekdays": totals.sum() * np.array([1, 1, 1, 1, 1, 2, 3]) / 10.0,
    }
    shapes = layout_of(catalogue, PARAMS).shapes
    assert {name: part.shape for name, part in parts.items()} == shapes
    return Released(
        {name: part + sigma * drawn.normal(size=part.shape) for name, part in parts.items()},
        dict.fromkeys(parts, sigma),
    )


def bundle_of(folder: Path, sigma: float = 0.0, users: int = 100) -> Bundle:
    from components.services.demand.statespace import state_space

    catalogue = read_catalogue(write_public(folder), PARAMS)
    return state_space(released_of(catalogue, np.array([50.0, 100.0, 200.0]), sigma), catalogue, users)
