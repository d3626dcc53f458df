"""Columns that a check adds to a table, so that a suite can speak of more than one row or one table.

They are seen by suites and Data Docs and are not written out. A column that cannot be derived, because what it needs is
missing, is not added; then the expectation on it cannot be evaluated, which refuses the table.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

DERIVED = {
    "events": ("repeated", "in_catalogue", "is_booked"),
    "items": (),
    "ads": ("in_catalogue",),
    "messages": ("repeated",),
    "prepared": ("in_catalogue", "rows_of_user", "items_of_user"),
}


def of_events(events: pa.Table, items: pa.Table, ads: pa.Table) -> pa.Table:
    """Add `repeated` (the row equals an earlier one), `in_catalogue` and `is_booked` (null where item or ad is).

    A source without a single ad has no list of them, so that nothing is known of one: `is_booked` is null throughout.
    """
    table = _in_catalogue(_repeated(events, None), items)
    if not ads.num_rows and "ad" in table.column_names:
        return table.append_column("is_booked", pa.nulls(table.num_rows, pa.bool_()))
    return _known(table, "ad", ads, "is_booked")


def of_ads(ads: pa.Table, items: pa.Table) -> pa.Table:
    """Add `in_catalogue` (null where item is null)."""
    return _in_catalogue(ads, items)


def of_messages(messages: pa.Table) -> pa.Table:
    """Add `repeated` (an earlier message has the same id)."""
    return _repeated(messages, "message")


def of_prepared(prepared: pa.Table, items: pa.Table) -> pa.Table:
    """Add `in_catalogue`, and of the row's user over all blocks `rows_of_user`, and `items_of_user`, the number of
    distinct items.
    """
    table = _in_catalogue(prepared, items)
    if "user" not in table.column_names:
        return table
    counted = [("user", "count"), *([("item", "count_distinct")] if "item" in table.column_names else [])]
    counts = table.group_by("user").aggregate(counted)
    position = pc.index_in(table["user"], value_set=counts["user"])
    table = table.append_column("rows_of_user", pc.take(counts["user_count"], position))
    if "item" not in table.column_names:
        return table
    return table.append_column("items_of_user", pc.take(counts["item_count_distinct"], position))


def _repeated(table: pa.Table, key: str | None) -> pa.Table:
    import pandas as pd

    if key is not None and key not in table.column_names:
        return table
    compared = table if key is None else table.select([key])
    repeated = compared.to_pandas(types_mapper=pd.ArrowDtype).duplicated()
    return table.append_column("repeated", pa.array(repeated, pa.bool_()))


def _in_catalogue(table: pa.Table, items: pa.Table) -> pa.Table:
    return _known(table, "item", items, "in_catalogue")


def _known(table: pa.Table, column: str, public: pa.Table, name: str) -> pa.Table:
    """Add the column `name`: the value of `column` is in the public table; null where it is null."""
    if column not in table.column_names or column not in public.column_names:
        return table
    values, known = table[column], public[column]
    if values.type != known.type:
        return table
    found = pc.is_in(values, value_set=known)
    return table.append_column(name, pc.if_else(pc.is_null(values), pa.scalar(None, pa.bool_()), found))
