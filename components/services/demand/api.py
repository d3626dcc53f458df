"""What the shop's backend asks and is told: units to come, and what to order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from components.services.demand.bundle import Bundle
    from components.services.demand.nodes import Demand

MOST_WEEKS = 12

Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
Price = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]


class Request(BaseModel):
    """What is to be forecast, and for how long; with what an order costs, also what to order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    category: str | None = Field(None, min_length=1, max_length=500)
    """A category of the catalogue at any level, with everything below it."""
    item: str | None = Field(None, min_length=1, max_length=500)
    """One item; not together with a category. Without either it is the whole catalogue."""
    site: str | None = Field(None, min_length=1, max_length=500)
    """Only what is sold at this site."""
    by: Literal["week", "day"] = "week"
    weeks: int = Field(4, ge=1, le=MOST_WEEKS)
    quantiles: list[Share] = Field(default_factory=lambda: [0.1, 0.5, 0.9], min_length=1, max_length=9)
    stock: Amount = 0.0
    """Units on hand and under way."""
    lead_time_days: int = Field(7, ge=1, le=7 * MOST_WEEKS)
    """Days until what is ordered now has arrived and can be ordered again."""
    holding_cost: Price = 1.0
    """Of a unit that is left over after that time."""
    shortage_cost: Price = 4.0
    """Of a unit that is missing in that time."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.category is not None and self.item is not None:
            raise ValueError("name a category or an item, not both")
        return self


class Period(BaseModel):
    """One week or day."""

    model_config = ConfigDict(frozen=True)

    start: date
    mean: float
    quantiles: list[float]
    """In the order of the request."""


class Reorder(BaseModel):
    """What to order now, by the newsvendor's rule."""

    model_config = ConfigDict(frozen=True)

    quantity: float
    up_to: float
    """Units to have on hand and under way once it is ordered."""
    service_level: float
    """The quantile of demand until then that this is."""
    demand_mean: float
    demand_deviation: float
    expected_cost: float
    """Of what will be left over and missing, in the unit of the request's costs."""


class Because(BaseModel):
    """Where the figures come from."""

    model_config = ConfigDict(frozen=True)

    history: list[float | None]
    """Units of the latest weeks, from the oldest; null where one is missing. They are those that were released, noise
    included, with what the bounds left out put back, for all users; of an item its share of them."""
    privacy_noise: float
    """Standard deviation of the noise on each of them, units."""
    bounded_share: float
    """Share of the units that the bound on each user's part leaves; the rest is put back by what was released of it."""
    variance: dict[str, float]
    """Shares of the variance of the first week: what is not known of the level now, its walk, what is irregular about a
    week, of the shares of items, and of what the bounds left out."""


class Answer(BaseModel):
    """Units of all users, not bounded, from the day after the last day of history on."""

    model_config = ConfigDict(frozen=True)

    about: str
    periods: list[Period]
    reorder: Reorder
    because: Because
    model_version: int | None = None
    epsilon: float | None = None


EXAMPLE = {"weeks": 4, "by": "week", "stock": 0, "lead_time_days": 7}


def load(folder: Path) -> Bundle:
    """Read a bundle whole into memory."""
    from components.services.demand.bundle import read_bundle

    return read_bundle(folder)


def predict(bundle: Bundle, request: Request) -> Answer:
    """Return the forecast, and the order.

    Raises:
        Unanswerable: the version does not know the category, the item or the site.
    """
    from components.services.demand.newsvendor import order
    from components.services.demand.nodes import Demand, node_of

    demand = Demand(bundle, node_of(bundle, category=request.category, item=request.item, site=request.site))
    mean, deviation = demand.of(_days(demand, request.lead_time_days))
    costs = {"holding": request.holding_cost, "shortage": request.shortage_cost}
    proposal = order(mean, deviation, stock=request.stock, **costs)
    return Answer(
        about=demand.node.label,
        periods=_periods(demand, request),
        reorder=Reorder(
            quantity=proposal.quantity,
            up_to=proposal.up_to,
            service_level=proposal.service_level,
            demand_mean=mean,
            demand_deviation=deviation,
            expected_cost=proposal.expected_cost,
        ),
        because=_because(demand),
    )


def story(ask: Callable[[Mapping[str, Any]], dict[str, Any]]) -> list[str]:
    """Return what the whole shop may sell next, and what to order, as lines of text."""
    answer = ask({"weeks": 2})
    lines = [
        f"  week of {period['start']}: {period['mean']:,.0f} units, "
        f"between {period['quantiles'][0]:,.0f} and {period['quantiles'][2]:,.0f} in four weeks of five"
        for period in answer["periods"]
    ]
    order = answer["reorder"]
    return [
        "The shop may sell",
        *lines,
        f"  with nothing in stock: order {order['quantity']:,.0f} units for the next 7 days",
        f"(version {answer['model_version']}, ε = {answer['epsilon']:.3g})",
    ]


def _days(demand: Demand, days: int) -> Any:
    """Return the part of each week's units, `(MOST_WEEKS,)`, that is of the next `days` days."""
    import numpy as np

    (whole, rest), parts = divmod(days, 7), np.zeros(MOST_WEEKS)
    parts[:whole] = 1
    if rest:
        parts[whole] = _of_days(demand)[:rest].sum()
    return parts


def _of_days(demand: Demand) -> Any:
    """Return `(7,)` the share of each day in a week of the forecast, from its first."""
    import numpy as np

    begins = demand.bundle.config.last + timedelta(days=1)
    return np.roll(demand.bundle.weekday, -begins.weekday())


def _periods(demand: Demand, request: Request) -> list[Period]:
    import numpy as np

    bundle = demand.bundle
    begins = bundle.config.last + timedelta(days=1)
    share = _of_days(demand) if request.by == "day" else np.ones(1)
    found = []
    for week in range(request.weeks):
        for place, part in enumerate(share):
            mean, deviation = demand.of(part * np.eye(MOST_WEEKS)[week])
            start = begins + timedelta(days=7 * week + place)
            found.append(Period(start=start, mean=mean, quantiles=_quantiles(mean, deviation, request.quantiles)))
    return found


def _quantiles(mean: float, deviation: float, asked: list[float]) -> list[float]:
    from statistics import NormalDist

    return [max(0.0, mean + deviation * NormalDist().inv_cdf(level)) for level in asked]


def _because(demand: Demand) -> Because:
    import numpy as np

    bundle, parts = demand.bundle, demand.node.parts
    shown = bundle.history[-MOST_WEEKS:]
    history = np.where(np.isfinite(shown).all(axis=1), np.nan_to_num(shown) @ parts, np.nan)
    categories = len(bundle.config.categories)
    noise = bundle.config.sigma["weeks"] * float(np.linalg.norm(parts[:categories]))
    first = bundle.future.mean[0, :categories]
    whole = float(first @ bundle.lift.factor)
    _, deviation = demand.of(np.eye(MOST_WEEKS)[0])
    variance = max(deviation**2, 1e-12)
    level, walk = (float(parts @ each @ parts) for each in (bundle.future.persistent, bundle.future.walk))
    doubt = demand.node.doubt * float(demand.mean[0]) ** 2
    found = {"level": level / variance, "walk": walk / variance, "item shares": doubt / variance}
    found["bounds"] = demand.of_lift(np.eye(MOST_WEEKS)[0]) / variance
    return Because(
        history=[None if np.isnan(units) else float(units) for units in history],
        privacy_noise=noise,
        bounded_share=float(first.sum() / whole) if whole > 0 else 1.0,
        variance=found | {"irregular": max(0.0, 1 - sum(found.values()))},
    )
