"""The simulated shop: people with known tastes visit a shop whose figures resemble a real grocer's.

Visits, baskets, popularity, what is bought again, and how far people's tastes differ are fitted to Ta-Feng, so that a
personal model gains over popularity here about what it gains there (bench/shop_fit.py; docs/shop.csv has the fit).
All is frozen by `VERSION`, which datasets carry: no target is met by changing it. Equal options and version give equal
events; docs/decisions/0012-frozen-simulator.md tells what may change it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from pydantic import Field

from components.core.params import Section
from components.data.shop.tastes import World, draw_mixtures, make_world
from components.data.shop.visits import KINDS, Visits, draw_visits

VERSION = 2
CURRENCY = "EUR"
_START = np.datetime64("2024-01-01T00:00:00", "us")
_USERS_AT_ONCE = 2_000


class ShopOptions(Section):
    """The keys of a source of kind `shop`."""

    users: int = Field(1_000, ge=10, le=1_000_000)
    items: int = Field(1_000, ge=100, le=50_000)
    days: int = Field(120, ge=1, le=730)
    seed: int = Field(7, ge=0)


def world(options: ShopOptions) -> World:
    """Return the items, tastes and prices behind the events."""
    return make_world(options.items, options.days, np.random.default_rng([VERSION, options.seed]))


def simulate(options: ShopOptions, shop: World) -> Iterator[pa.Table]:
    """Yield the events in the canonical columns, some thousand users at a time; `user` is still a name."""
    for group in range(_groups(options)):
        users = min(_USERS_AT_ONCE, options.users - group * _USERS_AT_ONCE)
        visits = draw_visits(shop, users, options.days, _chance(options, group))
        yield _as_table(visits, shop, group, users)


def truth(options: ShopOptions, shop: World, group: int = 0) -> np.ndarray:
    """Return P(item | user), `(users, items)`, for the `group`-th two thousand users in the order of their names.

    It is what a user's own taste says, before season and offers, and before some looks follow earlier ones.
    """
    users = min(_USERS_AT_ONCE, options.users - group * _USERS_AT_ONCE)
    return draw_mixtures(users, _chance(options, group)) @ shop.tastes


def _groups(options: ShopOptions) -> int:
    return -(-options.users // _USERS_AT_ONCE)


def _chance(options: ShopOptions, group: int) -> np.random.Generator:
    return np.random.default_rng([VERSION, options.seed, 1, group])


def _as_table(visits: Visits, shop: World, group: int, users: int) -> pa.Table:
    first = group * _USERS_AT_ONCE
    names = pa.array([f"shopper-{first + index:07d}" for index in range(users)])
    sessions = pa.array([f"visit-{group}-{index}" for index in range(int(visits.visit.max()) + 1)])
    searched, paid = visits.query >= 0, visits.quantity > 0
    typed = shop.catalogue.queries[visits.item[searched], visits.query[searched]]
    queries = np.full(len(searched), None, object)
    queries[searched] = typed
    return pa.table(
        {
            "user": names.take(pa.array(visits.user)),
            "session": sessions.take(pa.array(visits.visit)),
            "ts": pa.array(_START + visits.second * np.timedelta64(1_000_000, "us")).cast(pa.timestamp("us", "UTC")),
            "event": pa.array(KINDS).take(pa.array(visits.kind)),
            # A search is for words; which item it was after only the simulator knows.
            "item": shop.catalogue.table["item"].combine_chunks().take(pa.array(visits.item, mask=searched)),
            "query": pa.array(queries, pa.string()),
            "quantity": pa.array(visits.quantity, mask=~paid),
            "unit_price": pa.array(visits.price, mask=searched),
        }
    )
