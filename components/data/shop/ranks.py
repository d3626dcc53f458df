"""Where a search showed the item that was clicked, and at which site a purchase was made: drawn beside the visits."""

from __future__ import annotations

import numpy as np

from components.data.shop.tastes import World
from components.data.shop.visits import KINDS, Visits

SITES = ("centre", "harbour", "north", "station", "online")
_SHARES = (0.3, 0.2, 0.2, 0.1, 0.2)  # of the users whose home it is
_AT_HOME = 0.9
_SHOWN = 0.5  # share of the more popular matches that stood above an item
_LAST = 100


def draw_positions(world: World, visits: Visits, rng: np.random.Generator) -> np.ndarray:
    """Return `(events,)` the position of each click that follows a search, 0 elsewhere.

    A search shows what its words match, in the order of popularity: the items of a shelf, or those of one brand on it.
    An item has its place there, less some of those before it that happened to be away.
    """
    searched = np.flatnonzero(visits.query >= 0)
    clicks = np.flatnonzero(visits.kind == KINDS.index("click"))
    items = len(world.catalogue.line)
    found = visits.visit[searched].astype(np.int64) * items + visits.item[searched]
    order = np.argsort(found)
    wanted = visits.visit[clicks].astype(np.int64) * items + visits.item[clicks]
    place = np.minimum(np.searchsorted(found, wanted, sorter=order), max(0, len(found) - 1))
    hit = found[order[place]] == wanted if len(found) else np.zeros(len(clicks), bool)
    clicks, query = clicks[hit], visits.query[searched[order[place[hit]]]] if len(found) else np.zeros(0, int)

    popularity = world.tastes.mean(axis=0)
    catalogue = world.catalogue
    by_shelf, by_line = (_ranks(group, popularity) for group in (catalogue.shelf, catalogue.line))
    rank = np.where(query == 1, by_line[visits.item[clicks]], by_shelf[visits.item[clicks]])
    positions = np.zeros(len(visits.user), np.int64)
    positions[clicks] = np.minimum(1 + rng.binomial(rank, _SHOWN), _LAST)
    return positions


def draw_sites(users: int, visits: Visits, rng: np.random.Generator) -> np.ndarray:
    """Return `(visits,)` the site, an index into `SITES`, at which a visit's purchases are made."""
    home = rng.choice(len(SITES), users, p=_SHARES)
    calls = int(visits.visit.max()) + 1
    owner = np.zeros(calls, np.int64)
    owner[visits.visit] = visits.user
    away = rng.choice(len(SITES), calls, p=_SHARES)
    return np.where(rng.random(calls) < _AT_HOME, home[owner], away)


def _ranks(group: np.ndarray, popularity: np.ndarray) -> np.ndarray:
    """Return `(items,)` how many items of an item's group are more popular."""
    order = np.lexsort((-popularity, group))
    sizes = np.bincount(group)
    ranks = np.empty(len(group), np.int64)
    ranks[order] = np.arange(len(group)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return ranks
