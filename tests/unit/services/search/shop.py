"""A small catalogue in two languages, and what people searched for in it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.data.tables import ACTIVITY
from components.services.search.bundle import Bundle
from components.services.search.data import Catalogue, Rows, read_rows
from components.services.search.fused import bundle_of
from components.services.search.params import SearchParams

BEGUN = datetime(2000, 11, 1, tzinfo=UTC)
PLAIN = SearchParams(dense=False, phrases=40)
ITEMS = (
    ("c1", "Foxglove Dark Chocolate, 100 g", "Food/Snacks/Dark Chocolate", "Foxglove"),
    ("c2", "Harrow Dark Chocolate, 200 g", "Food/Snacks/Dark Chocolate", "Harrow"),
    ("c3", "Milk Chocolate", "Food/Snacks/Milk Chocolate", "Foxglove"),
    ("t1", "Green Tea", "Drinks/Tea/Green Tea", "Pebble"),
    ("t2", "Harrow Green Tea", "Drinks/Tea/Green Tea", "Harrow"),
    ("z1", "铁观音 乌龙茶", "饮料/茶/乌龙茶", "茶山"),
    ("z2", "红茶 礼盒", "饮料/茶/红茶", "茶山"),
    ("z3", "黑巧克力", "食品/零食/巧克力", None),
    ("m1", "Café au Lait Mug", "Household/Kitchen/Mugs", None),
    ("n1", None, None, None),
)


def catalogue() -> Catalogue:
    columns = zip(*ITEMS, strict=True)
    table = pa.table(dict(zip(("item", "title", "category", "brand"), map(list, columns), strict=True)))
    return Catalogue(table.sort_by("item"))


def bundle(popularity: dict[str, float] | None = None, params: SearchParams = PLAIN) -> Bundle:
    """Return the floor over the catalogue; what is not named is taken once."""
    listed = catalogue()
    taken = np.array([(popularity or {}).get(item, 1.0) for item in listed.items])
    return bundle_of(listed, params, taken / taken.sum())


def event(user: int, second: float, kind: str, **columns: Any) -> dict[str, Any]:
    about = {"user": f"{user:032x}", "session": f"s{user}", "ts": BEGUN + timedelta(seconds=second), "block": "2000Q4"}
    return {**about, "event": kind, **columns}


def searched(user: int, second: float, query: str, *items: str, position: int | None = 1) -> list[dict[str, Any]]:
    """Return a search, and a click on each of the items after it."""
    clicks = [
        event(user, second + 5 + n, "click", item=item, position=position and position + n)
        for n, item in enumerate(items)
    ]
    return [event(user, second, "search", query=query), *clicks]


def rows(folder: Path, events: Sequence[dict[str, Any]], params: SearchParams = PLAIN) -> Rows:
    path = folder / "activity.parquet"
    pq.write_table(pa.Table.from_pylist(list(events), schema=ACTIVITY), path)
    return read_rows(path, catalogue(), params)


def found(of: Bundle, query: str) -> list[str]:
    """Return the items that a query finds, the best first."""
    from components.services.search.retrieval import Retrieval

    return [of.catalogue.items[place] for place in Retrieval(of).candidates(query).items]
