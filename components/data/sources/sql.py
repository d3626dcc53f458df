"""Events, items, ads and messages in the tables of a database: any URL that Ibis connects to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from components.core.errors import ContractBroken, Misconfigured, Unavailable
from components.core.params import Section, Window, parse
from components.data.backend import batches
from components.data.mapping import AdsMapping, Clock, EventsMapping, ItemsMapping, MessagesMapping
from components.data.sources.catalogue import ads, catalogue
from components.data.sources.delimited import require
from components.data.sources.reader import Batch
from components.data.tables import ADS


class EventTable(EventsMapping):
    """A table or view of events."""

    table: str


class ItemTable(ItemsMapping):
    """A table or view of the catalogue."""

    table: str


class AdTable(AdsMapping):
    """A table or view of ads."""

    table: str


class MessageTable(MessagesMapping):
    """A table or view of messages."""

    table: str


class Options(Section):
    """The keys of a source of kind `sql`."""

    url: str = Field(pattern=r"^[a-z][a-z0-9+]*://")
    """postgres://…, mysql://…, sqlite:///path, duckdb:///path"""
    events: EventTable
    items: ItemTable
    ads: AdTable | None = None
    messages: MessageTable | None = None


class SqlReader:
    """Reads tables through Ibis, in batches."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options: Options = parse(Options, options, "The source of kind sql")
        self.meaning = self._options.events.meaning
        self.message_meaning = self._options.messages.meaning if self._options.messages else Clock()

    def items(self) -> pa.Table:
        """Return the catalogue."""
        return catalogue(self._read(self._options.items.table, self._options.items.columns), self._options.items)

    def events(self, window: Window) -> Iterator[Batch]:
        """Yield all rows, ordered by time and user so that a table read twice reads the same."""
        columns = self._options.events.columns
        yield from self._read(self._options.events.table, columns, order=("ts", "user"))

    def ads(self) -> pa.Table:
        """Return the ads."""
        asked = self._options.ads
        return ads(self._read(asked.table, asked.columns), asked) if asked else ADS.empty_table()

    def messages(self, window: Window) -> Iterator[Batch]:
        """Yield all messages, ordered by time and user."""
        if asked := self._options.messages:
            yield from self._read(asked.table, asked.columns, order=("ts", "user"))

    def _read(self, name: str, columns: Mapping[Any, str], order: tuple[str, ...] = ()) -> Iterator[Batch]:
        connection = self._connect()
        table = self._table(connection, name)
        require(columns, list(table.columns), name)
        chosen = table.select(**{canonical: table[source] for canonical, source in columns.items()})
        rest = sorted(column for column in columns if column not in order)
        seen = 0
        try:
            for batch in batches(connection, chosen.order_by([*order, *rest])):
                rows = pa.Table.from_batches([batch])
                yield Batch(rows, name, np.arange(seen + 1, seen + rows.num_rows + 1))
                seen += rows.num_rows
        except pa.ArrowException:  # SQLite holds any value in any column; Arrow's own words quote it
            raise ContractBroken(
                f"A column of {name} holds a value of another type than the database says it has",
                limit="; ".join(f"{column}: {kind}" for column, kind in chosen.schema().items()),
                next_step="Mend the table, or cast the column in a view and name that (params.yaml: sources).",
            ) from None

    def _connect(self) -> Any:
        import ibis

        url = self._options.url
        try:
            return ibis.connect(url)
        except (ImportError, AttributeError) as error:
            raise Misconfigured(
                f"The driver for {url.split(':')[0]} is not installed: {error}",
                next_step="Install Ibis with that backend.",
            ) from error
        except Exception as error:  # each driver has classes of its own
            where = url.split("@")[-1]  # without the password
            raise Unavailable(f"The database {where} does not answer: {error}", next_step="Try again later.") from error

    def _table(self, connection: Any, name: str) -> Any:
        import ibis

        try:
            return connection.table(name)
        except ibis.common.exceptions.TableNotFound as error:
            raise Misconfigured(
                "The database has no such table", value=name, next_step="Mend `table` (params.yaml: sources)."
            ) from error
