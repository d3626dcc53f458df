"""Events become bounded interactions: clean, weigh, take returns back, and bound what one user contributes.

Everything is Ibis expressions that DuckDB and Spark both run, and every transform is public: nothing is learnt from
the rows. The result does not depend on the order of the rows.
"""

from __future__ import annotations

from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow.parquet as pq

from components.core.errors import ContractBroken
from components.core.files import atomic_path
from components.core.params import Prepare
from components.core.progress import Progress, no_progress
from components.data import backend
from components.data.blocks import Block, block_of
from components.data.tables import INTERACTIONS, ITEMS, write_table


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
        with backend.duckdb(part) as connection:
            rows = interactions(connection.read_parquet(events), connection.read_parquet(items), params, block)
            written = backend.write(connection, rows, part / "interactions.parquet", INTERACTIONS, progress)
        if not written:
            raise ContractBroken(
                "No event is an interaction with an item of the catalogue",
                value="0 rows",
                limit="at least 1",
                next_step="Compare the item ids of events and catalogue, and prepare.weights in params.yaml.",
            )
    return out


def interactions(events: ir.Table, items: ir.Table, params: Prepare, block: Block) -> ir.Table:
    """Return the bounded interactions of `events` with `items` as a sorted expression."""
    weighed = _take_returns_back(_counts(_cleaned(events, params), params, block), params)
    known = weighed.inner_join(items.select("item", "category"), "item")
    bounded = known.anti_join(_beyond_bound(known, params.max_items_per_user), ["user", "item"])
    return bounded.select("user", "item", "category", "weight", "block").order_by("user", "item", "block")


def _cleaned(events: ir.Table, params: Prepare) -> ir.Table:
    # Rows that can never count go first: removing exact duplicates is the costly step.
    kinds = sorted({*_weighed_kinds(params), "purchase", "return"})
    rows = events.filter(events.item.notnull(), events.event.isin(kinds))
    if params.minimum_rating is not None:
        rows = rows.filter(rows.rating.isnull() | (rows.rating >= params.minimum_rating))
    return rows.distinct()


def _counts(events: ir.Table, params: Prepare, block: Block) -> ir.Table:
    """Return whole numbers only, so that no sum depends on the order of its rows."""
    pieces = events.quantity.fill_null(1)
    return events.group_by("user", "item", block=block_of(events.ts, block)).aggregate(
        bought=pieces.sum(where=events.event == "purchase").fill_null(0),
        returned=pieces.sum(where=events.event == "return").fill_null(0),
        **{f"n_{kind}": (events.event == kind).cast("int64").sum() for kind in _weighed_kinds(params)},
    )


def _take_returns_back(counts: ir.Table, params: Prepare) -> ir.Table:
    """Weigh each (user, item, block): purchases count by the share that was kept, over all blocks.

    Where nothing was kept the pair goes, its views and carts too: the user has said no.
    """
    returning = counts.filter(counts.returned > 0).select("user", "item").distinct()
    totals = counts.semi_join(returning, ["user", "item"]).group_by("user", "item")
    kept = totals.aggregate(all_bought=lambda t: t.bought.sum(), all_returned=lambda t: t.returned.sum())
    share = ibis.ifelse(
        kept.all_bought > kept.all_returned, (kept.all_bought - kept.all_returned) / kept.all_bought, 0.0
    )
    kept = kept.select(kept.user, kept.item, share=share)
    joined = counts.left_join(kept, ["user", "item"])
    share = joined.share.fill_null(1.0)
    weight = ibis.literal(0.0)
    for kind, value in _weighed_kinds(params).items():
        weight = weight + joined[f"n_{kind}"] * value * (share if kind == "purchase" else 1.0)
    rows = joined.select(joined.user, joined.item, joined.block, share=share, weight=weight)
    return rows.filter(rows.share > 0, rows.weight > 0).drop("share")


def _beyond_bound(rows: ir.Table, limit: int) -> ir.Table:
    """Return the (user, item) pairs to drop: all but `limit` of a user's items, by a hash of user and item.

    Pseudonyms are made with the shop's secret key, so nobody without it can foresee which items stay.
    """
    pairs = rows.select("user", "item").distinct()
    counts = pairs.group_by("user").aggregate(items=lambda t: t.count())
    heavy = pairs.semi_join(counts.filter(counts["items"] > limit), "user")
    lot = (ibis.literal("jali/bound/v1|") + heavy.user + "|" + heavy.item).hexdigest("sha256")
    drawn = heavy.mutate(lot=lot)
    place = ibis.row_number().over(group_by=drawn.user, order_by=[drawn.lot, drawn.item])
    return drawn.mutate(place=place).filter(lambda t: t.place >= limit).select("user", "item")


def _weighed_kinds(params: Prepare) -> dict[str, float]:
    return {kind: weight for kind, weight in sorted(params.weights.items()) if weight > 0}
