"""Columns of any type become canonical ones; a value that does not parse is marked, not guessed.

Each function returns the values (null where there are none) and a mask of the rows that did not parse. A column that
holds nothing of its type at all is no set of bad rows but a broken contract.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.core.errors import ContractBroken
from components.data.mapping import Clock
from components.data.tables import TIMESTAMP

WHOLE_COLUMN = 20
"""From so many values on, a batch in which none parses is a column of the wrong type."""

_EXACT = 2**53
_NUMBER = r"^[+-]?[0-9]{1,15}(\.[0-9]*)?([eE][+-]?[0-9]{1,2})?$"
_ZONED = r"[0-9]{2}:?[0-9]{2}.*(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"


def text(column: pa.ChunkedArray, name: str, origin: str) -> pa.Array:
    """Return a column as trimmed strings; empty becomes null, a whole number in a float column loses its ".0"."""
    values = _plain(column)
    kind = values.type
    if pa.types.is_null(kind):
        return values.cast(pa.string())
    if pa.types.is_floating(kind):  # what pandas makes of whole numbers with gaps
        gaps = pc.is_nan(values)
        values = pc.if_else(gaps, None, values)
        whole = pc.and_(pc.equal(pc.floor(values), values), pc.less_equal(pc.abs(values), float(_EXACT)))
        if pc.all(whole).as_py() is not False:
            values = values.cast(pa.int64())
    elif not (_is_string(kind) or pa.types.is_integer(kind)):
        raise _wrong_type(name, origin, kind, "text")
    trimmed = pc.utf8_trim_whitespace(values.cast(pa.string()))
    return pc.if_else(pc.equal(trimmed, ""), None, trimmed)


def numbers(column: pa.ChunkedArray, name: str, origin: str, decimal: str = ".") -> tuple[pa.Array, np.ndarray]:
    """Return a column as float64; a number beyond ±2^53, up to which whole ones are exact, does not parse."""
    values = _plain(column)
    kind = values.type
    if pa.types.is_null(kind):
        return values.cast(pa.float64()), np.zeros(len(values), bool)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numeric = values.cast(pa.float64(), safe=False)
        bad = _beyond(numeric)
        return pc.if_else(pc.or_kleene(pc.is_nan(numeric), pa.array(bad)), None, numeric), bad
    if not _is_string(kind):
        raise _wrong_type(name, origin, kind, "a number")
    written = text(column, name, origin)
    if decimal == ",":
        written = pc.replace_substring(written, ",", ".")
    good = pc.match_substring_regex(written, _NUMBER)
    bad = mask(pc.invert(good))
    _refuse_whole_column(bad, written, name, origin, "numbers")
    parsed = pc.if_else(good, written, None).cast(pa.float64())
    beyond = _beyond(parsed)
    return pc.if_else(pa.array(beyond), None, parsed), bad | beyond


def whole_numbers(column: pa.ChunkedArray, name: str, origin: str) -> tuple[pa.Array, np.ndarray]:
    """Return a column as int64; a fraction does not parse."""
    values, bad = numbers(column, name, origin)
    fraction = mask(pc.not_equal(pc.floor(values), values))
    return pc.if_else(pa.array(fraction), None, values).cast(pa.int64()), bad | fraction


@dataclass(frozen=True)
class Times:
    """UTC timestamps, null where there is none, and why."""

    values: pa.Array
    missing: np.ndarray
    invalid: np.ndarray
    without_zone: np.ndarray


def times(column: pa.ChunkedArray, meaning: Clock, origin: str, name: str = "ts") -> Times:
    """Return a column of timestamps in UTC; those without zone are read in `meaning.timezone`."""
    values = _plain(column)
    kind = values.type
    nothing = np.zeros(len(values), bool)
    if pa.types.is_null(kind):
        return Times(values.cast(TIMESTAMP), ~nothing, nothing, nothing)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        stamps = values.cast(pa.timestamp("us", kind.tz if pa.types.is_timestamp(kind) else None), safe=False)
        zoned = stamps.cast(TIMESTAMP) if stamps.type.tz else _localised(stamps, meaning, origin)
        return Times(zoned, mask(pc.is_null(zoned)), nothing, nothing)
    if meaning.epoch:
        return _from_epoch(column, meaning, origin, name)
    if not _is_string(kind):
        raise _wrong_type(name, origin, kind, "a timestamp, or a number with `epoch` set")
    written = text(column, name, origin)
    missing = mask(pc.is_null(written))
    without_zone = nothing
    if meaning.ts_format and "%z" in meaning.ts_format:
        form = meaning.ts_format
        stamps = _one_by_one(written, lambda value: datetime.strptime(value, form), TIMESTAMP)
    elif meaning.ts_format:
        stamps = _localised(_strptime(written, meaning.ts_format), meaning, origin)
    else:
        zoned = pc.match_substring_regex(written, _ZONED)
        with_zone, naive = pc.if_else(zoned, written, None), pc.if_else(zoned, None, written)
        local = _iso(naive, pa.timestamp("us"))
        if meaning.timezone is None:
            without_zone = mask(pc.is_valid(local))
            _refuse_whole_column(without_zone, written, name, origin, "zones: set `timezone` in its mapping")
            local = pa.nulls(len(local), TIMESTAMP)
        else:
            local = _localised(local, meaning, origin)
        stamps = pc.coalesce(_iso(with_zone, TIMESTAMP), local)
    invalid = mask(pc.is_null(stamps)) & ~missing & ~without_zone
    _refuse_whole_column(invalid, written, name, origin, "timestamps")
    return Times(stamps, missing, invalid, without_zone)


def mask(values: Any) -> np.ndarray:
    """Return a boolean column as a numpy mask; null is False."""
    return pc.fill_null(values, False).to_numpy(zero_copy_only=False)


def _beyond(values: pa.Array) -> np.ndarray:
    return mask(pc.greater(pc.abs(values), float(_EXACT)))


def _from_epoch(column: pa.ChunkedArray, meaning: Clock, origin: str, name: str) -> Times:
    values, bad = numbers(column, name, origin)
    scale = 1_000_000 if meaning.epoch == "s" else 1_000
    far = mask(pc.greater(pc.abs(values), 2**62 / scale))
    micros = pc.round(pc.multiply(pc.if_else(pa.array(far), None, values), scale)).cast(pa.int64())
    missing = mask(pc.is_null(values)) & ~bad
    return Times(micros.cast(pa.timestamp("us")).cast(TIMESTAMP), missing, bad | far, np.zeros(len(bad), bool))


def _localised(stamps: pa.Array, meaning: Clock, origin: str) -> pa.Array:
    if meaning.timezone is None:
        raise ContractBroken(
            f"The timestamps of {origin} have no zone",
            next_step="Set `timezone` in its mapping (params.yaml: sources).",
        )
    # An hour that daylight saving repeats or skips is read as the earlier one, so that no row is lost over it.
    zoned = pc.assume_timezone(stamps, meaning.timezone, ambiguous="earliest", nonexistent="earliest")
    return zoned.cast(TIMESTAMP)


def _strptime(written: pa.Array, form: str) -> pa.Array:
    parsed = pc.strptime(written, format=form, unit="us", error_is_null=True)
    # C's strptime reads 31 February as 3 March; only the first days of a month can be such a mistake.
    doubtful = pc.and_(pc.is_valid(parsed), pc.fill_null(pc.less_equal(pc.day(parsed), 3), False))
    if not pc.any(doubtful).as_py():
        return parsed
    checked = _one_by_one(pc.if_else(doubtful, written, None), lambda v: datetime.strptime(v, form), parsed.type)
    return pc.if_else(doubtful, checked, parsed)


def _iso(written: pa.Array, kind: pa.DataType) -> pa.Array:
    try:
        return written.cast(kind)
    except pa.ArrowInvalid:
        return _one_by_one(written, datetime.fromisoformat, kind)


def _one_by_one(written: pa.Array, parse: Callable[[str], datetime], kind: pa.DataType) -> pa.Array:
    def read(value: str) -> datetime | None:
        try:
            stamp = parse(value)
        except ValueError:
            return None
        if (stamp.tzinfo is None) != (kind.tz is None):
            return None
        return stamp.astimezone(UTC) if stamp.tzinfo else stamp

    encoded = written.dictionary_encode()
    return pa.array([read(value) for value in encoded.dictionary.to_pylist()], kind).take(encoded.indices)


def _plain(column: pa.ChunkedArray) -> pa.Array:
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values


def _is_string(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _wrong_type(name: str, origin: str, kind: pa.DataType, wanted: str) -> ContractBroken:
    return ContractBroken(
        f"The column for {name} in {origin} has the wrong type",
        value=str(kind),
        limit=wanted,
        next_step="Mend the export or the mapping (params.yaml: sources).",
    )


def _refuse_whole_column(bad: np.ndarray, written: pa.Array, name: str, origin: str, wanted: str) -> None:
    present = len(written) - written.null_count
    if present >= WHOLE_COLUMN and int(bad.sum()) == present:
        raise ContractBroken(
            f"The column for {name} in {origin} holds no {wanted}",
            next_step="Mend the export or the mapping (params.yaml: sources); nothing was written.",
        )
