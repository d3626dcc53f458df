"""What a service reads beside interactions: the users' own events and messages, cleaned, and bounded for each user.

Like `prepare`, Ibis expressions that DuckDB and Spark both run; every transform is public, nothing crosses users, and
the result does not depend on the order of the rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.core.params import Prepare
from components.core.progress import Progress, no_progress
from components.data import backend
from components.data.blocks import Block, name_of, starts
from components.data.prepare import period_of, user_ranges, within
from components.data.tables import ACTIVITY, ADS, CALENDAR, PREPARED_MESSAGES, write_table

KINDS = ("search", "click", "cart", "purchase", "return", "review", "impression", "ad_click")
"""Kinds of events that services read one by one; a mere view is none."""


def extend(
    checked: Path,
    params: Prepare,
    block: Block,
    prepared: Path,
    *,
    blocks: Collection[str] | None = None,
    window: tuple[datetime | None, datetime | None] = (None, None),
    progress: Progress = no_progress,
) -> None:
    """Write ads, the calendar, activity and messages beside the interactions in the folder `prepared`.

    Activity holds a user's latest `params.max_events_per_user` events of `KINDS`, messages the latest
    `params.max_messages_per_user`; exact duplicates are one. Both are sorted by user and time. They do not depend on
    which services there are: adding one changes no dataset.

    Args:
        checked: the folder of checked tables: events, ads and messages.
        params: the bounds.
        block: the kind of calendar blocks.
        prepared: the folder that `prepare` wrote.
        blocks: only what was done in these is read, as by `prepare`; by default all.
        window: half-open, as it was collected. The calendar, which is public, has its days; where an end is open, as
            only that of a public source may be, those from the first or to the last event.
        progress: called with the ranges of users that are done.
    """
    ads = checked / "ads.parquet"
    write_table(prepared / "ads.parquet", ADS, [pq.read_table(ads).sort_by("ad")] if ads.exists() else [])
    span = _span(checked, window)
    write_table(prepared / "calendar.parquet", CALENDAR, [calendar(*span, block, blocks)] if span else [])
    for name, source, schema, limit in (
        ("activity", "events", ACTIVITY, params.max_events_per_user),
        ("messages", "messages", PREPARED_MESSAGES, params.max_messages_per_user),
    ):
        path = checked / f"{source}.parquet"
        tables = _bounded(path, schema, limit, block, blocks, prepared, progress) if path.exists() else iter(())
        write_table(prepared / f"{name}.parquet", schema, tables)


def calendar(start: datetime, end: datetime, block: Block, blocks: Collection[str] | None = None) -> pa.Table:
    """Return the days (UTC) that the half-open window `[start, end)` meets, each with its block, of `blocks` alone."""
    first, last = start.astimezone(UTC).date(), (end.astimezone(UTC) - timedelta(microseconds=1)).date()
    days = [first + timedelta(days=day) for day in range((last - first).days + 1)]
    named = [(day, name_of(datetime(day.year, day.month, day.day, tzinfo=UTC), block)) for day in days]
    kept = [(day, name) for day, name in named if blocks is None or name in blocks]
    return pa.table([[day for day, _ in kept], [name for _, name in kept]], schema=CALENDAR)


def _span(checked: Path, window: tuple[datetime | None, datetime | None]) -> tuple[datetime, datetime] | None:
    start, end = window
    if start is not None and end is not None:
        return start, end
    ends = pc.min_max(pq.read_table(checked / "events.parquet", columns=["ts"])["ts"]).as_py()
    if ends["min"] is None:
        return None
    return start or ends["min"], end or ends["max"] + timedelta(microseconds=1)


def latest(rows: ir.Table, limit: int) -> ir.Table:
    """Return each user's latest `limit` distinct rows, sorted by user, time and the other columns."""
    others = [name for name in rows.columns if name not in ("user", "ts")]
    place = ibis.row_number().over(group_by="user", order_by=[ibis.desc("ts"), *others])
    ranked = rows.distinct().mutate(place=place)
    return ranked.filter(ranked.place < limit).drop("place").order_by(["user", "ts", *others])


def _bounded(
    path: Path,
    schema: pa.Schema,
    limit: int,
    block: Block,
    blocks: Collection[str] | None,
    scratch: Path,
    progress: Progress,
) -> Iterator[pa.Table]:
    with backend.duckdb(scratch) as connection:
        rows = connection.read_parquet(path)
        rows = rows.select(*(name for name in schema.names if name in rows.columns))
        if "event" in rows.columns:
            rows = rows.filter(rows.event.isin(KINDS))
        span = rows.aggregate(first=rows.ts.min(), last=rows.ts.max(), rows=rows.count()).to_pyarrow().to_pylist()[0]
        if not span["rows"]:
            return
        begun = starts(span["first"], span["last"], block)
        rows, ranges = within(rows, begun, block, blocks), user_ranges(span["rows"])
        for done, (low, high) in enumerate(ranges):
            progress(done, len(ranges))
            mine = rows.filter((rows.user >= low) & (rows.user < high))
            for batch in backend.batches(
                connection, latest(mine, limit).mutate(period=lambda t: period_of(t.ts, begun))
            ):
                yield _with_blocks(pa.Table.from_batches([batch]), begun, block, schema)
        progress(len(ranges), len(ranges))


def _with_blocks(table: pa.Table, begun: list[datetime], block: Block, schema: pa.Schema) -> pa.Table:
    names = pa.array([name_of(start, block) for start in begun])
    columns = {"block": names.take(table["period"].combine_chunks())}
    return pa.table({name: columns[name] if name in columns else table[name] for name in schema.names})
