"""Columns that a check adds to a table, so that a suite can speak of more than one row or one table.

They are seen by suites and Data Docs and are not written out. A column that cannot be derived, because what it needs is
missing, is not added; then the expectation on it cannot be evaluated, which refuses the table.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

DERIVED = {
    "events": ("repeated", "in_catalogue"),
    "items": (),
    "prepared": ("in_catalogue", "items_of_user"),
}


def of_events(events: pa.Table, items: pa.Table) -> pa.Table:
    """Add `repeated` (the row equals an earlier one) and `in_catalogue` (null where item is null)."""
    import pandas as pd

    repeated = events.to_pandas(types_mapper=pd.ArrowDtype).duplicated()
    return _in_catalogue(events.append_column("repeated", pa.array(repeated, pa.bool_())), items)


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
    item, catalogue = table["item"], items["item"]
    if item.type != catalogue.type:
        return table
    known = pc.is_in(item, value_set=catalogue)
    return table.append_column("in_catalogue", pc.if_else(pc.is_null(item), pa.scalar(None, pa.bool_()), known))
