"""What a source declares public, its catalogue and its ads, in the canonical schemas.

Both are small, and everything stands on them: a row that cannot be read refuses the table.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.core.errors import ContractBroken
from components.data import parsing
from components.data.mapping import AdsMapping, Money, exponent
from components.data.sources.reader import Batch
from components.data.tables import ADS, ITEMS, empty

_CATALOGUE = "the catalogue is the public list of what may be recommended"
_ADS = "the ads are the public list of what may be shown"


def catalogue(batches: Iterable[Batch], money: Money) -> pa.Table:
    """Return the items in `batches`, exact duplicates once, sorted by item.

    Raises:
        ContractBroken: a row is broken, has no item or a price that is no number, or there is no row at all.
    """
    tables = [_items(batch, money) for batch in batches]
    if not tables or not sum(table.num_rows for table in tables):
        raise ContractBroken("The catalogue is empty", next_step="Mend `items` of the source (params.yaml: sources).")
    return _distinct(tables, ITEMS, "item")


def ads(batches: Iterable[Batch], mapping: AdsMapping) -> pa.Table:
    """Return the ads in `batches`, exact duplicates once, sorted by ad; there may be none.

    Raises:
        ContractBroken: a row is broken, has no ad, or a bid or time that cannot be read.
    """
    return _distinct([ADS.empty_table(), *(_ads(batch, mapping) for batch in batches)], ADS, "ad")


def _distinct(tables: list[pa.Table], schema: pa.Schema, key: str) -> pa.Table:
    whole = pa.concat_tables(tables).combine_chunks()
    return whole.group_by(whole.column_names).aggregate([]).select(schema.names).sort_by(key).cast(schema)


def _items(batch: Batch, money: Money) -> pa.Table:
    columns = _texts(batch, ITEMS, ("item", "title", "category", "brand"), _CATALOGUE)
    if "price" in batch.rows.column_names:
        columns["price"] = _amounts(batch, "price", money, _CATALOGUE)
    return pa.table(columns)


def _ads(batch: Batch, mapping: AdsMapping) -> pa.Table:
    columns = _texts(batch, ADS, ("ad", "item", "campaign", "placement"), _ADS)
    if "bid" in batch.rows.column_names:
        columns["bid"] = _amounts(batch, "bid", mapping, _ADS)
    for name in ("starts", "ends"):
        if name in batch.rows.column_names:
            times = parsing.times(batch.rows[name], mapping, batch.origin, name)
            _refuse(batch, times.without_zone, f"timestamp without zone in {name}", _ADS)
            _refuse(batch, times.invalid, f"invalid timestamp in {name}", _ADS)
            columns[name] = times.values
    return pa.table(columns, schema=pa.schema([field.with_nullable(True) for field in ADS])).cast(ADS)


def _texts(batch: Batch, schema: pa.Schema, names: tuple[str, ...], what: str) -> dict[str, pa.Array]:
    """Return the columns of `schema` with those of text filled; the first of them is the key, which no row lacks."""
    if batch.problems is not None and batch.problems.null_count < len(batch.problems):
        first = int(parsing.mask(pc.is_valid(batch.problems)).argmax())
        raise _broken(batch, first, batch.problems[first].as_py(), what)
    columns = empty(schema, batch.rows.num_rows)
    for name in names:
        if name in batch.rows.column_names:
            columns[name] = parsing.text(batch.rows[name], name, batch.origin)
    _refuse(batch, parsing.mask(pc.is_null(columns[names[0]])), f"missing {names[0]}", what)
    return columns


def _amounts(batch: Batch, name: str, money: Money, what: str) -> pa.Array:
    amounts, bad = parsing.numbers(batch.rows[name], name, batch.origin, money.decimal)
    _refuse(batch, bad, f"unparsable number in {name}", what)
    scale = 10.0 ** exponent(money.currency) if money.money == "major" else 1.0
    return pc.round(pc.multiply(amounts, scale), round_mode="half_to_even").cast(pa.int64())


def _refuse(batch: Batch, bad: np.ndarray, reason: str, what: str) -> None:
    if bad.any():
        raise _broken(batch, int(bad.argmax()), reason, what)


def _broken(batch: Batch, row: int, reason: str, what: str) -> ContractBroken:
    table = "catalogue is" if what is _CATALOGUE else "ads are"
    return ContractBroken(
        f"The {table} broken at {batch.origin}:{batch.positions[row]} ({reason})",
        next_step=f"Mend that line: {what}.",
    )
