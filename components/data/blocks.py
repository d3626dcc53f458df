"""Calendar blocks: disjoint periods by UTC timestamp, each with privacy accounts of its own.

A block is named by its period: "2000-11-03", "2000W45" (ISO 8601 week), "2000-11", "2000Q4", "2000".
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from components.core.params import Block

_REST = {"month": "-01", "year": "-01-01"}


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


def is_name(name: str, block: Block) -> bool:
    """Return whether `name` names a period of the calendar; any other name would be an account over nobody."""
    try:
        if block == "week":
            year, _, week = name.partition("W")
            return name_of(datetime.fromisocalendar(int(year), int(week), 1), block) == name
        year, _, quarter = name.partition("Q")
        day = f"{year}-{3 * int(quarter) - 2:02d}-01" if block == "quarter" else f"{name}{_REST.get(block, '')}"
        return name_of(datetime.strptime(day, "%Y-%m-%d"), block) == name
    except ValueError:
        return False


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


def starts(first: datetime, last: datetime, block: Block) -> list[datetime]:
    """Return when each block from that of `first` to that of `last` began, in order."""
    begun = [_start(last.astimezone(UTC), block)]
    while begun[-1] > first:
        begun.append(_start(begun[-1] - timedelta(microseconds=1), block))
    return begun[::-1]
