"""Events become bounded interactions: clean, weigh, take returns back, and bound what one user contributes.

Everything is Ibis expressions that DuckDB and Spark both run, and every transform is public: nothing is learnt from
the rows. The result does not depend on the order of the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
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
from components.data.blocks import Block, block_of, start_of
from components.data.tables import INTERACTIONS, ITEMS, write_table

_EVENTS_AT_ONCE = 2_500_000
_MOST_PARTS = 64
_READ = ("user", "ts", "event", "item", "quantity", "rating")


def prepare(
    events: Path, items: Path, params: Prepare, block: Block, out: Path, *, progress: Progress = no_progress
) -> Path:
    """Write interactions.parquet and items.parquet into the folder `out` and return it.

    Interactions have one row per (user, item, block), at most `params.max_items_per_user` distinct items a user,
    sorted by user, item and block. Memory stays below 1 GB whatever the number of events.

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
        write_table(part / "items.parquet", ITEMS, [catalogue.sort_by("item")])
        tables = _in_parts(events, items, params, block, part, progress)
        write_table(part / "interactions.parquet", INTERACTIONS, tables)
        if not pq.read_metadata(part / "interactions.parquet").num_rows:
            raise ContractBroken(
                "No event is an interaction with an item of the catalogue",
                value="0 rows",
                limit="at least 1",
                next_step="Compare the item ids of events and catalogue, and prepare.weights in params.yaml.",
            )
    return out


def weigh(events: ir.Table, users: ir.Table, catalogue: ir.Table, params: Prepare, block: Block) -> ir.Table:
    """Return a weight for each (user, item, period) that is left when duplicates and returns are taken out.

    Args:
        events: those that count, in the canonical schema.
        users: `numbered` users, at least those of `events`.
        catalogue: `numbered` items; events with others are left out.
        params: the weights.
        block: what a period is.
    """
    coded = events.inner_join(catalogue.select("item", "item_number"), "item")
    coded = coded.inner_join(users, "user").drop("user", "item")
    return _take_returns_back(_counts(coded.distinct(), params, block), params)


def bound(weighed: ir.Table, users: ir.Table, catalogue: ir.Table, limit: int, block: Block) -> ir.Table:
    """Return the interactions of `weighed`, at most `limit` distinct items a user, sorted by user, item and block."""
    dropped = _beyond_bound(weighed, users, catalogue, limit)
    kept = weighed.anti_join(dropped, ["user_number", "item_number"])
    named = kept.inner_join(users, "user_number").inner_join(catalogue, "item_number")
    periods = weighed.select("period").distinct()  # few, so that text is made few times
    named = named.inner_join(periods.mutate(block=block_of(periods.period, block)), "period")
    return named.order_by("user_number", "item_number", "period").select("user", "item", "category", "weight", "block")


def numbered(rows: ir.Table, name: str) -> ir.Table:
    """Return `rows` with a number for each distinct `name`, in its order: numbers group and join faster than text."""
    return rows.distinct().mutate(**{f"{name}_number": ibis.row_number().over(order_by=name)})


def _in_parts(
    events: Path, items: Path, params: Prepare, block: Block, scratch: Path, progress: Progress
) -> Iterator[pa.Table]:
    """Yield the interactions of one range of users after the other.

    Nothing here crosses users, so ranges bound the memory where DuckDB would spill, and their order is the order.
    """
    with backend.duckdb(scratch) as connection:
        rows = _cleaned(connection.read_parquet(events).select(*_READ, *_telling(events)), params)
        parts = min(_MOST_PARTS, 1 + rows.count().to_pyarrow().as_py() // _EVENTS_AT_ONCE)
        bounds = [f"{round(part * 256 / parts):02x}" for part in range(1, parts)]  # pseudonyms are even, in hex
        known = connection.read_parquet(items).select("item", "category")
        with backend.held(connection, numbered(known, "item"), "catalogue") as catalogue:
            for done, (low, high) in enumerate(zip(["", *bounds], [*bounds, "g"], strict=True)):
                progress(done, parts)
                mine = rows.filter((rows.user >= low) & (rows.user < high))
                with (
                    backend.held(connection, numbered(mine.select("user"), "user"), "users") as users,
                    backend.held(connection, weigh(mine, users, catalogue, params, block), "weighed") as weighed,
                ):
                    result = bound(weighed, users, catalogue, params.max_items_per_user, block)
                    for batch in backend.batches(connection, result):
                        yield pa.Table.from_batches([batch])
    progress(parts, parts)


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


def _counts(events: ir.Table, params: Prepare, block: Block) -> ir.Table:
    """Return whole numbers only, so that no sum depends on the order of its rows."""
    pieces = events.quantity.fill_null(1)
    return events.group_by("user_number", "item_number", period=start_of(events.ts, block)).aggregate(
        bought=pieces.sum(where=events.event == "purchase").fill_null(0),
        returned=pieces.sum(where=events.event == "return").fill_null(0),
        **{f"n_{kind}": (events.event == kind).cast("int64").sum() for kind in _weighed_kinds(params)},
    )


def _take_returns_back(counts: ir.Table, params: Prepare) -> ir.Table:
    """Weigh each (user, item, period): purchases count by the share that was kept, over all periods.

    Where nothing was kept the pair goes, its views and carts too: the user has said no.
    """
    pair = ["user_number", "item_number"]
    returning = counts.filter(counts.returned > 0).select(pair).distinct()
    totals = counts.semi_join(returning, pair).group_by(pair)
    totals = totals.aggregate(bought=lambda t: t.bought.sum(), returned=lambda t: t.returned.sum())
    share = ibis.ifelse(totals.bought > totals.returned, (totals.bought - totals.returned) / totals.bought, 0.0)
    joined = counts.left_join(totals.select(*pair, share=share), pair)
    share = joined.share.fill_null(1.0)
    weight = ibis.literal(0.0)
    for kind, value in _weighed_kinds(params).items():
        weight = weight + joined[f"n_{kind}"] * value * (share if kind == "purchase" else 1.0)
    rows = joined.select(*pair, "period", share=share, weight=weight)
    return rows.filter(rows.share > 0, rows.weight > 0).drop("share")


def _beyond_bound(rows: ir.Table, users: ir.Table, catalogue: ir.Table, limit: int) -> ir.Table:
    """Return the pairs to drop: all but `limit` of a user's items, by a hash of pseudonym and item.

    Pseudonyms are made with the shop's secret key, so nobody without it can foresee which items stay.
    """
    counts = rows.group_by("user_number").aggregate(rows=lambda t: t.count())
    many = counts.filter(counts.rows > limit)  # no user with more items has fewer rows
    pairs = rows.semi_join(many, "user_number").select("user_number", "item_number").distinct()
    named = pairs.inner_join(users, "user_number").inner_join(catalogue.select("item", "item_number"), "item_number")
    drawn = named.mutate(lot=(ibis.literal("jali/bound/v1|") + named.user + "|" + named.item).hexdigest("sha256"))
    place = ibis.row_number().over(group_by=drawn.user_number, order_by=[drawn.lot, drawn.item_number])
    return drawn.mutate(place=place).filter(lambda t: t.place >= limit).select("user_number", "item_number")


def _weighed_kinds(params: Prepare) -> dict[str, float]:
    return {kind: weight for kind, weight in sorted(params.weights.items()) if weight > 0}
