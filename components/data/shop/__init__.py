"""The simulated shop: people with known tastes visit a shop whose figures resemble a real grocer's.

Visits, baskets, popularity, what is bought again, and how far people's tastes differ are fitted to Ta-Feng, so that a
personal model gains over popularity here about what it gains there (bench/shop_fit.py; docs/shop.csv has the fit).
Ads, ranks of searches, sites and messages are drawn beside them, with generators of their own, and are fitted to
nothing. All is frozen by `VERSION`, which datasets carry: no target is met by changing it. Equal options and version
give equal events; docs/decisions/0012-frozen-simulator.md tells what may change it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pydantic import Field

from components.core.params import Section
from components.data.shop.advertising import Adverts, Impressions, draw_impressions, make_adverts
from components.data.shop.messages import draw_messages
from components.data.shop.ranks import SITES, draw_positions, draw_sites
from components.data.shop.tastes import World, draw_mixtures, make_world
from components.data.shop.visits import KINDS, Visits, draw_visits
from components.data.tables import TIMESTAMP

VERSION = 3
FITTED = 2
"""The version since which catalogue, visits and purchases are the same to the bit: figures that rest on these alone are
figures of it, whatever was added beside."""
CURRENCY = "EUR"
_START = np.datetime64("2024-01-01T00:00:00", "us")
_USERS_AT_ONCE = 2_000
_VISITS = 1
_ADS, _IMPRESSIONS, _RANKS, _SITES, _MESSAGES = range(2, 7)
"""Names of the streams of chance."""


class ShopOptions(Section):
    """The keys of a source of kind `shop`."""

    users: int = Field(1_000, ge=10, le=1_000_000)
    items: int = Field(1_000, ge=100, le=50_000)
    days: int = Field(120, ge=1, le=730)
    seed: int = Field(7, ge=0)


@dataclass(frozen=True)
class Happened:
    """What some users did and wrote, in the canonical columns; `user` is still a name."""

    events: pa.Table
    messages: pa.Table


def world(options: ShopOptions) -> World:
    """Return the items, tastes and prices behind the events."""
    return make_world(options.items, options.days, np.random.default_rng([FITTED, options.seed]))


def adverts(options: ShopOptions, shop: World) -> Adverts:
    """Return the ads and offers of the shop."""
    return make_adverts(shop, options.days, _beside(options, _ADS, 0))


def happen(options: ShopOptions, shop: World) -> Iterator[Happened]:
    """Yield what happens, some thousand users at a time: their visits first, then what was shown to them."""
    booked = adverts(options, shop)
    titles = shop.catalogue.table["title"].to_pylist()
    for group in range(_groups(options)):
        users = _users(options, group)
        visits = draw_visits(shop, users, options.days, _chance(options, group))
        positions = draw_positions(shop, visits, _beside(options, _RANKS, group))
        sites = draw_sites(users, visits, _beside(options, _SITES, group))
        shown = _shown(options, shop, booked, visits, group)
        author, messages = draw_messages(users, options.days, visits, titles, group, _beside(options, _MESSAGES, group))
        names, sessions = _names(visits, group, users)
        events = [
            _visits_as_table(visits, shop, names, sessions, positions, sites),
            *_shown_as_tables(shown, booked, names, sessions),
        ]
        yield Happened(
            pa.concat_tables(events, promote_options="default"),
            messages.append_column("user", names.take(pa.array(author))),
        )


def simulate(options: ShopOptions, shop: World) -> Iterator[pa.Table]:
    """Yield the events of `happen`."""
    for happened in happen(options, shop):
        yield happened.events


def truth(options: ShopOptions, shop: World, group: int = 0) -> np.ndarray:
    """Return P(item | user), `(users, items)`, for the `group`-th two thousand users in the order of their names.

    It is what a user's own taste says, before season and offers, and before some looks follow earlier ones.
    """
    likely: np.ndarray = draw_mixtures(_users(options, group), _chance(options, group)) @ shop.tastes
    return likely


def ad_truth(options: ShopOptions, shop: World, group: int = 0) -> Impressions:
    """Return the impressions of the `group`-th two thousand users, in the order of their events, with P(click).

    The probabilities give the best AUC and log loss that any model can reach.
    """
    visits = draw_visits(shop, _users(options, group), options.days, _chance(options, group))
    return _shown(options, shop, adverts(options, shop), visits, group)


def _shown(options: ShopOptions, shop: World, booked: Adverts, visits: Visits, group: int) -> Impressions:
    mixtures = draw_mixtures(_users(options, group), _chance(options, group))  # the first that the visits drew
    return draw_impressions(booked, shop, mixtures, visits, _beside(options, _IMPRESSIONS, group))


def _groups(options: ShopOptions) -> int:
    return -(-options.users // _USERS_AT_ONCE)


def _users(options: ShopOptions, group: int) -> int:
    return min(_USERS_AT_ONCE, options.users - group * _USERS_AT_ONCE)


def _chance(options: ShopOptions, group: int) -> np.random.Generator:
    return np.random.default_rng([FITTED, options.seed, _VISITS, group])


def _beside(options: ShopOptions, stream: int, group: int) -> np.random.Generator:
    """Return the generator of what a later version added: it takes no draw from what was there before."""
    return np.random.default_rng([VERSION, options.seed, stream, group])


def _names(visits: Visits, group: int, users: int) -> tuple[pa.Array, pa.Array]:
    first = group * _USERS_AT_ONCE
    names = pa.array([f"shopper-{first + index:07d}" for index in range(users)])
    return names, pa.array([f"visit-{group}-{index}" for index in range(int(visits.visit.max()) + 1)])


def _visits_as_table(
    visits: Visits, shop: World, names: pa.Array, sessions: pa.Array, positions: np.ndarray, sites: np.ndarray
) -> pa.Table:
    searched, paid = visits.query >= 0, visits.quantity > 0
    typed = shop.catalogue.queries[visits.item[searched], visits.query[searched]]
    queries = np.full(len(searched), None, object)
    queries[searched] = typed
    return pa.table(
        {
            "user": names.take(pa.array(visits.user)),
            "session": sessions.take(pa.array(visits.visit)),
            "ts": _stamps(visits.second),
            "event": pa.array(KINDS).take(pa.array(visits.kind)),
            # A search is for words; which item it was after only the simulator knows.
            "item": shop.catalogue.table["item"].combine_chunks().take(pa.array(visits.item, mask=searched)),
            "query": pa.array(queries, pa.string()),
            "position": pa.array(positions, mask=positions == 0),
            "quantity": pa.array(visits.quantity, mask=~paid),
            "unit_price": pa.array(visits.price, mask=searched),
            "site": pa.array(SITES).take(pa.array(sites[visits.visit], mask=~paid)),
        }
    )


def _shown_as_tables(shown: Impressions, booked: Adverts, names: pa.Array, sessions: pa.Array) -> list[pa.Table]:
    """Return the impressions and the clicks on them; `item` stays null, so that neither counts as a look at it."""
    ads = booked.table["ad"].combine_chunks()
    clicks = np.flatnonzero(shown.clicked)
    every = slice(None)
    return [
        pa.table(
            {
                "user": names.take(pa.array(shown.user[rows])),
                "session": sessions.take(pa.array(shown.visit[rows])),
                "ts": _stamps(seconds[rows]),
                "event": pa.repeat(pa.scalar(kind), len(seconds[rows])),
                "ad": ads.take(pa.array(shown.ad[rows])),
                "position": pa.array(shown.position[rows]),
            }
        )
        for kind, rows, seconds in (
            ("impression", every, shown.second),
            ("ad_click", clicks, shown.second + shown.clicked_after),
        )
    ]


def _stamps(seconds: np.ndarray) -> pa.Array:
    return pa.array(_START + seconds * np.timedelta64(1_000_000, "us")).cast(TIMESTAMP)
