"""The public side of demand: items by category, the weeks of the calendar, what is on offer, and the sites."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.core.errors import ContractBroken
from components.services.demand.params import DemandParams

Floats = npt.NDArray[np.float64]

ITEM_COLUMNS = ("item", "title", "category")
ELSEWHERE = ""
"""The site of what is sold at none of the shop's sites."""
AHEAD = 12
"""Weeks that are forecast."""
OFFER = "offer"
"""The placement of price promotions in the table of ads."""

_LEAST_WEEKS = 3
_MOST_SCORED = 4


@dataclass(frozen=True)
class Calendar:
    """Whole weeks of seven days, counted back from the last day of the window.

    Attributes:
        last: the last day of the last week.
        whole: `(weeks,)` whether every day of a week is in the window; the others are missing.
        blocks: the privacy blocks of the window, each with its days in it as a share of those of the longest.
    """

    last: date
    whole: npt.NDArray[np.bool_]
    blocks: Mapping[str, float]

    def __len__(self) -> int:
        return len(self.whole)

    @property
    def first(self) -> date:
        """The first day of the first week."""
        return self.last - timedelta(days=7 * len(self) - 1)

    @property
    def scored(self) -> int:
        """The last weeks, at most four, on which forecasts made before them are scored."""
        return max(1, min(_MOST_SCORED, len(self) // 3))

    def week_of(self, days: npt.NDArray[np.datetime64]) -> npt.NDArray[np.int64]:
        """Return the week of each day; below 0 or beyond the last where it is outside."""
        since = (days.astype("datetime64[D]") - np.datetime64(self.first, "D")).astype(np.int64)
        return np.asarray(since // 7)


@dataclass(frozen=True)
class Catalogue:
    """What is public, in the order of the tables. It never depends on what users bought.

    Attributes:
        table: item, title and category; a bundle carries it along.
        categories: `(categories,)` sorted paths of the level that is released.
        of_item: `(items,)` index of each item's category.
        sites: `(sites,)` the shop's, and `ELSEWHERE` last.
        calendar: the weeks of history.
        offered: `(weeks + AHEAD, items)` the share of each week in which an item is on offer.
        train: share of the users who are trained on.
    """

    table: pa.Table
    categories: tuple[str, ...]
    of_item: npt.NDArray[np.int64]
    sites: tuple[str, ...]
    calendar: Calendar
    offered: Floats
    train: float

    @cached_property
    def items(self) -> list[str]:
        """Identifiers, in order."""
        return self.table["item"].to_pylist()  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return self.table.num_rows


def read_catalogue(public: Path, params: DemandParams) -> Catalogue:
    """Read the public tables.

    Raises:
        ContractBroken: an item is listed twice, there is none, or the window has fewer than three whole weeks.
    """
    table = pq.read_table(public / "items.parquet", columns=list(ITEM_COLUMNS))
    if not len(table) or len(pc.unique(table["item"])) < len(table):
        raise ContractBroken(
            "The catalogue does not list every item once, or lists none",
            value=f"{len(table)} rows",
            next_step="Mend the items of the source and collect again.",
        )
    calendar = _calendar(pq.read_table(public / "calendar.parquet"), params.weeks)
    categories, of_item = level(table["category"].to_pylist(), params.categories)
    shares = dict(zip(*(pq.read_table(public / "shares.parquet")[name].to_pylist() for name in ("split", "share"))))  # noqa: B905
    return Catalogue(
        table=table,
        categories=categories,
        of_item=of_item,
        sites=(*params.sites, ELSEWHERE),
        calendar=calendar,
        offered=_offered(pq.read_table(public / "ads.parquet"), table["item"], calendar),
        train=float(shares["train"]),
    )


def level(paths: list[str | None], most: int) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    """Return the narrowest level of category paths with at most `most` of them, sorted, and each path's place in it."""
    parts = [tuple(part for part in (path or "").split("/") if part) for path in paths]
    depths = range(max(map(len, parts)), -1, -1)
    depth = next(depth for depth in depths if len({path[:depth] for path in parts}) <= most)
    names = sorted({"/".join(path[:depth]) for path in parts})
    position = {name: place for place, name in enumerate(names)}
    return tuple(names), np.array([position["/".join(path[:depth])] for path in parts], dtype=np.int64)


def _calendar(table: pa.Table, most: int) -> Calendar:
    days = np.array(table["day"].to_pylist(), dtype="datetime64[D]")
    if not len(days):
        raise _too_short(0)
    last = days.max()
    ago = np.unique((last - days).astype(np.int64))
    weeks, counts = np.unique(ago // 7, return_counts=True)
    full = weeks[(counts == 7) & (weeks < most)]
    if not len(full) or full.max() + 1 < _LEAST_WEEKS:
        raise _too_short(len(full))
    whole = np.isin(np.arange(full.max() + 1), full)[::-1]
    names, sizes = np.unique(table["block"].to_pylist(), return_counts=True)
    blocks = dict(zip(names.tolist(), (sizes / sizes.max()).tolist(), strict=True))
    return Calendar(last.item(), whole, blocks)


def _too_short(weeks: int) -> ContractBroken:
    return ContractBroken(
        "The window is too short to forecast demand from",
        value=f"{weeks} whole weeks",
        limit=f"at least {_LEAST_WEEKS}",
        next_step="Widen `window` in params.yaml, or leave demand out of `services`.",
    )


def _offered(ads: pa.Table, items: pa.ChunkedArray, calendar: Calendar) -> Floats:
    """Return the share of each week, from the first of history to the last forecast, in which an item is on offer."""
    shown = np.zeros((len(calendar) + AHEAD, len(items)))
    offers = ads.filter(pc.equal(ads["placement"], OFFER))
    place = pc.index_in(offers["item"], value_set=items.combine_chunks()).to_pylist()
    begun = datetime(calendar.first.year, calendar.first.month, calendar.first.day, tzinfo=UTC)
    starts = [begun + timedelta(weeks=week) for week in range(len(shown) + 1)]
    for item, first, last in zip(place, offers["starts"].to_pylist(), offers["ends"].to_pylist(), strict=True):
        if item is None:
            continue
        since = np.array([((first or starts[0]) - start) / timedelta(weeks=1) for start in starts[:-1]])
        until = np.array([((last or starts[-1]) - start) / timedelta(weeks=1) for start in starts[:-1]])
        shown[:, item] += np.clip(np.minimum(until, 1) - np.maximum(since, 0), 0, 1)
    return np.minimum(shown, 1)
