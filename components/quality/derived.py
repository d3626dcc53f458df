"""Columns that a check adds to a table, so that a suite can speak of more than one row or one table.

They are seen by suites and Data Docs and are not written out. A column that cannot be derived, because what it needs is
missing, is not added; then the expectation on it cannot be evaluated, which refuses the table.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

DERIVED = {
    "events": ("occurrence", "in_catalogue"),
    "items": (),
    "prepared": ("in_catalogue", "items_of_user"),
}


def of_events(events: pa.Table, items: pa.Table) -> pa.Table:
    """Add `occurrence` (1 for the first of equal rows, then 2, 3, …) and `in_catalogue` (null where item is null)."""
    frame = events.to_pandas(types_mapper=_arrow_type)
    occurrence = frame.groupby(list(frame.columns), dropna=False, sort=False).cumcount() + 1
    return _in_catalogue(events.append_column("occurrence", pa.array(occurrence, pa.int64())), items)


def of_prepared(interactions: pa.Table, items: pa.Table) -> pa.Table:
    """Add `in_catalogue` and `items_of_user`, the number of distinct items of the row's user over all blocks."""
    table = _in_catalogue(interactions, items)
    if not {"user", "item"} <= set(table.column_names):
        return table
    counts = table.group_by("user").aggregate([("item", "count_distinct")])
    position = pc.index_in(table["user"], value_set=counts["user"])
    return table.append_column("items_of_user", pc.take(counts["item_count_distinct"], position))


def _in_catalogue(table: pa.Table, items: pa.Table) -> pa.Table:
    if "item" not in table.column_names or "item" not in items.column_names:
        return table
    item = table["item"]
    known = pc.is_in(item, value_set=items["item"].combine_chunks().cast(item.type))
    return table.append_column("in_catalogue", pc.if_else(pc.is_null(item), pa.scalar(None, pa.bool_()), known))


def _arrow_type(kind: pa.DataType) -> object:
    import pandas as pd

    return pd.ArrowDtype(kind)
