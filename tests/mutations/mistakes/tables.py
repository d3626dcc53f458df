"""Mistakes of the data rooms: bounds in the wrong place, and rows that depend on other users."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ibis
import pyarrow.parquet as pq

from components.data import prepare as prepare_room
from components.data import split as split_room
from tests.mutations.mistakes import Patch


def contributions_are_not_bounded(patch: Patch) -> None:
    patch.setattr(prepare_room, "_beyond_bound", lambda rows, users, catalogue, limit: rows.filter(False))


def contributions_are_bounded_in_each_block(patch: Patch) -> None:
    def beyond(rows: Any, users: Any, catalogue: Any, limit: int) -> Any:
        place = ibis.row_number().over(group_by=[rows.user_number, rows.period], order_by=rows.item_number)
        return rows.mutate(place=place).filter(lambda t: t.place >= limit).select("user_number", "item_number")

    patch.setattr(prepare_room, "_beyond_bound", beyond)


def rows_are_split_and_not_users(patch: Patch) -> None:
    real = split_room.split_of

    def by_row(user: Any, shares: Any) -> Any:
        return real(user + user.op().rel.to_expr().item, shares)

    patch.setattr(split_room, "split_of", by_row)


def contributions_are_bounded_after_the_split(patch: Patch, limit: int = 6) -> None:
    """Each split holds its bound, and a user is in all of them."""
    contributions_are_not_bounded(patch)
    rows_are_split_and_not_users(patch)
    real = split_room.split

    def split(prepared: Path, shares: Any, out: Path) -> dict[str, Path]:
        paths = real(prepared, shares, out)
        for folder in paths.values():
            path = folder / "interactions.parquet"
            table = pq.read_table(path).to_pandas()
            pq.write_table(pq.read_table(path).take(table.groupby("user").head(limit).index.to_list()), path)
        return paths

    patch.setattr(split_room, "split", split)


def rare_items_are_filtered_before_the_ledger_sees_them(patch: Patch) -> None:
    real = prepare_room.bound

    def bound(*args: Any) -> Any:
        rows = real(*args)
        users = rows.group_by("item_number").aggregate(users=lambda t: t.user_number.nunique())
        kept = users.filter(users.users >= 4)
        return rows.semi_join(kept, "item_number").order_by("user_number", "item_number", "period")

    patch.setattr(prepare_room, "bound", bound)


def weights_are_scaled_by_everyones_largest(patch: Patch) -> None:
    real = prepare_room.weigh

    def weigh(*args: Any) -> Any:
        rows = real(*args)
        return rows.mutate(weight=rows.weight / rows.weight.max().over())

    patch.setattr(prepare_room, "weigh", weigh)
