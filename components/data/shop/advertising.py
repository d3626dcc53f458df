"""The simulated shop's ads: what is booked, how it is shown, and the known probability of every click.

The shop shows ads without looking at the user, each by the root of its bid, and draws the places on a page evenly: so
neither the ad nor the position depends on the user, and P(click) is logistic in the ad's quality, the user's liking of
its item, placement, time and position (the examination of a place, as in Craswell et al. 2008, in its logit).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from components.data.shop.tastes import MONTH_DAYS, World
from components.data.shop.visits import Visits
from components.data.tables import ADS

PLACEMENTS = ("home", "listing", "detail")
OFFER = "offer"
"""The placement of price promotions: an item at a lower price for a month, which is shown to everybody at its price."""
PLACES = np.array([4, 4, 2])
"""Ads on one page of each placement."""

_ADS, _CAMPAIGNS, _ALWAYS = 300, 24, 8  # a third of the campaigns has no end
_START = datetime(2024, 1, 1, tzinfo=UTC)
_DAY = 86_400
_FURTHER_PAGES = 1.2
_BASE, _QUALITY, _CAMPAIGN, _LIKING, _MOST_LIKING = -3.2, 0.5, 0.3, 0.6, 2.5
_PLACEMENT = np.array([0.0, 0.25, 0.5])
_BY_POSITION = -0.7  # for each e-fold of the position
_EVENING, _WEEKEND = 0.25, 0.2


@dataclass(frozen=True)
class Adverts:
    """What is booked, and the truth about it.

    Attributes:
        table: in the canonical schema: the ads in the order of the arrays below, and the offers after them.
        item: `(ads,)` index of the advertised item.
        placement: `(ads,)` index into `PLACEMENTS`.
        quality: `(ads,)` what the ad and its campaign add to the logit of a click.
        ladder: `(days · placements · ads,)` the cumulative shares of the ads on each day in each placement, lifted by
            the index of the pair.
    """

    table: pa.Table
    item: np.ndarray
    placement: np.ndarray
    quality: np.ndarray
    ladder: np.ndarray


@dataclass(frozen=True)
class Impressions:
    """Ads that were shown, columns of equal length `(impressions,)`, in the order of visits, pages and positions.

    Attributes:
        user: index among the users of the group.
        visit: index of the visit.
        second: seconds since the first day began.
        ad: index into the ads.
        position: from 1, the first place of its page.
        probability: of a click: no model that knows all can rank or price better than by it.
        clicked: what was drawn from it.
        clicked_after: seconds from impression to click.
    """

    user: np.ndarray
    visit: np.ndarray
    second: np.ndarray
    ad: np.ndarray
    position: np.ndarray
    probability: np.ndarray
    clicked: np.ndarray
    clicked_after: np.ndarray


def make_adverts(world: World, days: int, rng: np.random.Generator) -> Adverts:
    """Return the ads of the shop over `days` days, and its offers."""
    number = np.arange(_ADS)
    campaign, placement = number % _CAMPAIGNS, number // _CAMPAIGNS % len(PLACEMENTS)
    liked = np.sqrt(world.tastes.mean(axis=0))
    item = rng.choice(len(liked), _ADS, p=liked / liked.sum())
    quality = rng.normal(0, _QUALITY, _ADS) + rng.normal(0, _CAMPAIGN, _CAMPAIGNS)[campaign]
    bid = np.rint(np.exp(rng.normal(np.log(25), 0.6, _ADS))).clip(5, 200).astype(np.int64)
    first = rng.integers(-15, max(1, days - 7), _CAMPAIGNS)
    last = np.minimum(first + rng.integers(14, 46, _CAMPAIGNS), days)
    first = np.maximum(first, 0)
    always = np.arange(_CAMPAIGNS) < _ALWAYS

    day = np.arange(days)[:, None, None]
    open_ = always[campaign] | ((first[campaign] <= day) & (day < last[campaign]))
    shares = np.where(open_ & (placement == np.arange(len(PLACEMENTS))[None, :, None]), np.sqrt(bid), 0.0)
    steps = np.cumsum(shares, axis=2)
    steps /= steps[:, :, -1:]
    ladder = (steps.reshape(-1, _ADS) + np.arange(days * len(PLACEMENTS))[:, None]).ravel()
    starts, ends = (
        [None if always[c] else _moment(bound[c]) for c in campaign] for bound in (first, np.maximum(last, first + 1))
    )
    names = world.catalogue.table["item"].to_pylist()
    booked = pa.table(
        {
            "ad": [f"A{n:04d}" for n in number],
            "item": [names[i] for i in item],
            "campaign": [f"campaign-{c + 1:02d}" for c in campaign],
            "placement": [PLACEMENTS[p] for p in placement],
            "starts": starts,
            "ends": ends,
            "bid": bid,
        },
        schema=ADS,
    )
    return Adverts(pa.concat_tables([booked, _offers(world)]), item, placement, quality, ladder)


def draw_impressions(
    adverts: Adverts, world: World, mixtures: np.ndarray, visits: Visits, rng: np.random.Generator
) -> Impressions:
    """Return the ads shown on `visits`, and which of them were clicked.

    A visit has a page of placement home, and some further ones of listings and details.

    Args:
        adverts: what is booked.
        world: what is true.
        mixtures: `(users, tastes)` of the users whose visits these are.
        visits: as drawn.
        rng: used for nothing else.
    """
    calls = int(visits.visit.max()) + 1
    opening = np.empty(calls, np.int64)
    opening[visits.visit[::-1]] = np.arange(len(visits.visit))[::-1]  # the last that is written is the first in time
    owner, entered = visits.user[opening], visits.second[opening]
    further = rng.poisson(_FURTHER_PAGES, calls)
    of = np.r_[np.arange(calls), np.repeat(np.arange(calls), further)]
    turn = np.arange(len(of) - calls) - np.repeat(np.cumsum(further) - further, further)
    placement = np.r_[np.zeros(calls, int), rng.integers(1, len(PLACEMENTS), len(turn))]
    later = 20 + 300 * turn + rng.integers(0, 300, len(turn))
    second = entered[of] + np.r_[np.full(calls, -1), later]

    places = PLACES[placement]
    page = np.repeat(np.arange(len(of)), places)
    place = np.arange(len(page)) - np.repeat(np.cumsum(places) - places, places)
    # One lot for a page, moved on by even steps: as many different ads as there are places, each by its share.
    lot = (rng.random(len(of))[page] + place) / places[page] * (1 - 1e-9)
    pair = second[page] // _DAY * len(PLACEMENTS) + placement[page]
    pair = np.minimum(pair, len(adverts.ladder) // _ADS - len(PLACEMENTS) + placement[page])
    ad = np.minimum(np.searchsorted(adverts.ladder, pair + lot, side="right") - pair * _ADS, _ADS - 1)
    ad = ad[np.lexsort((rng.random(len(page)), page))]
    user, second = owner[of[page]], second[page]
    probability = _click(adverts, world, mixtures, user, second, ad, place + 1)
    return Impressions(
        user=user,
        visit=of[page],
        second=second,
        ad=ad,
        position=place + 1,
        probability=probability,
        clicked=rng.random(len(page)) < probability,
        clicked_after=rng.integers(2, 20, len(page)),
    )


def _click(
    adverts: Adverts,
    world: World,
    mixtures: np.ndarray,
    user: np.ndarray,
    second: np.ndarray,
    ad: np.ndarray,
    position: np.ndarray,
) -> np.ndarray:
    """Return P(click) of each impression."""
    tastes = world.tastes[:, adverts.item]
    liking = np.log(mixtures @ tastes / tastes.mean(axis=0)).clip(-_MOST_LIKING, _MOST_LIKING)
    hour, weekday = second % _DAY / 3600, second // _DAY % 7
    logit = _BASE + adverts.quality[ad] + _LIKING * liking[user, ad] + _PLACEMENT[adverts.placement[ad]]
    logit += _BY_POSITION * np.log(position) + _EVENING * np.cos((hour - 20) * np.pi / 12) + _WEEKEND * (weekday >= 5)
    return np.asarray(1 / (1 + np.exp(-logit)))


def _offers(world: World) -> pa.Table:
    """Return a row for each month in which an item is cheaper: its campaign says by how much."""
    full = np.asarray(world.catalogue.table["price"].to_numpy())
    month, item = np.nonzero(world.prices < full)
    percent = np.rint((1 - world.prices[month, item] / full[item]) * 10).astype(int) * 10
    names = world.catalogue.table["item"].to_pylist()
    return pa.table(
        {
            "ad": [f"O{m:02d}-{names[i]}" for m, i in zip(month, item, strict=True)],
            "item": [names[i] for i in item],
            "campaign": [f"{p}% off" for p in percent],
            "placement": [OFFER] * len(item),
            "starts": [_moment(int(m) * MONTH_DAYS) for m in month],
            "ends": [_moment(int(m + 1) * MONTH_DAYS) for m in month],
            "bid": pa.nulls(len(item), pa.int64()),
        },
        schema=ADS,
    )


def _moment(day: int) -> datetime:
    return _START + timedelta(days=int(day))
