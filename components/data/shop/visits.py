"""What shoppers do: visits with searches, views, clicks, carts, purchases and returns, drawn for many users at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.data.shop.tastes import MONTH_DAYS, TASTES, World, draw_companions, draw_items, draw_mixtures

# Fitted to Ta-Feng (bench/shop_fit.py): days with a purchase, the items of one, habits, and what follows a purchase.
_VISITS_LOG_MEDIAN, _VISITS_LOG_SPREAD, _VISITS_MOST = np.log(2.0), 1.1, 90
_BASKET_LOG_MEDIAN, _BASKET_LOG_SPREAD, _BASKET_MOST = 1.78, 0.73, 110
_BASKET_HABIT, _BASKET_WHEN_OFTEN = 0.5, -0.14  # people differ, and who comes more often takes less at a time
_AGAIN, _COMPANION = 0.1, 0.1  # share of looks that repeat one of an earlier visit, or stay in the line of one
_BROWSING_VISITS = 0.5  # for each one with a purchase
_BROWSED_ITEMS = 0.7  # looked at and left, for each item that is bought
_BROWSING_LOOKS = 3.0
_ONE_TASTE = 0.6  # share of a visit's items that follow its leading taste
_SEARCH, _CLICK, _IDLE_CART, _RETURN, _SECOND_PIECE = 0.4, 0.55, 0.08, 0.03, 0.2
_RETURN_DAYS = (2, 21)
_WEEKEND = 1.4
_DAY_SECONDS = 86_400

KINDS = ("search", "view", "click", "cart", "purchase", "return")
_SEARCHED, _VIEWED, _CLICKED, _CARTED, _BOUGHT, _RETURNED = range(len(KINDS))


@dataclass(frozen=True)
class Visits:
    """Events of some users as columns of equal length `(events,)`, ordered by user and time.

    Attributes:
        user: index among the users that were asked for.
        visit: index of the visit.
        second: seconds since the first day began.
        kind: index into `KINDS`.
        item: index into the catalogue; what a search was after.
        query: which of the item's queries was typed, -1 where none was.
        quantity: pieces bought or returned, 0 elsewhere.
        price: of one piece in minor units.
    """

    user: np.ndarray
    visit: np.ndarray
    second: np.ndarray
    kind: np.ndarray
    item: np.ndarray
    query: np.ndarray
    quantity: np.ndarray
    price: np.ndarray


def draw_visits(world: World, users: int, days: int, rng: np.random.Generator) -> Visits:
    """Return all that `users` users do in `days` days.

    The first draw is their tastes, `draw_mixtures(users, rng)`, so that the truth about them can be drawn again alone.
    """
    mixtures = np.cumsum(draw_mixtures(users, rng), axis=1)
    visitor, buying = _draw_visitors(users, rng)
    day = _draw_days(len(visitor), days, rng)
    start = day * _DAY_SECONDS + np.clip(rng.normal(17, 3.5, len(visitor)) * 3600, 0, _DAY_SECONDS - 3600).astype(int)
    leading = _draw_tastes(mixtures, visitor, rng)

    visit, bought = _draw_looks(visitor, buying, rng)
    own = _draw_tastes(mixtures, visitor[visit], rng)
    taste = np.where(rng.random(len(visit)) < _ONE_TASTE, leading[visit], own)
    item = draw_items(world, day[visit] // MONTH_DAYS, taste, rng)
    item = _after_earlier(world, visitor, start, visit, item, rng)
    # Bought before merely seen, so that the first of equal (visit, item) pairs is the one that counts.
    order = np.lexsort((~bought, item, visit))
    visit, item, bought = visit[order], item[order], bought[order]
    first = np.r_[True, (visit[1:] != visit[:-1]) | (item[1:] != item[:-1])]
    visit, item, bought = visit[first], item[first], bought[first]
    return _as_events(world, visitor, start, days, visit, item, bought, rng)


def _draw_visitors(users: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    buys = np.rint(rng.lognormal(_VISITS_LOG_MEDIAN, _VISITS_LOG_SPREAD, users)).clip(1, _VISITS_MOST).astype(int)
    browses = rng.poisson(_BROWSING_VISITS * buys)
    visitor = np.r_[np.repeat(np.arange(users), buys), np.repeat(np.arange(users), browses)]
    return visitor, np.arange(len(visitor)) < buys.sum()


def _draw_days(visits: int, days: int, rng: np.random.Generator) -> np.ndarray:
    weight = np.where(np.arange(days) % 7 >= 5, _WEEKEND, 1.0)
    return rng.choice(days, visits, p=weight / weight.sum())


def _draw_tastes(mixtures: np.ndarray, user: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    lot = rng.random(len(user))
    return np.minimum((mixtures[user] < lot[:, None]).sum(axis=1), TASTES - 1)


def _draw_looks(visitor: np.ndarray, buying: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the visit of each item that is looked at, and whether it is bought."""
    buys = np.bincount(visitor[buying])  # everybody buys
    habit = _BASKET_LOG_MEDIAN + rng.normal(0, _BASKET_HABIT, len(buys)) + _BASKET_WHEN_OFTEN * np.log(buys)
    basket = np.rint(rng.lognormal(habit[visitor], _BASKET_LOG_SPREAD)).clip(1, _BASKET_MOST)
    basket = np.where(buying, basket, 0).astype(int)
    idle = rng.poisson(np.where(buying, _BROWSED_ITEMS * basket, _BROWSING_LOOKS)) + ~buying
    visits = np.arange(len(buying))
    visit = np.r_[np.repeat(visits, basket), np.repeat(visits, idle)]
    return visit, np.arange(len(visit)) < basket.sum()


def _after_earlier(
    world: World,
    visitor: np.ndarray,
    start: np.ndarray,
    visit: np.ndarray,
    item: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the items, where some repeat what their user met on an earlier visit, or stay in the line of such one."""
    order = np.lexsort((visit, start[visit], visitor[visit]))
    who, call, met = visitor[visit[order]], visit[order], item[order]
    place = np.arange(len(order))
    opened = np.maximum.accumulate(np.where(np.r_[True, who[1:] != who[:-1]], place, 0))
    called = np.maximum.accumulate(np.where(np.r_[True, call[1:] != call[:-1]], place, 0))
    kind, lot = rng.random(len(order)), rng.random(len(order))
    again = (kind < _AGAIN) & (called > opened)
    companion = (kind >= _AGAIN) & (kind < _AGAIN + _COMPANION) & (place > opened)
    until = np.where(again, called, place)
    earlier = met[opened + ((until - opened) * lot).astype(int)]
    chosen = np.where(again, earlier, met)
    chosen[companion] = draw_companions(world, earlier[companion], rng)
    answer = np.empty_like(item)
    answer[order] = chosen
    return answer


def _as_events(
    world: World,
    visitor: np.ndarray,
    start: np.ndarray,
    days: int,
    visit: np.ndarray,
    item: np.ndarray,
    bought: np.ndarray,
    rng: np.random.Generator,
) -> Visits:
    looks = len(visit)
    seen = start[visit] + rng.integers(5, 1500, looks)
    pieces = 1 + (rng.random(looks) < _SECOND_PIECE) * rng.integers(1, 4, looks)
    query = np.minimum(rng.integers(0, 7, looks), 3)
    query[query == 3] = np.where(rng.random(int((query == 3).sum())) < 0.2, 3, 0)  # one query in ten is misspelt
    clicked = bought | (rng.random(looks) < _CLICK)
    carted = bought | (clicked & (rng.random(looks) < _IDLE_CART))
    returned = bought & (rng.random(looks) < _RETURN)
    first = np.r_[True, visit[1:] != visit[:-1]]
    searched = first & (rng.random(len(start))[visit] < _SEARCH)
    later = rng.integers(*_RETURN_DAYS, looks) * _DAY_SECONDS

    parts = [
        (searched, _SEARCHED, seen - 4),
        (np.ones(looks, bool), _VIEWED, seen),
        (clicked, _CLICKED, seen + 6),
        (carted, _CARTED, seen + 25),
        (bought, _BOUGHT, start[visit] + 1800),
        (returned & (start[visit] + 1800 + later < days * _DAY_SECONDS), _RETURNED, start[visit] + 1800 + later),
    ]
    look = np.concatenate([np.flatnonzero(mask) for mask, _, _ in parts])
    kind = np.concatenate([np.full(int(mask.sum()), code, np.int8) for mask, code, _ in parts])
    second = np.concatenate([times[mask] for mask, _, times in parts])
    month = np.minimum(start[visit[look]] // _DAY_SECONDS // MONTH_DAYS, world.months - 1)
    order = np.lexsort((item[look], kind, second, visitor[visit[look]]))
    look, kind, second, month = look[order], kind[order], second[order], month[order]
    paid = kind >= _BOUGHT
    return Visits(
        user=visitor[visit[look]],
        visit=visit[look],
        second=second,
        kind=kind,
        item=item[look],
        query=np.where(kind == _SEARCHED, query[look], -1),
        quantity=np.where(paid, np.where(kind == _RETURNED, 1, pieces[look]), 0),
        price=world.prices[month, item[look]],
    )
