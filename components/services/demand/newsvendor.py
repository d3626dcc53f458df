"""How much to order: the newsvendor's quantile of demand until an order arrives, and what it is expected to cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

_NORMAL = NormalDist()


@dataclass(frozen=True)
class Order:
    """A proposal. Units, and cost in the unit of the costs that were given.

    Attributes:
        service_level: the quantile of demand that is to be met, shortage ÷ (shortage + holding).
        up_to: stock, with what is under way, to have at the moment of ordering.
        quantity: what to order now.
        expected_cost: holding · E(left over) + shortage · E(missing) once it is ordered.
    """

    service_level: float
    up_to: float
    quantity: float
    expected_cost: float


def order(mean: float, deviation: float, *, stock: float, holding: float, shortage: float) -> Order:
    """Return the order of least expected cost for normal demand (Arrow, Harris & Marschak 1951; Porteus 2002, ch. 1).

    Args:
        mean, deviation: of demand over the lead time, units.
        stock: units on hand and under way.
        holding: cost of a unit that is left over.
        shortage: cost of a unit that is missing.
    """
    level = shortage / (shortage + holding)
    up_to = max(0.0, mean + deviation * _NORMAL.inv_cdf(min(max(level, 1e-9), 1 - 1e-9)))
    quantity = float(math.ceil(max(0.0, up_to - stock) - 1e-9))
    return Order(level, up_to, quantity, cost(mean, deviation, stock + quantity, holding=holding, shortage=shortage))


def cost(mean: float, deviation: float, stock: float, *, holding: float, shortage: float) -> float:
    """Return holding · E(stock − D)⁺ + shortage · E(D − stock)⁺ for D ~ N(mean, deviation²)."""
    if deviation <= 0:
        return holding * max(stock - mean, 0) + shortage * max(mean - stock, 0)
    z = (stock - mean) / deviation
    missing = deviation * (_NORMAL.pdf(z) - z * (1 - _NORMAL.cdf(z)))
    return holding * (stock - mean + missing) + shortage * missing
