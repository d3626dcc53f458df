"""Calendar blocks: disjoint periods by UTC timestamp, each with privacy accounts of its own.

A block is named by its period: "2000-11-03", "2000W45" (ISO 8601 week), "2000-11", "2000Q4", "2000".
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from components.core.params import Block

if TYPE_CHECKING:
    import ibis.expr.types as ir

_UNITS: dict[Block, Literal["D", "W", "M", "Q", "Y"]] = {
    "day": "D",
    "week": "W",
    "month": "M",
    "quarter": "Q",
    "year": "Y",
}


def name_of(ts: datetime, block: Block) -> str:
    """Return the block that holds `ts`; a timestamp without zone is read as UTC."""
    ts = ts.astimezone(UTC) if ts.tzinfo else ts
    if block == "day":
        return ts.strftime("%Y-%m-%d")
    if block == "week":
        year, week, _ = ts.isocalendar()
        return f"{year}W{week:02d}"
    if block == "month":
        return ts.strftime("%Y-%m")
    return f"{ts.year}Q{(ts.month + 2) // 3}" if block == "quarter" else str(ts.year)


def between(start: datetime, end: datetime, block: Block) -> tuple[str, ...]:
    """Return the blocks that meet the half-open window `[start, end)`, sorted."""
    days = range(0, max((end - start).days, 0) + 1)
    last = end - timedelta(microseconds=1)
    return tuple(sorted({name_of(min(start + timedelta(days=day), last), block) for day in days}))


def last_whole(block: Block, now: datetime) -> tuple[datetime, datetime]:
    """Return the half-open window of the last block that was over at `now`."""
    end = _start(now.astimezone(UTC), block)
    return _start(end - timedelta(microseconds=1), block), end


def _start(ts: datetime, block: Block) -> datetime:
    midnight = ts.replace(hour=0, minute=0, second=0, microsecond=0)
    if block == "day":
        return midnight
    if block == "week":
        return midnight - timedelta(days=midnight.weekday())
    if block == "month":
        return midnight.replace(day=1)
    return midnight.replace(day=1, month=1 if block == "year" else 3 * ((ts.month - 1) // 3) + 1)


def block_of(ts: ir.TimestampValue | ir.DateValue, block: Block) -> ir.StringValue:
    """Return `name_of` as an Ibis expression over a UTC timestamp or day."""
    year, month = ts.year(), ts.month()
    if block == "day":
        return _digits(year, 4) + "-" + _digits(month, 2) + "-" + _digits(ts.day(), 2)
    if block == "week":
        week = ts.week_of_year()
        # The days around New Year belong to the ISO year of their week's Thursday; Spark has no function for it.
        early = (month == 12) & (week == 1)
        late = (month == 1) & (week >= 52)
        return _digits(year + early.cast("int32") - late.cast("int32"), 4) + "W" + _digits(week, 2)
    if block == "month":
        return _digits(year, 4) + "-" + _digits(month, 2)
    if block == "quarter":
        return _digits(year, 4) + "Q" + _digits(ts.quarter(), 1)
    return _digits(year, 4)


def start_of(ts: ir.TimestampValue, block: Block) -> ir.DateValue:
    """Return the day on which the block of a UTC timestamp began, as an Ibis expression: it names the block too."""
    return ts.date().truncate(_UNITS[block])  # a day is several times cheaper to truncate than an instant in a zone


def _digits(value: ir.IntegerValue, width: int) -> ir.StringValue:
    return value.cast("string").lpad(width, "0")
