"""What privacy will cost in quality: the answer of `jali plan`, from measured curves.

The expected value is the mean over the data sets. The interval reaches from the lowest that a training on any of them
may keep to the highest. It holds for trainings on data like these; nothing measured says how far another kind of shop
may lie from all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

from components.core.errors import Misconfigured
from components.evaluation.curves import CONFIDENCE, Curves, Surface, best_runs


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Range(_Part):
    """An expected value, and where a training may lie."""

    expected: float
    low: float
    high: float


class At(_Part):
    """What is kept at one ε: by the best candidate, and by DP popularity, the floor."""

    epsilon: float
    kept: Range
    floor: Range
    within: tuple[str, ...]
    """Data sets whose measured users, items and ε hold it; the others' surfaces are extended."""
    extrapolated: tuple[str, ...]
    """What lies outside of all that was measured; empty where one data set holds everything."""


class Needed(_Part):
    """Users of a shop in which a training keeps `kept`; None where that is beyond the users that were measured."""

    kept: float
    expected: int | None
    at_best: int | None
    at_worst: int | None
    most_measured: int


class Answer(_Part):
    """The answer to one question."""

    users: int
    items: int
    asked: At
    others: tuple[At, ...]
    """The same at each measured ε."""
    needed: Needed
    """At the ε that was asked."""
    sources: dict[str, dict[str, tuple[float, float]]]
    """Measured range of users, items and epsilon by data set."""
    confidence: float = CONFIDENCE
    metric: str = "ndcg@100 ÷ that of EASE trained on the same users without privacy"


def answer(curves: Curves, users: int, items: int, epsilon: float, *, target: float = 0.9) -> Answer:
    """Return what a training of `epsilon` will keep in a shop of `users` users and `items` items.

    Args:
        curves: what was measured.
        users: of the whole shop, of whom a part trains.
        items: of the catalogue.
        epsilon: of the whole training, its count and all its candidates included.
        target: the share kept for which `needed` tells the users.

    Raises:
        Misconfigured: a figure is out of range or not finite; the message names its option.
    """
    _demand(users >= 1, "A shop has users", "--users", users, "1 or more", "6000")
    _demand(items >= 1, "A shop has items", "--items", items, "1 or more", "1000")
    _demand(0 < epsilon < math.inf, "Privacy has a positive ε", "--epsilon", epsilon, "a finite number above 0", "3")
    _demand(0 < target < 1, "The quality to reach is a share", "--target", target, "above 0, below 1", "0.9")
    return Answer(
        users=users,
        items=items,
        asked=_at(curves, users, items, epsilon),
        others=tuple(_at(curves, users, items, other) for other in curves.epsilons),
        needed=_needed(curves, items, epsilon, target),
        sources={name: surface.ranges for name, surface in curves.best.items()},
    )


def kept(curves: Curves, users: float, items: float, epsilon: float) -> Range:
    """Return what the best candidate keeps; each of the three figures grows with users and with ε, or stays.

    None is below the floor's: where no personal model beats it the floor goes, and beyond what was measured the two
    surfaces are extended each by itself.
    """
    best, floor = (_over(of.values(), users, items, epsilon) for of in (curves.best, curves.floor))
    return Range(**{name: max(getattr(best, name), getattr(floor, name)) for name in ("expected", "low", "high")})


def held_out(curves: Curves, axis: Literal["users", "epsilon", "source"]) -> list[tuple[Range, float]]:
    """Return for measured trainings what was told of them without their line of `axis`, and what they kept.

    Each inner line of each data set is left out in turn; of `source`, a whole data set, whose trainings are then looked
    up where the others measured. Told and kept are of the cell's best candidate.
    """
    pairs: list[tuple[Range, float]] = []
    for source in curves.sources:
        own = [point for point in curves.points if point.source == source]
        lines = sorted({getattr(point, axis) for point in own})
        for line in lines if axis == "source" else lines[1:-1]:
            held = [point for point in own if getattr(point, axis) == line]
            rest = Curves(point for point in curves.points if point not in held)
            for (users, items, epsilon), runs in best_runs(held).items():
                at = _at(rest, int(users), int(items), epsilon)
                if not at.extrapolated:
                    pairs += [(at.kept, run) for run in runs]
    return pairs


def _at(curves: Curves, users: int, items: int, epsilon: float) -> At:
    asked = {"users": users, "items": items, "epsilon": epsilon}
    outside = {
        source: tuple(name for name, (least, most) in surface.ranges.items() if not least <= asked[name] <= most)
        for source, surface in curves.best.items()
    }
    return At(
        epsilon=epsilon,
        kept=kept(curves, users, items, epsilon),
        floor=_over(curves.floor.values(), users, items, epsilon),
        within=tuple(source for source, names in outside.items() if not names),
        extrapolated=min(outside.values(), key=len),
    )


def _over(surfaces: Iterable[Surface], users: float, items: float, epsilon: float) -> Range:
    """Return mean and reach over the data sets.

    Below all that was measured nothing bounds a training from below, and above it nothing does from above.
    """
    every = list(surfaces)
    values = [surface.at(users, items, epsilon) for surface in every]
    low = min(surface.low(users, items, epsilon) for surface in every)
    high = max(surface.high(users, items, epsilon) for surface in every)
    asked = {"users": users, "epsilon": epsilon}
    if any(asked[name] < min(surface.ranges[name][0] for surface in every) for name in asked):
        low = 0.0
    if any(asked[name] > max(surface.ranges[name][1] for surface in every) for name in asked):
        high = max(1.0, high)
    return Range(expected=sum(values) / len(values), low=max(0.0, low), high=high)


def _needed(curves: Curves, items: int, epsilon: float, target: float) -> Needed:
    most = int(max(surface.ranges["users"][1] for surface in curves.best.values()))

    def first(figure: Callable[[Range], float]) -> int | None:
        low, high = 0, most
        if figure(kept(curves, high, items, epsilon)) < target:
            return None
        while high - low > 1:
            middle = (low + high) // 2
            enough = figure(kept(curves, middle, items, epsilon)) >= target
            low, high = (low, middle) if enough else (middle, high)
        return high

    return Needed(
        kept=target,
        expected=first(lambda found: found.expected),
        at_best=first(lambda found: found.high),
        at_worst=first(lambda found: found.low),
        most_measured=most,
    )


def _demand(holds: bool, what: str, option: str, value: float, limit: str, example: str) -> None:
    if not holds:
        next_step = f"Say {option} {example}, for example."
        raise Misconfigured(f"{what}: {option} does not fit", value=value, limit=limit, next_step=next_step)
