"""A fault for each expectation of each suite: tables in, tables with the fault out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pyarrow as pa

from .tables import END, NOW, START, plant, user, with_column

Fault = Callable[[pa.Table], pa.Table]


def retyped(column: str, kind: pa.DataType) -> Fault:
    return lambda table: with_column(table, column, pa.nulls(table.num_rows, kind))


def planted(column: str, *values: Any) -> Fault:
    return lambda table: plant(table, column, *values)


def without(column: str) -> Fault:
    return lambda table: table.drop_columns([column])


def empty(table: pa.Table) -> pa.Table:
    return table.slice(0, 0)


def repeated(table: pa.Table, share: float = 1.0) -> pa.Table:
    return pa.concat_tables([table, table.slice(0, round(share * table.num_rows))])


def about(table: pa.Table, item: str) -> pa.Table:
    return plant(table, "item", *[item] * table.num_rows)


EVENT_TABLE_FAULTS: dict[str, Fault] = {
    "columns": without("site"),
    "user type": retyped("user", pa.int64()),
    "ts type": lambda table: with_column(table, "ts", table["ts"].cast(pa.timestamp("us"))),
    "event type": retyped("event", pa.int64()),
    "item type": retyped("item", pa.int64()),
    "position type": retyped("position", pa.float64()),
    "quantity type": retyped("quantity", pa.float64()),
    "unit_price type": retyped("unit_price", pa.float64()),
    "rating type": retyped("rating", pa.string()),
    "not empty": empty,
    "volume": lambda table: table.slice(0, 15),
    "fresh": lambda table: plant(table, "ts", *[START] * table.num_rows),
    "pseudonyms only": planted("user", "C1104905"),
    "catalogue covers events": lambda table: about(table, "elsewhere"),
    "few duplicates": repeated,
}
EVENT_ROW_FAULTS: dict[str, Fault] = {
    "user known": planted("user", None),
    "time known": planted("ts", None),
    "kind known": planted("event", None),
    "event kind": planted("event", "teleport"),
    "not in the future": planted("ts", NOW + timedelta(seconds=1)),
    "after the window's start": planted("ts", START - timedelta(microseconds=1)),
    "before the window's end": planted("ts", END),
    "item given": planted("item", None),
    "unknown item": planted("item", "elsewhere"),
    "ad given": planted("event", "ad_click"),
    "unknown ad": planted("ad", "elsewhere"),
    "position": planted("position", 0),
    "quantity": planted("quantity", 0),
    "unit price": planted("unit_price", -1),
    "currency given": planted("currency", None),
    "currency code": planted("currency", "Euro"),
    "rating": planted("rating", 5.5),
}
ITEM_TABLE_FAULTS: dict[str, Fault] = {
    "columns": without("brand"),
    "item type": retyped("item", pa.int64()),
    "title type": retyped("title", pa.int64()),
    "category type": retyped("category", pa.int64()),
    "brand type": retyped("brand", pa.int64()),
    "price type": retyped("price", pa.float64()),
    "not empty": empty,
    "item unique": planted("item", "i1"),
}
ITEM_ROW_FAULTS: dict[str, Fault] = {
    "item known": planted("item", None),
    "item named": planted("item", ""),
    "category path": planted("category", "food//tea"),
    "price": planted("price", -1),
}
AD_TABLE_FAULTS: dict[str, Fault] = {
    "columns": without("campaign"),
    **{f"{name} type": retyped(name, pa.int64()) for name in ("ad", "item", "campaign", "placement")},
    **{f"{name} type": retyped(name, pa.timestamp("us")) for name in ("starts", "ends")},
    "bid type": retyped("bid", pa.float64()),
    "ad unique": planted("ad", "a1"),
}
AD_ROW_FAULTS: dict[str, Fault] = {
    "ad known": planted("ad", None),
    "ad named": planted("ad", ""),
    "unknown item": planted("item", "elsewhere"),
    "bid": planted("bid", -1),
    "window": planted("ends", START),
}
MESSAGE_TABLE_FAULTS: dict[str, Fault] = {
    "columns": without("intent"),
    **{f"{name} type": retyped(name, pa.int64()) for name in ("message", "user", "text", "language", "intent")},
    "ts type": lambda table: with_column(table, "ts", table["ts"].cast(pa.timestamp("us"))),
    "pseudonyms only": planted("user", "C1104905"),
    "few duplicates": repeated,
}
MESSAGE_ROW_FAULTS: dict[str, Fault] = {
    "message known": planted("message", None),
    "user known": planted("user", None),
    "time known": planted("ts", None),
    "text known": planted("text", None),
    "text length": planted("text", ""),
    "language code": planted("language", "English"),
    "not in the future": planted("ts", NOW + timedelta(seconds=1)),
    "after the window's start": planted("ts", START - timedelta(microseconds=1)),
    "before the window's end": planted("ts", END),
}
PREPARED_FAULTS: dict[str, Fault] = {
    "columns": without("category"),
    "user type": retyped("user", pa.int64()),
    "item type": retyped("item", pa.int64()),
    "category type": retyped("category", pa.int64()),
    "weight type": retyped("weight", pa.int64()),
    "block type": retyped("block", pa.int64()),
    "not empty": empty,
    "user known": planted("user", None),
    "item known": planted("item", None),
    "block known": planted("block", None),
    "pseudonyms only": planted("user", user(0).upper() + "A"),
    "block name": planted("block", "2000Q5"),
    "one row each": repeated,
    "bounded": lambda table: plant(table, "user", *[user(0)] * table.num_rows),
    "weight known": planted("weight", None),
    "weight positive": planted("weight", 0.0),
    "item in catalogue": planted("item", "elsewhere"),
}
RECOMMEND_FAULTS: dict[str, Fault] = {
    "columns": without("weight"),
    "item in catalogue": planted("item", "elsewhere"),
    "bounded": lambda table: plant(table, "user", *[user(0)] * table.num_rows),
    "users": lambda table: table.slice(0, 9),
    "choice": lambda table: about(table, "i1"),
    "users with two items": lambda table: about(table, "i1"),
    "weight positive": planted("weight", -1.0),
}
ADS_FAULTS: dict[str, Fault] = {
    "columns": without("session"),
    "event kind": planted("event", "view"),
    "bounded": lambda table: plant(table, "user", *[user(0)] * table.num_rows),
    "users": lambda table: table.slice(0, 9 * 4),
    "ads shown": lambda table: plant(table, "ad", *["a1"] * table.num_rows),
    "position": planted("position", 0),
}
DEMAND_FAULTS: dict[str, Fault] = {
    "columns": without("quantity"),
    "event kind": planted("event", "teleport"),
    "bounded": lambda table: plant(table, "user", *[user(0)] * table.num_rows),
    "users": lambda table: table.slice(0, 9),
    "quantity": planted("quantity", 0),
}
SEARCH_FAULTS: dict[str, Fault] = {
    "columns": without("query"),
    "event kind": planted("event", "teleport"),
    "item in catalogue": planted("item", "elsewhere"),
    "bounded": lambda table: plant(table, "user", *[user(0)] * table.num_rows),
    "users": lambda table: table.slice(0, 9),
    "position": planted("position", 0),
}
SUPPORT_FAULTS: dict[str, Fault] = {
    "columns": without("intent"),
    "text known": planted("text", ""),
    "intents known": lambda table: plant(table, "intent", *[None] * table.num_rows),
    "bounded": lambda table: plant(table, "user", *[user(0)] * table.num_rows),
    "users": lambda table: table.slice(0, 9 * 2),
}
SERVICE_FAULTS = {
    "recommend": RECOMMEND_FAULTS,
    "ads": ADS_FAULTS,
    "demand": DEMAND_FAULTS,
    "search": SEARCH_FAULTS,
    "support": SUPPORT_FAULTS,
}
"""By the service whose suite they break."""
