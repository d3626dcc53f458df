"""The columns of a personal model: a public partition of the catalogue, so that no item is out of reach.

Items share a column with their category: people are alike in categories long before they are alike in single items, and
a category's figure stands out of the noise where an item's does not. Where the taxonomy is too coarse for that, popular
items stand alone; which they are is read from the floor, which is already released, so the partition costs nothing.
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


def partition(catalogue: Catalogue, popularity: Floats, *, limit: int, enough: int) -> Columns:
    """Return at most `limit` columns.

    They are the narrowest level of categories that fits into `limit`. Where these are fewer than `enough`, too few to
    tell tastes apart, the most popular items leave them for columns of their own, as many as there is room for.

    Args:
        catalogue: the public items.
        popularity: `(items,)` noised, from the floor.
        limit: most columns.
        enough: categories that suffice.
    """
    paths = [tuple(part for part in category.split("/") if part) for category in catalogue.categories]
    depths = range(max(map(len, paths)), -1, -1)
    depth = next(depth for depth in depths if len({path[:depth] for path in paths}) <= limit)
    shared = len({path[:depth] for path in paths})
    alone = np.zeros(len(paths), dtype=bool)
    if shared < enough:
        room = limit if len(paths) <= limit else limit - shared
        alone[np.argsort(-popularity, kind="stable")[:room]] = True
    # A column is known by its category, and by its item where that stands alone.
    keys = [(path[:depth], item if alone[item] else -1) for item, path in enumerate(paths)]
    names = sorted(set(keys))
    position = {name: column for column, name in enumerate(names)}
    return Columns(np.array([position[key] for key in keys]), _levels([path for path, _ in names], depth))


def _levels(paths: list[tuple[str, ...]], depth: int) -> tuple[Labels, ...]:
    levels: list[Labels] = []
    groups = 1
    for level in range(1, depth + 1):
        labels = _labels([path[:level] for path in paths])
        if groups < labels.max() + 1 < len(paths):  # a level that divides nothing further says nothing
            levels.append(labels)
            groups = int(labels.max()) + 1
    return (*levels, np.arange(len(paths)))


def _labels(names: list[tuple[str, ...]]) -> Labels:
    position = {name: label for label, name in enumerate(sorted(set(names)))}
    return np.array([position[name] for name in names])
