"""The catalogue of a source in the canonical schema."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from components.core.errors import ContractBroken
from components.data import parsing
from components.data.mapping import Money, exponent
from components.data.sources.reader import Batch
from components.data.tables import ITEMS, empty


def catalogue(batches: Iterable[Batch], money: Money) -> pa.Table:
    """Return the items in `batches`, exact duplicates once, sorted by item.

    The catalogue is public and small, and everything stands on it: a row that cannot be read refuses it.

    Raises:
        ContractBroken: a row is broken, has no item or a price that is no number, or there is no row at all.
    """
    tables = [_items(batch, money) for batch in batches]
    if not tables or not sum(table.num_rows for table in tables):
        raise ContractBroken("The catalogue is empty", next_step="Mend `items` of the source (params.yaml: sources).")
    whole = pa.concat_tables(tables).combine_chunks()
    return whole.group_by(whole.column_names).aggregate([]).select(ITEMS.names).sort_by("item").cast(ITEMS)


def _items(batch: Batch, money: Money) -> pa.Table:
    rows = batch.rows
    if batch.problems is not None and batch.problems.null_count < len(batch.problems):
        first = int(parsing.mask(pc.is_valid(batch.problems)).argmax())
        raise _broken(batch, first, batch.problems[first].as_py())
    columns = empty(ITEMS, rows.num_rows)
    for name in ("item", "title", "category", "brand"):
        if name in rows.column_names:
            columns[name] = parsing.text(rows[name], name, batch.origin)
    if columns["item"].null_count:
        raise _broken(batch, int(parsing.mask(pc.is_null(columns["item"])).argmax()), "missing item")
    if "price" in rows.column_names:
        price, bad = parsing.numbers(rows["price"], "price", batch.origin, money.decimal)
        if bad.any():
            raise _broken(batch, int(bad.argmax()), "unparsable number in price")
        scale = 10.0 ** exponent(money.currency) if money.money == "major" else 1.0
        columns["price"] = pc.round(pc.multiply(price, scale), round_mode="half_to_even").cast(pa.int64())
    return pa.table(columns)


def _broken(batch: Batch, row: int, reason: str) -> ContractBroken:
    return ContractBroken(
        f"The catalogue is broken at {batch.origin}:{batch.positions[row]} ({reason})",
        next_step="Mend that line: the catalogue is the public list of what may be recommended.",
    )
