"""Raw rows become canonical events or messages, or go to quarantine with the reason.

None is lost, no raw user id passes, and free text passes only as `redact` leaves it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.core.params import Window
from components.data import parsing
from components.data.mapping import Clock, Meaning, exponent
from components.data.pseudonym import pseudonym, pseudonyms
from components.data.sources.reader import Batch
from components.data.tables import EVENT_KINDS, EVENTS, MESSAGES, QUARANTINE, TIMESTAMP, empty

_TEXT = ("session", "item", "ad", "query", "text", "site")

_FREE = ("query", "text")
"""What people write themselves."""

Redact = Callable[[pa.Array], pa.Array]
"""What becomes of a column of free text, nulls included, before it is stored."""


def as_written(text: pa.Array) -> pa.Array:
    """Return free text as it is."""
    return text


@dataclass(frozen=True)
class Judged:
    """A batch after judgement: accepted and quarantined rows, both pseudonymised, and how many lay outside."""

    accepted: pa.Table
    quarantine: pa.Table
    outside: int


class _Reasons:
    """The first reason against each row."""

    def __init__(self, problems: pa.Array | None, rows: int) -> None:
        self.values = np.full(rows, None, object) if problems is None else problems.to_numpy(zero_copy_only=False)

    def add(self, bad: np.ndarray, reason: str, among: np.ndarray | None = None) -> None:
        bad = bad & self.good if among is None else bad & self.good & among
        if bad.any():
            self.values[bad] = reason

    @property
    def good(self) -> np.ndarray:
        return np.equal(self.values, None).astype(bool)


def judge(
    batch: Batch, meaning: Meaning, *, window: Window, now: datetime, key: bytes, redact: Redact = as_written
) -> Judged:
    """Read every row of `batch` into the canonical schema of events.

    A row whose timestamp is missing, unreadable or after `now` is quarantined in any window; one that lies outside
    `window` is left out; all others are events or quarantined.

    Raises:
        ContractBroken: a whole column has the wrong type.
    """
    rows, size = batch.rows, batch.rows.num_rows
    columns = empty(EVENTS, size)
    reasons = _Reasons(batch.problems, size)

    columns["ts"], inside = _times(batch, meaning, reasons, window, now)
    outside = reasons.good & ~inside
    users = parsing.text(rows["user"], "user", batch.origin)
    reasons.add(parsing.mask(pc.is_null(users)), "missing user", inside)
    for name in _TEXT:
        if name in rows.column_names:
            columns[name] = parsing.text(rows[name], name, batch.origin)
    columns["event"], unknown = _kinds(rows, meaning, batch.origin)
    reasons.add(unknown, "unknown event kind", inside)
    for name, bad in _numbers(rows, meaning, batch.origin, columns).items():
        reasons.add(bad, f"unparsable number in {name}", inside)
    reasons.add(_take_back(columns), "negative quantity", inside)

    for name in _FREE:
        columns[name] = redact(columns[name])
    return _judged(batch, columns, EVENTS, users, reasons, inside, outside, key, redact)


def judge_messages(
    batch: Batch, meaning: Clock, *, window: Window, now: datetime, key: bytes, redact: Redact = as_written
) -> Judged:
    """Read every row of `batch` into the canonical schema of messages, as `judge` does for events.

    Raises:
        ContractBroken: a whole column has the wrong type.
    """
    columns = empty(MESSAGES, batch.rows.num_rows)
    reasons = _Reasons(batch.problems, batch.rows.num_rows)
    columns["ts"], inside = _times(batch, meaning, reasons, window, now)
    outside = reasons.good & ~inside
    users = parsing.text(batch.rows["user"], "user", batch.origin)
    reasons.add(parsing.mask(pc.is_null(users)), "missing user", inside)
    for name in ("message", "text", "language", "intent"):
        if name in batch.rows.column_names:
            columns[name] = parsing.text(batch.rows[name], name, batch.origin)
    for name in ("message", "text"):
        reasons.add(parsing.mask(pc.is_null(columns[name])), f"missing {name}", inside)
    columns["text"] = redact(columns["text"])
    return _judged(batch, columns, MESSAGES, users, reasons, inside, outside, key, redact)


def _times(
    batch: Batch, meaning: Clock, reasons: _Reasons, window: Window, now: datetime
) -> tuple[pa.Array, np.ndarray]:
    """Return the timestamps and which of them lie in the window; add what speaks against the others."""
    times = parsing.times(batch.rows["ts"], meaning, batch.origin)
    reasons.add(times.missing, "missing timestamp")
    reasons.add(times.without_zone, "timestamp without zone")
    reasons.add(times.invalid, "invalid timestamp")
    reasons.add(parsing.mask(pc.greater(times.values, pa.scalar(now, TIMESTAMP))), "timestamp in the future")
    return times.values, _inside(times.values, window)


def _judged(
    batch: Batch,
    columns: dict[str, pa.Array],
    schema: pa.Schema,
    users: pa.Array,
    reasons: _Reasons,
    inside: np.ndarray,
    outside: np.ndarray,
    key: bytes,
    redact: Redact,
) -> Judged:
    columns["user"] = users
    accepted = pa.table(columns).filter(pa.array(reasons.good & inside))
    known = pseudonyms(key, accepted["user"])
    accepted = accepted.set_column(accepted.column_names.index("user"), "user", known).cast(schema)
    return Judged(accepted, _quarantine(batch, users, reasons, key, redact), int(outside.sum()))


def _inside(stamps: pa.Array, window: Window) -> np.ndarray:
    inside = np.ones(len(stamps), bool)
    if window.start:
        inside &= parsing.mask(pc.greater_equal(stamps, pa.scalar(window.start, TIMESTAMP)))
    if window.end:
        inside &= parsing.mask(pc.less(stamps, pa.scalar(window.end, TIMESTAMP)))
    return inside


def _kinds(rows: pa.Table, meaning: Meaning, origin: str) -> tuple[pa.Array, np.ndarray]:
    if "event" not in rows.column_names:
        return pa.repeat(pa.scalar(meaning.event, pa.string()), rows.num_rows), np.zeros(rows.num_rows, bool)
    written = parsing.text(rows["event"], "event", origin).dictionary_encode()
    named = [meaning.kinds.get(value, value) for value in written.dictionary.to_pylist()]
    known = pa.array([value if value in EVENT_KINDS else None for value in named], pa.string())
    kinds = known.take(written.indices)
    return kinds, parsing.mask(pc.is_null(kinds))


def _numbers(rows: pa.Table, meaning: Meaning, origin: str, columns: dict[str, Any]) -> dict[str, np.ndarray]:
    """Fill the numeric columns; return the rows of each that did not parse."""
    bad: dict[str, np.ndarray] = {}
    for name in ("quantity", "position"):
        if name in rows.column_names:
            columns[name], bad[name] = parsing.whole_numbers(rows[name], name, origin)
    if "rating" in rows.column_names:
        columns["rating"], bad["rating"] = parsing.numbers(rows["rating"], "rating", origin, meaning.decimal)
    if "currency" in rows.column_names:
        columns["currency"] = pc.utf8_upper(parsing.text(rows["currency"], "currency", origin))
    elif meaning.currency:
        columns["currency"] = pa.repeat(pa.scalar(meaning.currency), rows.num_rows)
    for name in ("unit_price", "line_price"):
        if name not in rows.column_names:
            continue
        amounts, bad[name] = parsing.numbers(rows[name], name, origin, meaning.decimal)
        if meaning.money == "major":
            amounts = pc.multiply(amounts, _minor_units(columns["currency"]))
        if name == "line_price":
            pieces = pc.abs(pc.fill_null(columns["quantity"], 1)).cast(pa.float64())
            amounts = pc.divide(pc.abs(amounts), pc.if_else(pc.equal(pieces, 0.0), 1.0, pieces))
        columns["unit_price"] = pc.round(amounts, round_mode="half_to_even").cast(pa.int64())
    return bad


def _minor_units(currencies: pa.Array) -> pa.Array:
    encoded = currencies.dictionary_encode()
    scale = pa.array([10.0 ** exponent(code) for code in encoded.dictionary.to_pylist()], pa.float64())
    return pc.fill_null(scale.take(encoded.indices), 100.0)


def _take_back(columns: dict[str, Any]) -> np.ndarray:
    """Turn a purchase of a negative quantity into a return; return the rows where a negative one means nothing."""
    negative = pc.fill_null(pc.less(columns["quantity"], 0), False)
    bought = pc.fill_null(pc.is_in(columns["event"], pa.array(["purchase", "return"])), False)
    columns["event"] = pc.if_else(pc.and_(negative, bought), "return", columns["event"])
    columns["quantity"] = pc.abs(columns["quantity"])
    return parsing.mask(pc.and_(negative, pc.invert(bought)))


def _quarantine(batch: Batch, users: pa.Array, reasons: _Reasons, key: bytes, redact: Redact) -> pa.Table:
    bad = np.flatnonzero(~reasons.good)
    people = users.take(pa.array(bad)).to_pylist()
    said = batch.rows.take(pa.array(bad))
    for name in _FREE:
        if name in said.column_names:
            place = said.column_names.index(name)
            said = said.set_column(place, name, redact(parsing.text(said[name], name, batch.origin)))
    rows = said.to_pylist()
    return pa.table(
        {
            "reason": reasons.values[bad].tolist(),
            "row": [_as_json(row, user, key) for row, user in zip(rows, people, strict=True)],
            "position": [f"{batch.origin}:{number}" for number in batch.positions[bad].tolist()],
        },
        schema=QUARANTINE,
    )


def _as_json(row: dict[str, Any], user: str | None, key: bytes) -> str:
    said = {name: value for name, value in row.items() if value is not None and name != "user"}
    if user is not None:
        said["user"] = pseudonym(key, user)
    return json.dumps(said, sort_keys=True, default=str, ensure_ascii=False)
