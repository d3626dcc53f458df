"""The columns of a personal model: a public partition of the catalogue, so that no item is out of reach.

Popular items stand alone, the others share a column with their category. Which items are popular is read from the
floor, which is already released, so the partition costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from components.services.recommend.data import Catalogue, Matrix

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Columns:
    """A partition of the items, and the taxonomy above it.

    Attributes:
        of_item: `(items,)` column of each item.
        levels: from the widest categories to the columns themselves, each `(columns,)` labels from 0; columns with
            equal labels lie in one category.
    """

    of_item: Labels
    levels: tuple[Labels, ...]

    def __len__(self) -> int:
        return int(self.of_item.max()) + 1

    def count(self, matrix: Matrix) -> Matrix:
        """Return how many items of each column a row holds: `(users, columns)` from `(users, items)`."""
        items = len(self.of_item)
        members = (np.ones(items, dtype=np.float32), (np.arange(items), self.of_item))
        return sparse.csr_array(matrix @ sparse.csr_array(members, shape=(items, len(self))))

    def total(self, popularity: Floats) -> Floats:
        """Return the sum of `(items,)` figures by column: `(columns,)`."""
        return np.bincount(self.of_item, weights=popularity, minlength=len(self))


def partition(catalogue: Catalogue, popularity: Floats, *, limit: int, alone: int) -> Columns:
    """Return at most `limit` columns: the narrowest categories of which there are so many, and popular items alone.

    Args:
        catalogue: the public items.
        popularity: `(items,)` noised, from the floor.
        limit: most columns.
        alone: most items that stand alone; all do where the catalogue has no more items than that.
    """
    paths = [tuple(part for part in category.split("/") if part) for category in catalogue.categories]
    depths = range(max(map(len, paths)), -1, -1)
    depth = next(d for d in depths if len({path[:d] for path in paths}) <= max(1, limit))
    shared = len({path[:depth] for path in paths})
    ranked = np.argsort(-popularity, kind="stable")
    chosen = ranked[: max(0, min(alone, limit - shared))] if len(paths) > min(alone, limit) else ranked
    by_itself = np.zeros(len(paths), dtype=bool)
    by_itself[chosen] = True
    # A column is known by its category, and by its item where that stands alone.
    keys = [(path[:depth], item if by_itself[item] else -1) for item, path in enumerate(paths)]
    names = sorted(set(keys))
    position = {name: column for column, name in enumerate(names)}
    return Columns(np.array([position[key] for key in keys]), _levels([path for path, _ in names], depth))


def _levels(paths: list[tuple[str, ...]], depth: int) -> tuple[Labels, ...]:
    levels: list[Labels] = []
    for level in range(1, depth + 1):
        labels = _labels([path[:level] for path in paths])
        if labels.max() > (levels[-1].max() if levels else 0):  # a level that divides nothing further says nothing
            levels.append(labels)
    columns = np.arange(len(paths))
    return (*levels, columns) if not levels or levels[-1].max() + 1 < len(paths) else (*levels[:-1], columns)


def _labels(names: list[tuple[str, ...]]) -> Labels:
    position = {name: label for label, name in enumerate(sorted(set(names)))}
    return np.array([position[name] for name in names])
