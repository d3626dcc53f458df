"""Events become bounded interactions: clean, weigh, take returns back, and bound what one user contributes.

Everything is Ibis expressions that DuckDB and Spark both run, and every transform is public: nothing is learnt from
the rows. The result does not depend on the order of the rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from components.core.errors import ContractBroken
from components.core.files import atomic_path
from components.core.params import Prepare
from components.core.progress import Progress, no_progress
from components.data import backend
from components.data.blocks import Block, name_of, starts
from components.data.tables import INTERACTIONS, ITEMS, write_table

_EVENTS_AT_ONCE = 2_500_000
_MOST_PARTS = 64
_MARKS = 40
_PAIR = ("user_number", "item_number")
_GROUP = (*_PAIR, "period")
_READ = ("user", "ts", "event", "item", "quantity", "rating")


def prepare(
    events: Path,
    items: Path,
    params: Prepare,
    block: Block,
    out: Path,
    *,
    blocks: Collection[str] | None = None,
    progress: Progress = no_progress,
) -> Path:
    """Write interactions.parquet and items.parquet into the folder `out` and return it.

    Interactions have one row per (user, item, block), at most `params.max_items_per_user` distinct items a user,
    sorted by user, item and block. Memory stays below 1 GB whatever the number of events.

    Args:
        events, items: the checked tables.
        params: the weights and the bound.
        block: the kind of calendar blocks.
        out: the folder, replaced.
        blocks: only events of these are read, by default of all. What a user did in another block then shapes nothing,
            not even which items the bound keeps: a release on these blocks is charged to these alone.
        progress: called with the ranges of users that are done.

    Raises:
        ContractBroken: the catalogue names an item twice, or no event is an interaction with one of its items.
    """
    catalogue = pq.read_table(items)
    names = catalogue["item"]
    if len(names.unique()) < len(names):
        raise ContractBroken(
            "The catalogue names an item twice",
            value=f"{len(names)} rows",
            limit=f"{len(names.unique())} distinct items",
            next_step="Mend the catalogue and collect again.",
        )
    with atomic_path(out) as part:
        part.mkdir()
        catalogue = catalogue.sort_by("item")
        write_table(part / "items.parquet", ITEMS, [catalogue])
        tables = _in_parts(events, catalogue, params, block, blocks, part, progress)
        write_table(part / "interactions.parquet", INTERACTIONS, tables)
        if not pq.read_metadata(part / "interactions.parquet").num_rows:
            raise ContractBroken(
                "No event is an interaction with an item of the catalogue",
                value="0 rows",
                limit="at least 1",
                next_step="Compare the item ids of events and catalogue, and prepare.weights in params.yaml.",
            )
    return out


def user_ranges(events: int) -> list[tuple[str, str]]:
    """Return half-open ranges of pseudonyms that divide the users evenly: few enough of `events` meet in one."""
    parts = min(_MOST_PARTS, 1 + events // _EVENTS_AT_ONCE)
    bounds = [f"{round(part * 256 / parts):02x}" for part in range(1, parts)]  # pseudonyms are even, in hex
    return list(zip(["", *bounds], [*bounds, "g"], strict=True))


def numbered(users: ir.Table) -> ir.Table:
    """Return a number for each distinct user, in their order: numbers group and join faster than text."""
    return users.distinct().mutate(user_number=ibis.row_number().over(order_by="user"))


def period_of(ts: ir.TimestampValue, begun: Sequence[datetime], first: int = 0) -> ir.IntegerValue:
    """Return which of the periods that `begun` holds a timestamp.

    Only compares instants, halving what is left: a calendar in a time zone costs a database several times more.
    """
    if len(begun) == 1:
        return ibis.literal(first, "int32")
    half = len(begun) // 2
    left, right = period_of(ts, begun[:half], first), period_of(ts, begun[half:], first + half)
    return ibis.ifelse(ts < ibis.literal(begun[half]), left, right)


def within(rows: ir.Table, begun: Sequence[datetime], block: Block, blocks: Collection[str] | None) -> ir.Table:
    """Return the rows of `blocks` alone, by their `ts`; all, where None. `begun` says when the blocks began."""
    if blocks is None:
        return rows
    read = [name_of(start, block) in blocks for start in begun]
    turns = [
        n for n in range(len(begun)) if read[n] != (n > 0 and read[n - 1])
    ]  # where a run of read blocks begins or ends
    bounds = [ibis.literal(begun[n]) for n in turns]
    spans = [
        (rows.ts >= start) if n + 1 == len(bounds) else (rows.ts >= start) & (rows.ts < bounds[n + 1])
        for n, start in enumerate(bounds)
        if n % 2 == 0
    ]
    return rows.filter(ibis.or_(*spans) if spans else ibis.literal(False))


def count(
    events: ir.Table, users: ir.Table, catalogue: ir.Table, params: Prepare, begun: Sequence[datetime]
) -> ir.Table:
    """Count each (user, item, period), in whole numbers, so that no sum depends on the order of its rows.

    `doubtful` is whether two of its events may have the same timestamp, as exact duplicates have: it is true where
    they do, and now and then where they do not.

    Args:
        events: those that count, in the canonical schema.
        users: `numbered` users; events of others are left out.
        catalogue: items with an `item_number`; events with others are left out.
        params: the weights.
        begun: when the periods began.
    """
    return _count(_coded(events, users, catalogue, begun), params)


def recount(
    counts: ir.Table,
    events: ir.Table,
    users: ir.Table,
    catalogue: ir.Table,
    params: Prepare,
    begun: Sequence[datetime],
) -> ir.Table:
    """Return the `counts` of `events` without exact duplicates: where there may be one, whole rows are compared.

    That is the costly step, and few events need it.
    """
    doubtful = counts.filter(counts.doubtful).select(*_GROUP)
    whose = users.semi_join(doubtful, "user_number")
    rows = _coded(events, whose, catalogue, begun).semi_join(doubtful, _GROUP)
    return counts.filter(~counts.doubtful).union(_count(rows.distinct(), params))


def weigh(counts: ir.Table, params: Prepare) -> ir.Table:
    """Weigh each (user, item, period): purchases count by the share that was kept, over all periods.

    Where nothing was kept the pair goes, its views and carts too: the user has said no.
    """
    returning = counts.filter(counts.returned > 0).select(_PAIR).distinct()
    totals = counts.semi_join(returning, _PAIR).group_by(_PAIR)
    totals = totals.aggregate(bought=lambda t: t.bought.sum(), returned=lambda t: t.returned.sum())
    share = ibis.ifelse(totals.bought > totals.returned, (totals.bought - totals.returned) / totals.bought, 0.0)
    joined = counts.left_join(totals.select(*_PAIR, share=share), _PAIR)
    share = joined.share.fill_null(1.0)
    weight = ibis.literal(0.0)
    for kind, value in _weighed_kinds(params).items():
        weight = weight + joined[f"n_{kind}"] * value * (share if kind == "purchase" else 1.0)
    rows = joined.select(*_GROUP, share=share, weight=weight)
    return rows.filter(rows.share > 0, rows.weight > 0).drop("share")


def bound(weighed: ir.Table, users: ir.Table, catalogue: ir.Table, limit: int) -> ir.Table:
    """Return what is `weighed`, at most `limit` distinct items a user, in the order of users, items and periods."""
    dropped = _beyond_bound(weighed, users, catalogue, limit)
    return weighed.anti_join(dropped, _PAIR).order_by(_GROUP)


def _in_parts(
    events: Path,
    catalogue: pa.Table,
    params: Prepare,
    block: Block,
    blocks: Collection[str] | None,
    scratch: Path,
    progress: Progress,
) -> Iterator[pa.Table]:
    """Yield the interactions of one range of users after the other.

    Nothing here crosses users, so ranges bound the memory where DuckDB would spill, and their order is the order.
    """
    with backend.duckdb(scratch) as connection:
        every = connection.read_parquet(events)
        span = every.aggregate(first=every.ts.min(), last=every.ts.max()).to_pyarrow().to_pylist()[0]
        if span["first"] is None:
            return
        begun = starts(span["first"], span["last"], block)
        rows = _cleaned(within(every.select(*_READ, *_telling(events)), begun, block, blocks), params)
        ranges = user_ranges(rows.count().to_pyarrow().as_py())
        columns = {"category": catalogue["category"], "block": pa.array([name_of(start, block) for start in begun])}
        # Numbered by their places here, which give the names back whatever order a database has for text.
        known = pa.table({"item": catalogue["item"], "item_number": pa.array(range(len(catalogue)), pa.int64())})
        with backend.held(connection, ibis.memtable(known), "catalogue") as items:
            for done, (low, high) in enumerate(ranges):
                progress(done, len(ranges))
                mine = rows.filter((rows.user >= low) & (rows.user < high))
                with (
                    backend.held(connection, numbered(mine.select("user")), "users") as users,
                    backend.held(connection, count(mine, users, items, params, begun), "counts") as counts,
                    backend.held(
                        connection, weigh(recount(counts, mine, users, items, params, begun), params), "weighed"
                    ) as weighed,
                ):
                    result = bound(weighed, users, items, params.max_items_per_user)
                    names = users.order_by("user_number").user.to_pyarrow()
                    for batch in backend.batches(connection, result):
                        yield _named(batch, user=names, item=catalogue["item"], **columns)
    progress(len(ranges), len(ranges))


def _named(batch: pa.RecordBatch, **names: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Return interactions with the names of what is numbered in `batch`."""
    return pa.table(
        {
            "user": names["user"].take(batch["user_number"]),
            "item": names["item"].take(batch["item_number"]),
            "category": names["category"].take(batch["item_number"]),
            "weight": batch["weight"],
            "block": names["block"].take(batch["period"]),
        }
    )


def _telling(events: Path) -> list[str]:
    """Return the other columns that can tell two rows apart: one that is empty throughout costs and tells nothing."""
    metadata = pq.read_metadata(events)
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    filled = {
        column.path_in_schema
        for group in groups
        for column in (group.column(index) for index in range(group.num_columns))
        if column.statistics is None or column.statistics.null_count != group.num_rows
    }
    return [name for name in metadata.schema.names if name in filled and name not in _READ]


def _cleaned(events: ir.Table, params: Prepare) -> ir.Table:
    # Rows that can never count go before exact duplicates are removed, which is the costly step.
    kinds = sorted({*_weighed_kinds(params), "purchase", "return"})
    rows = events.filter(events.item.notnull(), events.event.isin(kinds))
    if params.minimum_rating is not None:
        rows = rows.filter(rows.rating.isnull() | (rows.rating >= params.minimum_rating))
    return rows


def _coded(events: ir.Table, users: ir.Table, catalogue: ir.Table, begun: Sequence[datetime]) -> ir.Table:
    coded = events.inner_join(catalogue, "item").inner_join(users, "user")
    return coded.mutate(period=period_of(coded.ts, begun)).drop("user", "item")


def _count(events: ir.Table, params: Prepare) -> ir.Table:
    pieces = events.quantity.fill_null(1)
    hashed = events.ts.hash()
    marks = [ibis.literal(1, "int64") << (bits % _MARKS).abs() for bits in (hashed, hashed >> 20)]
    return events.group_by(_GROUP).aggregate(
        bought=pieces.sum(where=events.event == "purchase").fill_null(0),
        returned=pieces.sum(where=events.event == "return").fill_null(0),
        # DuckDB adds float64 faster than integers; numbers of events are exact in it, quantities need not be.
        **{f"n_{kind}": (events.event == kind).cast("float64").sum() for kind in _weighed_kinds(params)},
        # Different marks are different bits, and add up to what they are joined by "or"; with one of them twice, more.
        doubtful=ibis.and_(*(mark.cast("float64").sum() > mark.bit_or().cast("float64") for mark in marks)),
    )


def _beyond_bound(rows: ir.Table, users: ir.Table, catalogue: ir.Table, limit: int) -> ir.Table:
    """Return the pairs to drop: all but `limit` of a user's items, by a hash of pseudonym and item.

    Pseudonyms are made with the shop's secret key, so nobody without it can foresee which items stay.
    """
    counts = rows.group_by("user_number").aggregate(rows=lambda t: t.count())
    many = counts.filter(counts.rows > limit)  # no user with more items has fewer rows
    pairs = rows.semi_join(many, "user_number").select(_PAIR).distinct()
    named = pairs.inner_join(users, "user_number").inner_join(catalogue, "item_number")
    drawn = named.mutate(lot=(ibis.literal("jali/bound/v1|") + named.user + "|" + named.item).hexdigest("sha256"))
    place = ibis.row_number().over(group_by=drawn.user_number, order_by=[drawn.lot, drawn.item_number])
    return drawn.mutate(place=place).filter(lambda t: t.place >= limit).select(_PAIR)


def _weighed_kinds(params: Prepare) -> dict[str, float]:
    return {kind: weight for kind, weight in sorted(params.weights.items()) if weight > 0}
