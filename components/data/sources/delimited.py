"""CSV and its relatives, streamed: a line that cannot be read becomes a row with a problem, never a lost row.

Rows whose fields do not line up with the header keep nothing but their position: where the user id stands in them is
not known, so none of their content may be written. No message quotes the file, its first line included: a file without
header begins with a person.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from components.core.errors import ContractBroken
from components.data.sources.reader import Batch

TRUNCATED = "truncated line"
TOO_MANY = "too many fields"
UNDECODABLE = "decoding error"

_BLOCK = 4 << 20
_LONGEST_HEADER = 1 << 20


def read_delimited(
    stream: BinaryIO, origin: str, columns: Mapping[str, str], *, delimiter: str = ",", encoding: str = "utf-8"
) -> Iterator[Batch]:
    """Yield the rows of a CSV file, in memory bounded by a few blocks of 4 MiB.

    Args:
        stream: the file's bytes.
        origin: its name, for positions and messages.
        columns: canonical name -> the file's column; other columns are not read.
        delimiter: one character.
        encoding: any that agrees with ASCII on ASCII bytes.

    Raises:
        ContractBroken: it is empty, its header cannot be read or lacks a column, or a quote is never closed.
    """
    header = read_header(stream, origin, delimiter, encoding)
    require(columns, header, origin)
    wanted = list(dict.fromkeys(columns.values()))
    lines = _WholeLines(stream, len(header), delimiter)
    broken: list[tuple[int, str]] = []
    unclosed: list[int] = []

    def skip(row: pacsv.InvalidRow) -> str:
        if "\n" in row.text:
            unclosed.append(row.number + 1)
        broken.append((row.number, TRUNCATED if row.actual_columns < row.expected_columns else TOO_MANY))
        return "skip"

    seen = 0
    for table in _tables(lines, origin, header, wanted, delimiter, skip):
        _refuse_unclosed(unclosed, origin)
        yield _batch(table, seen, broken, origin, columns, encoding)
        seen += table.num_rows
    _refuse_unclosed(unclosed, origin)
    # Line 1 is the header; the parser counts lines of data from 1.
    ends = [(number + 1, reason) for number, reason in broken]
    if lines.unfinished:
        ends.append((seen + len(broken) + 2, TRUNCATED))
    if ends:
        yield _only_problems(ends, origin, list(columns))


def read_header(stream: BinaryIO, origin: str, delimiter: str, encoding: str) -> list[str]:
    """Return the column names in the first line."""
    line = stream.readline(_LONGEST_HEADER)
    try:
        text = line.removeprefix(b"\xef\xbb\xbf").decode(encoding)
        names = next(csv.reader([text], delimiter=delimiter, strict=True), [])
    except UnicodeDecodeError:
        raise _broken_header(origin, f"bytes that are not in the encoding {encoding}") from None
    except csv.Error:
        raise _broken_header(origin, "a quote that is not closed where its field ends") from None
    if not names or len(set(names)) < len(names):
        raise _broken_header(origin, f"{len(names)} columns, {len(set(names))} names" if names else "an empty line")
    return names


def require(columns: Mapping[str, str], present: list[str], origin: str) -> None:
    """Refuse a file that lacks a mapped column, without a word of what it has: that may be a row of people's data."""
    missing = list(dict.fromkeys(name for name in columns.values() if name not in present))
    if missing:
        raise ContractBroken(
            f"{origin} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
            value=f"{len(present)} columns",
            next_step="Export it again, a CSV with its header line, or mend `columns` (params.yaml: sources).",
        )


def _broken_header(origin: str, found: str) -> ContractBroken:
    return ContractBroken(
        f"The header of {origin} is broken",
        value=found,
        limit="one distinct name a column",
        next_step="Export the file again.",
    )


class _WholeLines:
    """The stream without a last line that was cut: the parser would take half a value for a whole one."""

    def __init__(self, stream: BinaryIO, fields: int, delimiter: str) -> None:
        self._stream, self._fields, self._delimiter = stream, fields, delimiter
        self._rest = b""
        self._ended = False
        self.unfinished = False
        self.closed = False
        self._next = self._more(_BLOCK)

    @property
    def empty(self) -> bool:
        return not self._next

    def read(self, size: int = _BLOCK) -> bytes:
        if len(self._next) < size and not self._ended:
            self._next += self._more(size - len(self._next))
        out, self._next = self._next[:size], self._next[size:]
        return out

    def _more(self, size: int) -> bytes:
        while not self._ended:
            block = self._stream.read(max(size, _BLOCK))
            self._rest += block
            if not block:
                self._ended = True
                self.unfinished = bool(self._rest.strip()) and not self._is_whole(self._rest)
                return b"" if self.unfinished else self._rest
            end = self._rest.rfind(b"\n") + 1
            if end:
                out, self._rest = self._rest[:end], self._rest[end:]
                return out
        return b""

    def _is_whole(self, line: bytes) -> bool:
        try:
            fields = next(csv.reader([line.decode("latin-1")], delimiter=self._delimiter, strict=True), [])
        except csv.Error:
            return False
        return len(fields) == self._fields


def _tables(
    lines: _WholeLines,
    origin: str,
    header: list[str],
    wanted: list[str],
    delimiter: str,
    skip: Callable[[pacsv.InvalidRow], str],
) -> Iterator[pa.Table]:
    if lines.empty:
        return
    # As bytes: one undecodable value must cost its row, not the file.
    types = dict.fromkeys(wanted, pa.binary())
    try:
        reader = pacsv.open_csv(
            pa.PythonFile(lines, mode="r"),
            read_options=pacsv.ReadOptions(use_threads=False, block_size=_BLOCK, column_names=header),
            parse_options=pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=skip),
            convert_options=pacsv.ConvertOptions(include_columns=wanted, column_types=types),
        )
        for batch in reader:
            yield pa.Table.from_batches([batch])
    except pa.ArrowInvalid:
        # Arrow's own words quote the row that it stopped at, also as the cause of ours.
        raise ContractBroken(
            f"{origin} cannot be read to its end", next_step="Look for a quote in it that is never closed."
        ) from None


def _refuse_unclosed(lines: list[int], origin: str) -> None:
    # Such a quote swallows whole lines that may be perfectly good: one row in quarantine would lose the others.
    if lines:
        raise ContractBroken(
            f"A quote in line {lines[0]} of {origin} is never closed", next_step="Mend that line, or export it again."
        )


def _batch(
    table: pa.Table, seen: int, broken: list[tuple[int, str]], origin: str, columns: Mapping[str, str], encoding: str
) -> Batch:
    decoded = {name: _decoded(table[name], encoding) for name in table.column_names}
    undecodable = np.logical_or.reduce([bad for _, bad in decoded.values()])
    problems = pa.array(np.where(undecodable, UNDECODABLE, None), pa.string()) if undecodable.any() else None
    rows = pa.table({name: decoded[source][0] for name, source in columns.items()})
    return Batch(rows, origin, _line_numbers(seen, table.num_rows, broken), problems)


def _line_numbers(seen: int, rows: int, broken: list[tuple[int, str]]) -> np.ndarray:
    # The k-th good row stands k + (broken rows before it) lines into the data, plus the header.
    skipped = np.array([number for number, _ in broken], np.int64)
    good_before = skipped - 1 - np.arange(len(skipped))
    order = np.arange(seen, seen + rows)
    return order + 2 + np.searchsorted(good_before, order, side="right")


def _only_problems(problems: list[tuple[int, str]], origin: str, columns: list[str]) -> Batch:
    nothing = pa.nulls(len(problems), pa.string())
    return Batch(
        pa.table(dict.fromkeys(columns, nothing)),
        origin,
        np.array([number for number, _ in problems], np.int64),
        pa.array([reason for _, reason in problems], pa.string()),
    )


def _decoded(column: pa.ChunkedArray, encoding: str) -> tuple[pa.Array, np.ndarray]:
    values = column.combine_chunks()
    good = np.zeros(len(values), bool)
    if encoding.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig", "ascii"):
        try:
            return values.cast(pa.string()), good
        except pa.ArrowInvalid:
            pass
    encoded = values.dictionary_encode()
    texts = [value.decode(encoding, errors="replace") for value in encoded.dictionary.to_pylist()]
    bad = pa.array(["�" in text for text in texts], pa.bool_())
    return (
        pa.array(texts, pa.string()).take(encoded.indices),
        np.asarray(bad.take(encoded.indices).fill_null(False).to_numpy(zero_copy_only=False), bool),
    )
