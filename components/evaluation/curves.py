"""The measured curves: what privacy kept of the quality, by data set, users, items and ε.

A surface is what one data set kept: at each measured cell the mean of the best candidate there, made monotone in ε and,
for the best, in users (more of either is never told to keep less), and linear between cells in the logarithms. Beyond
its users a surface goes on along users · ε, which is what signal over noise depends on; beyond its items or its ε it
stays level.

How wrong it may be has two parts. Trainings differ by their noise: that is how far the runs of the cells with about as
much users · ε lie from the surface. And between two cells with the values L and U the curve may bow: at the share s of
the way it may lie s(1 − s)|U − L| off the straight line, a quarter of their difference in the middle. A growing curve
keeps within that, unless most of its growth lies in one part of the way; and the bounds grow where the line does.
"""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.core.errors import ContractBroken

CURVES = Path(__file__).with_name("curves.csv")
"""Written by bench/curves.py."""
CONFIDENCE = 0.95
FLOOR = "popularity"

Floats = npt.NDArray[np.float64]
_Cell = tuple[float, float, float]


@dataclass(frozen=True)
class Point:
    """One measured training: what `candidate` kept of the ndcg@100 that EASE has without privacy."""

    source: str
    candidate: str
    users: int
    items: int
    epsilon: float
    run: int
    ndcg_at_100: float
    kept: float
    simulator: int | None = None
    """Version of the simulator, where the data set is simulated."""


COLUMNS = tuple(field.name for field in fields(Point))


@dataclass(frozen=True)
class Surface:
    """One data set's values on a grid; monotone along users and ε.

    Attributes:
        users, items, epsilons: ascending, at least one each.
        middle: `(users, items, epsilons)` share kept.
        least, most: likewise, what a training keeps with `CONFIDENCE`.
    """

    users: Floats
    items: Floats
    epsilons: Floats
    middle: Floats
    least: Floats
    most: Floats

    def at(self, users: float, items: float, epsilon: float) -> float:
        """Return the share kept; see the module for what lies outside of the grid."""
        return self._look_up(self.middle, 0, users, items, epsilon)

    def low(self, users: float, items: float, epsilon: float) -> float:
        """Return what a training keeps at least, with `CONFIDENCE` in trainings on this data set."""
        return self._look_up(self.least, -1, users, items, epsilon)

    def high(self, users: float, items: float, epsilon: float) -> float:
        """Return what a training keeps at most, likewise."""
        return self._look_up(self.most, 1, users, items, epsilon)

    def _look_up(self, value: Floats, bow: int, users: float, items: float, epsilon: float) -> float:
        inside = float(np.clip(users, self.users[0], self.users[-1]))
        for axis, where in zip(self._axes, (inside, items, epsilon * users / inside), strict=True):
            value = _between(axis, value, where, bow)
        return float(value)

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """The least and the most users, items and epsilon that were measured."""
        return {
            name: (float(axis[0]), float(axis[-1]))
            for name, axis in zip(("users", "items", "epsilon"), self._axes, strict=True)
        }

    @property
    def _axes(self) -> tuple[Floats, Floats, Floats]:
        return self.users, self.items, self.epsilons


class Curves:
    """All that was measured."""

    def __init__(self, points: Iterable[Point]) -> None:
        self.points = tuple(points)
        if not self.points:
            raise ContractBroken("No curve was measured", next_step="Run `python bench/curves.py`.")

    @classmethod
    def read(cls, path: Path = CURVES) -> Curves:
        """Read what bench/curves.py wrote.

        Raises:
            ContractBroken: it is missing, or it is no such table.
        """
        told = "Write it again: `python bench/curves.py --out components/evaluation/curves.csv`."
        try:
            with path.open(newline="") as file:
                return cls(_point(row) for row in csv.DictReader(file))
        except FileNotFoundError as error:
            raise ContractBroken(f"The measured curves {path.name} are missing", next_step=told) from error
        except (KeyError, TypeError, ValueError) as error:
            raise ContractBroken(f"The measured curves {path.name} cannot be read", next_step=told) from error

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """Names of the data sets, in the order of the table."""
        return tuple(dict.fromkeys(point.source for point in self.points))

    @cached_property
    def epsilons(self) -> tuple[float, ...]:
        """Every measured ε, ascending."""
        return tuple(sorted({point.epsilon for point in self.points}))

    @cached_property
    def best(self) -> dict[str, Surface]:
        """What the best candidate keeps, the floor included, by data set."""
        return {source: _surface([point for point in self.points if point.source == source]) for source in self.sources}

    @cached_property
    def floor(self) -> dict[str, Surface]:
        """What DP popularity keeps, by data set. With more users EASE gains and popularity does not: it may fall."""
        floor = [point for point in self.points if point.candidate == FLOOR]
        return {
            source: _surface([point for point in floor if point.source == source], axes=(2,)) for source in self.sources
        }


def _surface(points: Sequence[Point], axes: tuple[int, ...] = (0, 2)) -> Surface:
    """Return the surface of one data set, not falling along `axes`."""
    users, items, epsilons = (
        np.array(sorted({getattr(point, name) for point in points}), float) for name in ("users", "items", "epsilon")
    )
    runs = best_runs(points)
    try:
        grid = np.array([[[np.mean(runs[n, m, e]) for e in epsilons] for m in items] for n in users])
    except KeyError as error:
        raise ContractBroken(
            f"The curve of {points[0].source} has no training at (users, items, ε) = {error}",
            next_step="Run bench/curves.py to its end.",
        ) from error
    middle = (_running(grid, axes, np.maximum) + _running(grid, axes, np.minimum)) / 2
    spread = _spread(runs, dict(zip(itertools.product(users, items, epsilons), middle.ravel(), strict=True)))
    spreads = np.array([[[spread[n, m, e] for e in epsilons] for m in items] for n in users])
    # Noise falls with users and ε; neither bound may turn back with it.
    least, most = _running(middle - spreads, axes, np.minimum), _running(middle + spreads, axes, np.maximum)
    return Surface(users, items, epsilons, middle, least, most)


def best_runs(points: Iterable[Point]) -> dict[_Cell, list[float]]:
    """Return the runs of the candidate that is best in the mean, by (users, items, ε)."""
    cells: dict[_Cell, dict[str, list[float]]] = {}
    for point in points:
        cell = cells.setdefault((point.users, point.items, point.epsilon), {})
        cell.setdefault(point.candidate, []).append(point.kept)
    return {cell: max(by.values(), key=lambda kept: float(np.mean(kept))) for cell, by in cells.items()}


def _spread(runs: dict[_Cell, list[float]], told: dict[_Cell, float]) -> dict[_Cell, float]:
    """Return by cell the `CONFIDENCE` quantile of how far a further training would be from what is told there.

    It is taken over the quarter of the cells whose users · ε, and so whose noise, is nearest.
    """
    away: list[tuple[float, list[float]]] = []
    for cell, kept in runs.items():
        if len(kept) < 2:
            raise ContractBroken(
                f"How much trainings differ is not known: there is one at (users, items, ε) = {cell}",
                next_step="Run bench/curves.py with --runs 3.",
            )
        mean = float(np.mean(kept))
        # A further run lies √((r + 1)/(r − 1)) times as far from the mean of r runs as these themselves do.
        wider = math.sqrt((len(kept) + 1) / (len(kept) - 1))
        away.append((_noise(cell), [abs(told[cell] - mean) + wider * abs(run - mean) for run in kept]))

    def quantile(cell: _Cell) -> float:
        nearest = sorted(away, key=lambda one: abs(one[0] - _noise(cell)))[: max(8, len(away) // 4)]
        pooled = sorted(distance for _, distances in nearest for distance in distances)
        return pooled[min(math.ceil(CONFIDENCE * (len(pooled) + 1)), len(pooled)) - 1]

    return {cell: quantile(cell) for cell in runs}


def _noise(cell: _Cell) -> float:
    users, _, epsilon = cell
    return math.log(users * epsilon)


def _running(values: Floats, axes: tuple[int, ...], least_or_most: np.ufunc) -> Floats:
    """Return the most of all up to an entry along `axes`, or the least of all from it on: neither falls along them."""
    for axis in axes:
        if least_or_most is np.minimum:
            values = np.flip(np.minimum.accumulate(np.flip(values, axis), axis=axis), axis)
        else:
            values = np.maximum.accumulate(values, axis=axis)
    return values


def _between(axis: Floats, values: Floats, where: float, bow: int) -> Floats:
    """Return `values` along their first axis at `where`, linear in its logarithm plus `bow` times how far it may bow.

    Outside of the axis they are level.
    """
    if len(axis) == 1:
        return np.asarray(values[0])
    places = np.log(axis)
    place = float(np.clip(math.log(where), places[0], places[-1]))
    right = int(np.clip(np.searchsorted(places, place), 1, len(axis) - 1))
    share = (place - places[right - 1]) / (places[right] - places[right - 1])
    left, step = values[right - 1], values[right] - values[right - 1]
    return np.asarray(left + share * step + bow * share * (1 - share) * np.abs(step))


def _point(row: dict[str, Any]) -> Point:
    kinds: dict[str, Callable[[str], Any]] = {"source": str, "candidate": str, "users": int, "items": int, "run": int}
    kinds["simulator"] = lambda text: int(text) if text else None
    point = Point(**{name: kinds.get(name, float)(row[name]) for name in COLUMNS})
    if not (
        math.isfinite(point.kept) and point.kept >= 0 and point.users > 0 and point.items > 0 and point.epsilon > 0
    ):
        raise ValueError(point)
    return point
