"""Raw rows become canonical events, or go to quarantine with the reason; none is lost and no raw user id passes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.core.params import Window
from components.data import parsing
from components.data.mapping import Meaning, exponent
from components.data.pseudonym import pseudonym, pseudonyms
from components.data.sources.reader import Batch
from components.data.tables import EVENT_KINDS, EVENTS, QUARANTINE, TIMESTAMP, empty

_TEXT = ("session", "item", "ad", "query", "text", "site")


@dataclass(frozen=True)
class Judged:
    """A batch after judgement: accepted and quarantined rows, both pseudonymised, and how many lay outside."""

    events: pa.Table
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


def judge(batch: Batch, meaning: Meaning, *, window: Window, now: datetime, key: bytes) -> Judged:
    """Read every row of `batch` into the canonical schema.

    A row whose timestamp is missing, unreadable or after `now` is quarantined in any window; one that lies outside
    `window` is left out; all others are events or quarantined.

    Raises:
        ContractBroken: a whole column has the wrong type.
    """
    rows, size = batch.rows, batch.rows.num_rows
    columns = empty(EVENTS, size)
    reasons = _Reasons(batch.problems, size)

    times = parsing.times(rows["ts"], meaning, batch.origin)
    reasons.add(times.missing, "missing timestamp")
    reasons.add(times.without_zone, "timestamp without zone")
    reasons.add(times.invalid, "invalid timestamp")
    reasons.add(parsing.mask(pc.greater(times.values, pa.scalar(now, TIMESTAMP))), "timestamp in the future")
    inside = _inside(times.values, window)
    outside = reasons.good & ~inside
    columns["ts"] = times.values

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

    keep = pa.array(reasons.good & inside)
    columns["user"] = users
    events = pa.table(columns).filter(keep)
    events = events.set_column(0, "user", pseudonyms(key, events["user"])).cast(EVENTS)
    return Judged(events, _quarantine(batch, users, reasons, key), int(outside.sum()))


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
    if "quantity" in rows.column_names:
        columns["quantity"], bad["quantity"] = parsing.whole_numbers(rows["quantity"], "quantity", origin)
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


def _quarantine(batch: Batch, users: pa.Array, reasons: _Reasons, key: bytes) -> pa.Table:
    bad = np.flatnonzero(~reasons.good)
    people = users.take(pa.array(bad)).to_pylist()
    rows = batch.rows.take(pa.array(bad)).to_pylist()
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
