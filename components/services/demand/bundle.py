"""A forecast in a folder: typed config, released units, forecasts and the public catalogue. Nothing in it runs code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field

from components.core.errors import ContractBroken
from components.services import bundles
from components.services.demand.data import AHEAD, ITEM_COLUMNS, Catalogue, Floats
from components.services.demand.forecast import Forecast, reconciled
from components.services.demand.lift import Lift, lift_of
from components.services.demand.release import Released
from components.services.demand.rows import PARTS

ITEMS = "items.parquet"
_FIELDS = ("mean", "persistent", "walk", "irregular")

Forecaster: TypeAlias = Callable[[Floats, Floats, int, Floats], Forecast]
"""`(history (weeks, series), sigma (series,), weeks ahead, offered (weeks + ahead, series)) -> base forecast`; sites'
series come after the categories'."""


class Config(BaseModel):
    """What kind of bundle it is, and how its arrays are to be read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["naive", "state_space"]
    categories: tuple[str, ...]
    sites: tuple[str, ...]
    last: date
    """The last day of history."""
    scored: int = Field(ge=1)
    """Weeks at the end of history that `past` forecasts from what was before them."""
    users: int = Field(ge=1)
    """Lower bound of the users whose units these are."""
    train: float = Field(gt=0, le=1)
    """Their share of all users."""
    sigma: dict[str, float]
    """Deviation of the noise by part, in units."""
    format: Literal[1] = 1


@dataclass(frozen=True)
class Bundle:
    """A bundle in memory.

    Attributes:
        config: see there.
        released: noised units of the users who were trained on, bounded, by part.
        history: `(weeks, categories + sites)` of them, NaN where a week is missing.
        future: forecast of the next weeks, of the same users' bounded units.
        past: forecast of the last `config.scored` weeks, from what was before them.
        of_item: `(items,)` index of each item's category.
        table: the public items.
    """

    config: Config
    released: Released
    history: Floats
    future: Forecast
    past: Forecast
    of_item: npt.NDArray[np.int64]
    table: pa.Table

    @cached_property
    def position(self) -> dict[str, int]:
        """Place by item."""
        return {item: place for place, item in enumerate(self.table["item"].to_pylist())}

    @cached_property
    def paths(self) -> npt.NDArray[np.str_]:
        """`(items,)` category paths."""
        return np.array([path or "" for path in self.table["category"].to_pylist()], dtype=np.str_)

    @cached_property
    def within(self) -> Floats:
        """`(items,)` the share of each item in its category; they add up to 1 in each."""
        return shares_within(self.released, self.of_item, len(self.config.categories))

    @cached_property
    def lift(self) -> Lift:
        """By how much bounded units fall short."""
        return lift_of(self.released)

    @cached_property
    def weekday(self) -> Floats:
        """`(7,)` share of each day in a week, from Monday."""
        sold, sigma = self.released.parts["weekdays"], self.released.sigma["weekdays"]
        signal = max(float(sold.sum()), 1.0)
        sure = signal**2 / (signal**2 + 7**2 * 7 * sigma**2)  # towards even days where noise is all there is
        shares = np.maximum(sold, 0) / max(np.maximum(sold, 0).sum(), 1e-9)
        return np.asarray(sure * shares + (1 - sure) / 7)

    def expected(self, first: date, weeks: int) -> Floats:
        """Return what was expected of each of `weeks` weeks from `first` on, `(weeks, categories)`, a user, bounded.

        A week of history is as it was forecast before; the last forecast stands for what is later than all.
        """
        known = np.vstack([self.past.mean, self.future.mean])[:, : len(self.config.categories)]
        begun = self.config.last - timedelta(days=7 * self.config.scored - 1)
        place = np.clip((first - begun).days // 7 + np.arange(weeks), 0, len(known) - 1)
        return np.asarray(known[place] / self.config.users)


def shares_within(released: Released, of_item: npt.NDArray[np.int64], categories: int) -> Floats:
    """Return `(items,)` shares of each item in its category from noised totals; what noise hides is small."""
    sold, sigma = released.parts["items"], max(released.sigma["items"], 0.5)
    positive = np.where(sold > sigma, sold, sigma * np.exp(np.clip(sold / sigma - 1, -20, 0)))
    total = np.bincount(of_item, weights=positive, minlength=categories)
    return np.asarray(positive / total[of_item])


def bundle_of(
    kind: Literal["naive", "state_space"],
    released: Released,
    catalogue: Catalogue,
    population: int,
    forecaster: Forecaster,
) -> Bundle:
    """Return a forecaster's bundle: forecasts from the whole history, and from that before the scored weeks."""
    calendar, categories = catalogue.calendar, len(catalogue.categories)
    history = np.hstack([released.parts["weeks"], released.parts["sites"]])
    history[~calendar.whole] = np.nan
    sigma = np.repeat([released.sigma["weeks"], released.sigma["sites"]], [categories, len(catalogue.sites)])
    offered = on_offer(released, catalogue)

    def ahead_of(weeks: int, ahead: int) -> Forecast:
        base = forecaster(history[:weeks], sigma, ahead, offered[: weeks + ahead])
        return reconciled(base, categories)

    config = Config(
        kind=kind,
        categories=catalogue.categories,
        sites=catalogue.sites,
        last=calendar.last,
        scored=calendar.scored,
        users=population,
        train=catalogue.train,
        sigma=released.sigma,
    )
    weeks, past = len(calendar), len(calendar) - calendar.scored
    future, before = ahead_of(weeks, AHEAD), ahead_of(past, calendar.scored)
    return Bundle(config, released, history, future, before, catalogue.of_item, catalogue.table)


def on_offer(released: Released, catalogue: Catalogue) -> Floats:
    """Return the share of each series' units that is on offer, `(weeks + AHEAD, categories + sites)`."""
    categories, sites = len(catalogue.categories), len(catalogue.sites)
    within = shares_within(released, catalogue.of_item, categories)
    members = np.zeros((len(within), categories))
    members[np.arange(len(within)), catalogue.of_item] = within
    by_category = np.round(catalogue.offered @ members, 9)  # a search for parameters must not follow the order of items
    weight = np.maximum(released.parts["weeks"].sum(axis=0), 0)
    everywhere = by_category @ weight / max(weight.sum(), 1e-9)
    return np.hstack([by_category, np.repeat(everywhere[:, None], sites, axis=1)])


def write_bundle(out: Path, bundle: Bundle) -> None:
    """Write `bundle` to the folder `out`."""
    arrays = {f"released.{name}": bundle.released.parts[name] for name in PARTS}
    for when, forecast in (("future", bundle.future), ("past", bundle.past)):
        arrays |= {f"{when}.{name}": array for name, array in forecast.arrays.items()}
    arrays |= {"history": bundle.history, "of_item": bundle.of_item}
    bundles.write(out, bundle.config, arrays, {ITEMS: bundle.table})


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle into memory. Its digest is the caller's to check.

    Raises:
        ContractBroken: it is not a bundle of this service, or its parts do not belong together.
    """
    config, arrays, table = bundles.read(folder, Config, lambda: pq.read_table(folder / ITEMS), "demand")
    series = len(config.categories) + len(config.sites)
    wanted = {"of_item", "history", *(f"released.{name}" for name in PARTS)}
    wanted |= {f"{when}.{name}" for when in ("future", "past") for name in _FIELDS}
    whole = wanted <= set(arrays) and set(ITEM_COLUMNS) <= set(table.column_names)
    if not whole or arrays["future.mean"].shape != (AHEAD, series) or len(arrays["of_item"]) != table.num_rows:
        raise ContractBroken(f"{folder} is not a whole bundle of the service demand", next_step=bundles.NEXT_STEP)
    future, past = (Forecast(*(arrays[f"{when}.{name}"] for name in _FIELDS)) for when in ("future", "past"))
    released = Released({name: arrays[f"released.{name}"] for name in PARTS}, config.sigma)
    return Bundle(config, released, arrays["history"], future, past, arrays["of_item"], table)
