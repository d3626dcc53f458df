"""The measured curves: what privacy kept of the quality, by data set, users, items and ε.

A surface is what one data set kept: at each measured cell the mean of the best candidate there, made monotone in ε and,
for the best, in users (more of either is never told to keep less), and linear between cells in the logarithms. Beyond
its users a surface goes on along users · ε, which is what signal over noise depends on; beyond its items or its ε it
stays level.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
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


COLUMNS = tuple(field.name for field in fields(Point))


@dataclass(frozen=True)
class Surface:
    """One data set's values on a grid; monotone along users and ε.

    Attributes:
        users, items, epsilons: ascending, at least one each.
        values: `(users, items, epsilons)` share kept.
        error: half-width of the interval within this data set.
    """

    users: Floats
    items: Floats
    epsilons: Floats
    values: Floats
    error: float

    def at(self, users: float, items: float, epsilon: float) -> float:
        """Return the share kept; see the module for what lies outside of the grid."""
        inside = float(np.clip(users, self.users[0], self.users[-1]))
        epsilon = epsilon * users / inside
        value = self.values
        for axis, where in ((self.users, inside), (self.items, items), (self.epsilons, epsilon)):
            value = _between(axis, value, where)
        return float(value)

    def inner(self, axis: int, where: float) -> bool:
        """Whether `where` is on the grid's `axis` (0 users, 1 items, 2 ε), and not at its end."""
        return where in self._axes[axis][1:-1]

    def without(self, axis: int, where: float) -> Surface:
        """Return the surface as if nothing had been measured at `where` of `axis`."""
        index = int(np.searchsorted(self._axes[axis], where))
        users, items, epsilons = (
            np.delete(one, index) if place == axis else one for place, one in enumerate(self._axes)
        )
        return Surface(users, items, epsilons, np.delete(self.values, index, axis=axis), self.error)

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
    surface = Surface(users, items, epsilons, _monotone(grid, axes), 0.0)
    return replace(surface, error=_error(runs, surface))


def best_runs(points: Iterable[Point]) -> dict[_Cell, list[float]]:
    """Return the runs of the candidate that is best in the mean, by (users, items, ε)."""
    cells: dict[_Cell, dict[str, list[float]]] = {}
    for point in points:
        cell = cells.setdefault((point.users, point.items, point.epsilon), {})
        cell.setdefault(point.candidate, []).append(point.kept)
    return {cell: max(by.values(), key=lambda kept: float(np.mean(kept))) for cell, by in cells.items()}


def _error(runs: dict[_Cell, list[float]], surface: Surface) -> float:
    """Return the `CONFIDENCE` quantile of how far trainings are from the surface, and from it without their line."""
    away: list[float] = []
    for (n, m, e), kept in runs.items():
        told = [surface.at(n, m, e)]
        told += [
            surface.without(axis, where).at(n, m, e) for axis, where in ((0, n), (2, e)) if surface.inner(axis, where)
        ]
        away += [abs(run - one) for run in kept for one in told]
    rank = min(math.ceil(CONFIDENCE * (len(away) + 1)), len(away))
    return float(np.sort(away)[rank - 1])


def _monotone(values: Floats, axes: tuple[int, ...]) -> Floats:
    """Return values that do not fall along `axes`: the middle of the tightest bounds."""
    above, below = values, values
    for axis in axes:
        above = np.maximum.accumulate(above, axis=axis)
        below = np.flip(np.minimum.accumulate(np.flip(below, axis), axis=axis), axis)
    return np.asarray((above + below) / 2)


def _between(axis: Floats, values: Floats, where: float) -> Floats:
    """Return `values` along their first axis at `where`, linear in its logarithm, level outside."""
    places = np.log(axis)
    place = float(np.clip(math.log(where), places[0], places[-1]))
    right = int(np.clip(np.searchsorted(places, place), 1, max(len(axis) - 1, 1)))
    if len(axis) == 1:
        return np.asarray(values[0])
    share = (place - places[right - 1]) / (places[right] - places[right - 1])
    return np.asarray((1 - share) * values[right - 1] + share * values[right])


def _point(row: dict[str, Any]) -> Point:
    kinds: dict[str, Callable[[str], Any]] = {"source": str, "candidate": str, "users": int, "items": int, "run": int}
    point = Point(**{name: kinds.get(name, float)(row[name]) for name in COLUMNS})
    if not (
        math.isfinite(point.kept) and point.kept >= 0 and point.users > 0 and point.items > 0 and point.epsilon > 0
    ):
        raise ValueError(point)
    return point
