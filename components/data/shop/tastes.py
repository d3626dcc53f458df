"""What shoppers like: the known ground truth of the simulator.

A user u mixes a few tastes, P(i | u) = Σ_t θ_ut φ_ti, as in latent Dirichlet allocation (Blei et al. 2003). A taste is
lognormal popularity, times a liking of departments, shelves and items. Season and price move demand: in each month of
30 days a shelf has its season, and what is on offer sells more.

The constants are fitted by bench/shop_fit.py; docs/shop.csv has the fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from components.data.shop.catalogue import Catalogue, make_catalogue

TASTES = 16
MONTH_DAYS = 30

_CONCENTRATION = 0.10  # of θ: most people have one or two tastes
# In Ta-Feng the best 0.1%, 1%, 10% and 50% of the items have the shares of a lognormal; no Zipf law has all four.
_POPULARITY_SPREAD = 1.48
_DEPARTMENT_LIKING, _SHELF_LIKING, _ITEM_LIKING = 0.7, 0.7, 1.62
_ELASTICITY = 2.0
_OFFER_SHARE = 0.08


@dataclass(frozen=True)
class World:
    """All that is true before anybody shops.

    Attributes:
        catalogue: the items.
        tastes: `(tastes, items)` φ: what each taste buys in a month without season or offers; rows sum to 1.
        prices: `(months, items)` in minor units, offers included.
        ladder: `(months · tastes · items,)` the cumulative probabilities of every (month, taste), each lifted by its
            index, so that one binary search draws items for all of them at once.
        months: how many months the simulated period touches.
        by_line: `(items,)` the items in the order of their lines.
        line_ladder: `(items,)` beside it, each item's cumulative share of its line's popularity, lifted by the line.
    """

    catalogue: Catalogue
    tastes: np.ndarray
    prices: np.ndarray
    ladder: np.ndarray
    months: int
    by_line: np.ndarray
    line_ladder: np.ndarray


def make_world(items: int, days: int, rng: np.random.Generator) -> World:
    """Return a world of `items` items over `days` days."""
    catalogue = make_catalogue(items, rng)
    shelf, shelves = catalogue.shelf, len(catalogue.department)
    popularity = np.exp(_POPULARITY_SPREAD * ndtri((rng.permutation(items) + 0.5) / items))
    liking = _DEPARTMENT_LIKING * rng.normal(size=(TASTES, catalogue.department.max() + 1))[:, catalogue.department]
    liking = liking + _SHELF_LIKING * rng.normal(size=(TASTES, shelves))
    tastes = popularity * np.exp(liking[:, shelf] + _ITEM_LIKING * rng.normal(size=(TASTES, items)))
    tastes /= tastes.sum(axis=1, keepdims=True)

    months = -(-days // MONTH_DAYS)
    swing, peak = rng.uniform(0, 0.5, shelves), rng.uniform(0, 12, shelves)
    season = 1 + swing * np.cos(2 * np.pi * (np.arange(months)[:, None] - peak) / 12)
    discount = np.where(rng.random((months, items)) < _OFFER_SHARE, rng.choice([0.1, 0.2, 0.3], (months, items)), 0.0)
    full = np.asarray(catalogue.table["price"].to_numpy())
    demand = season[:, shelf] * (1 - discount) ** -_ELASTICITY
    steps = np.cumsum(demand[:, None, :] * tastes[None], axis=2)
    steps /= steps[:, :, -1:]
    ladder = (steps.reshape(-1, items) + np.arange(months * TASTES)[:, None]).ravel()
    prices = np.rint(full * (1 - discount)).astype(np.int64)
    return World(catalogue, tastes, prices, ladder, months, *_line_ladder(catalogue.line, popularity))


def _line_ladder(line: np.ndarray, popularity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    by_line = np.argsort(line, kind="stable")
    sizes = np.bincount(line)
    below = np.repeat(np.cumsum(sizes) - sizes, sizes)
    steps = np.cumsum(popularity[by_line])
    before = np.r_[0.0, steps][below]
    shares = (steps - before) / np.bincount(line, weights=popularity)[line[by_line]]
    return by_line, np.minimum(shares, 1) + line[by_line]


def draw_mixtures(users: int, rng: np.random.Generator) -> np.ndarray:
    """Return θ of shape `(users, tastes)`; rows sum to 1."""
    return rng.dirichlet(np.full(TASTES, _CONCENTRATION), users)


def draw_items(world: World, month: np.ndarray, taste: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return one item for each (month, taste) pair."""
    items = world.tastes.shape[1]
    place = month * TASTES + taste
    # Just below 1, or rounding could reach into the next pair's steps.
    found = np.searchsorted(world.ladder, place + rng.random(len(place)) * (1 - 1e-9), side="right")
    return np.minimum(found - place * items, items - 1)


def draw_companions(world: World, item: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return for each item one of its line, itself included, by popularity."""
    lots = world.catalogue.line[item] + rng.random(len(item)) * (1 - 1e-9)
    found = np.searchsorted(world.line_ladder, lots, side="right")
    return world.by_line[np.minimum(found, len(world.by_line) - 1)]
