"""CSV or Parquet files of a shop, by a column mapping in `params.yaml: sources`."""

from __future__ import annotations

import codecs
import glob
import gzip
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, field_validator

from components.core.errors import ContractBroken, Misconfigured
from components.core.params import Section, Window, parse
from components.data.mapping import AdsMapping, Clock, EventsMapping, ItemsMapping, MessagesMapping
from components.data.sources.catalogue import ads, catalogue
from components.data.sources.delimited import read_delimited, require
from components.data.sources.reader import Batch
from components.data.tables import ADS


class Place(Section):
    """Where files lie and how they are written."""

    path: str
    """A file or a glob; `.csv`, `.tsv`, `.txt` (also with `.gz`) or `.parquet`."""
    delimiter: str = Field(",", min_length=1, max_length=1)
    encoding: str = "utf-8"

    @field_validator("encoding")
    @classmethod
    def _agrees_with_ascii(cls, value: str) -> str:
        try:
            if codecs.encode('a,1"\n', value) == b'a,1"\n':
                return value
        except LookupError:
            pass
        raise ValueError("must be an encoding that agrees with ASCII, such as utf-8, cp1252 or big5")


class EventFiles(Place, EventsMapping):
    """Files of events."""


class ItemFiles(Place, ItemsMapping):
    """Files of the catalogue."""


class AdFiles(Place, AdsMapping):
    """Files of ads."""


class MessageFiles(Place, MessagesMapping):
    """Files of messages."""


class Options(Section):
    """The keys of a source of kind `files`."""

    events: EventFiles
    items: ItemFiles
    ads: AdFiles | None = None
    messages: MessageFiles | None = None


class FilesReader:
    """Reads a shop's exports, one after the other in the order of their names."""

    def __init__(self, options: dict[str, Any]) -> None:
        parsed: Options = parse(Options, options, "The source of kind files")
        self._events, self._items, self._ads, self._messages = parsed.events, parsed.items, parsed.ads, parsed.messages
        self.meaning = parsed.events.meaning
        self.message_meaning = parsed.messages.meaning if parsed.messages else Clock()

    def items(self) -> pa.Table:
        """Return the catalogue."""
        return catalogue(_all(self._items, self._items.columns), self._items)

    def events(self, window: Window) -> Iterator[Batch]:
        """Yield all rows of all files."""
        yield from _all(self._events, self._events.columns)

    def ads(self) -> pa.Table:
        """Return the ads."""
        return ads(_all(self._ads, self._ads.columns), self._ads) if self._ads else ADS.empty_table()

    def messages(self, window: Window) -> Iterator[Batch]:
        """Yield all rows of all files of messages."""
        if self._messages:
            yield from _all(self._messages, self._messages.columns)


def read_parquet(file: Path | BinaryIO, origin: str, columns: Mapping[str, str]) -> Iterator[Batch]:
    """Yield the rows of a Parquet file.

    Raises:
        ContractBroken: it is cut or no Parquet at all, or lacks a column.
    """
    seen = 0
    wanted = list(dict.fromkeys(columns.values()))
    try:
        with pq.ParquetFile(file) as parquet:
            require(columns, parquet.schema_arrow.names, origin)
            for batch in parquet.iter_batches(batch_size=1 << 17, columns=wanted):
                rows = pa.table({name: batch.column(source) for name, source in columns.items()})
                yield Batch(rows, origin, np.arange(seen + 1, seen + rows.num_rows + 1))
                seen += rows.num_rows
    except (pa.ArrowInvalid, OSError):
        # Arrow's own words may quote a value, also as the cause of ours.
        raise ContractBroken(f"{origin} is not a whole Parquet file", next_step="Export it again.") from None


def _all(place: Place, columns: Mapping[Any, str]) -> Iterator[Batch]:
    for path in _found(place):
        yield from _read(path, place, columns)


def _found(place: Place) -> list[Path]:
    paths = sorted(Path(name) for name in glob.glob(place.path, recursive=True))  # noqa: PTH207, absolute globs too
    if not paths:
        raise Misconfigured(
            "A source names no existing file", value=place.path, next_step="Mend `path` (params.yaml: sources)."
        )
    return paths


def _read(path: Path, place: Place, columns: Mapping[Any, str]) -> Iterator[Batch]:
    if path.suffix == ".parquet":
        yield from read_parquet(path, path.name, columns)
        return
    delimiter = "\t" if path.name.removesuffix(".gz").endswith(".tsv") and place.delimiter == "," else place.delimiter
    with cast(BinaryIO, gzip.open(path) if path.suffix == ".gz" else path.open("rb")) as stream:
        try:
            yield from read_delimited(stream, path.name, columns, delimiter=delimiter, encoding=place.encoding)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            # What was decompressed until here proves nothing: only the sum at a gzip file's end says that it is whole.
            raise ContractBroken(f"{path.name} is not a whole gzip file", next_step="Export it again.") from None
