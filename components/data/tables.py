"""The canonical tables, and the one way in which they are written.

Timestamps are UTC in microseconds, money is in integer minor units (cents) of its currency.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

EVENT_KINDS = ("view", "search", "click", "cart", "purchase", "return", "review", "impression", "ad_click")

TIMESTAMP = pa.timestamp("us", "UTC")

EVENTS = pa.schema(
    [
        pa.field("user", pa.string(), nullable=False),
        pa.field("session", pa.string()),
        pa.field("ts", TIMESTAMP, nullable=False),
        pa.field("event", pa.string(), nullable=False),
        pa.field("item", pa.string()),
        pa.field("ad", pa.string()),
        pa.field("query", pa.string()),
        pa.field("position", pa.int64()),
        pa.field("quantity", pa.int64()),
        pa.field("unit_price", pa.int64()),
        pa.field("currency", pa.string()),
        pa.field("rating", pa.float64()),
        pa.field("text", pa.string()),
        pa.field("site", pa.string()),
    ]
)
"""What users did. `user` is a pseudonym wherever the table is on disk; `position` is the place, from 1, at which an
item or ad was shown."""

ITEMS = pa.schema(
    [
        pa.field("item", pa.string(), nullable=False),
        pa.field("title", pa.string()),
        pa.field("category", pa.string()),
        pa.field("brand", pa.string()),
        pa.field("price", pa.int64()),
    ]
)
"""The catalogue: public. `category` is a path with "/" from the widest to the narrowest."""

ADS = pa.schema(
    [
        pa.field("ad", pa.string(), nullable=False),
        pa.field("item", pa.string()),
        pa.field("campaign", pa.string()),
        pa.field("placement", pa.string()),
        pa.field("starts", TIMESTAMP),
        pa.field("ends", TIMESTAMP),
        pa.field("bid", pa.int64()),
    ]
)
"""What advertisers book: public. `bid` is in minor units a click."""

MESSAGES = pa.schema(
    [
        pa.field("message", pa.string(), nullable=False),
        pa.field("user", pa.string(), nullable=False),
        pa.field("ts", TIMESTAMP, nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("language", pa.string()),
        pa.field("intent", pa.string()),
    ]
)
"""What users write to the shop. `user` is a pseudonym wherever the table is on disk."""

INTERACTIONS = pa.schema(
    [
        pa.field("user", pa.string(), nullable=False),
        pa.field("item", pa.string(), nullable=False),
        pa.field("category", pa.string()),
        pa.field("weight", pa.float64(), nullable=False),
        pa.field("block", pa.string(), nullable=False),
    ]
)
"""One row per (user, item, block), bounded to a number of distinct items a user."""

ACTIVITY = pa.schema(
    [
        *(EVENTS.field(name) for name in ("user", "ts", "event", "session", "item", "ad", "query", "position")),
        *(EVENTS.field(name) for name in ("quantity", "unit_price", "site")),
        pa.field("block", pa.string(), nullable=False),
    ]
)
"""A user's own events one by one, bounded to the latest of each user."""

PREPARED_MESSAGES = pa.schema([*MESSAGES, pa.field("block", pa.string(), nullable=False)])
"""A user's messages, bounded to the latest of each user."""

CALENDAR = pa.schema([pa.field("day", pa.date32(), nullable=False), pa.field("block", pa.string(), nullable=False)])
"""The days (UTC) of the window that was collected, as far as their blocks are read: public."""

SHARES = pa.schema([pa.field("split", pa.string(), nullable=False), pa.field("share", pa.float64(), nullable=False)])
"""Which share of the users is in which split: public."""

QUARANTINE = pa.schema(
    [
        pa.field("reason", pa.string(), nullable=False),
        pa.field("row", pa.string(), nullable=False),
        pa.field("position", pa.string(), nullable=False),
    ]
)
"""Rows that were not accepted: why, what they said (JSON, user pseudonymised), and where they stand in the source."""

_GROUP_ROWS = 1 << 17


class TableWriter:
    """Writes one Parquet file; equal rows in equal order give equal bytes, however they were batched."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.rows = 0
        self._schema = schema
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        self._file = pq.ParquetWriter(path, schema, compression="zstd")

    def write(self, table: pa.Table) -> None:
        """Append `table`, whose columns are those of the schema."""
        self._waiting.append(table.select(self._schema.names).cast(self._schema))
        self._waiting_rows += table.num_rows
        self.rows += table.num_rows
        if self._waiting_rows >= _GROUP_ROWS:
            whole = pa.concat_tables(self._waiting)
            while whole.num_rows >= _GROUP_ROWS:
                self._write_group(whole.slice(0, _GROUP_ROWS))
                whole = whole.slice(_GROUP_ROWS)
            self._waiting, self._waiting_rows = [whole], whole.num_rows

    def close(self) -> None:
        """Write what waits and finish the file."""
        if self._waiting_rows:
            self._write_group(pa.concat_tables(self._waiting))
        self._file.close()

    def _write_group(self, table: pa.Table) -> None:
        # Chunk borders shape the encoded pages, so each group is one chunk.
        self._file.write_table(table.combine_chunks(), row_group_size=_GROUP_ROWS)

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:  # a half file is nobody's, and failing to end it would hide why it is half
            with suppress(pa.ArrowException, OSError):
                self._file.close()


def write_table(path: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> Path:
    """Write `tables`, one after the other, to `path`."""
    with TableWriter(path, schema) as writer:
        for table in tables:
            writer.write(table)
    return path


def read_batches(path: Path, rows: int = _GROUP_ROWS) -> Iterator[pa.Table]:
    """Yield the table in `path` in pieces of at most `rows` rows."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=rows):
            yield pa.Table.from_batches([batch])


def empty(schema: pa.Schema, rows: int) -> dict[str, pa.Array]:
    """Return a column of nulls for every field of `schema`, to be filled by those that are known."""
    return {field.name: pa.nulls(rows, field.type) for field in schema}
