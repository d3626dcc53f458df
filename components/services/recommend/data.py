"""From tables to a matrix: one row a user, one column an item of the public catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy import sparse

from components.core.errors import ContractBroken

Matrix: TypeAlias = sparse.csr_array

ITEM_COLUMNS = ("item", "title", "category")


@dataclass(frozen=True)
class Catalogue:
    """The public catalogue, in the order of its table. It never depends on what users touched.

    Attributes:
        table: item, title and category (a path with "/" from the widest to the narrowest); a bundle carries it along.
    """

    table: pa.Table

    @cached_property
    def items(self) -> list[str]:
        """Identifiers; the position of one is its column in every matrix."""
        return self.table["item"].to_pylist()  # type: ignore[no-any-return]

    @cached_property
    def titles(self) -> list[str | None]:
        """Readable names, where there are any."""
        return self.table["title"].to_pylist()  # type: ignore[no-any-return]

    @cached_property
    def categories(self) -> list[str]:
        """Category paths; an item without one is in the category ""."""
        return [category or "" for category in self.table["category"].to_pylist()]

    @cached_property
    def position(self) -> dict[str, int]:
        """Column by item."""
        return {item: column for column, item in enumerate(self.items)}

    def inside(self, category: str) -> npt.NDArray[np.bool_]:
        """Return which items lie in `category` or below it: `(items,)`."""
        below = category.rstrip("/") + "/"
        paths = self._paths
        return np.asarray((paths == category) | np.strings.startswith(paths, below))

    @cached_property
    def _paths(self) -> npt.NDArray[np.str_]:
        return np.array(self.categories, dtype=np.str_)

    def __len__(self) -> int:
        return self.table.num_rows


@dataclass(frozen=True)
class Rows:
    """People's rows: private. `matrix` is binary, `(users, items)`; whose row is whose is not kept.

    Attributes:
        catalogue: the public items, which the columns are; a bundle may have been made on another one.
    """

    matrix: Matrix
    catalogue: Catalogue

    def __len__(self) -> int:
        return self.matrix.shape[0]  # type: ignore[no-any-return]


def read_catalogue(items: Path) -> Catalogue:
    """Read the catalogue's table.

    Raises:
        ContractBroken: it is no such table, an item is listed twice, or there is none.
    """
    try:
        table = pq.read_table(items, columns=list(ITEM_COLUMNS))
    except pa.ArrowInvalid as error:
        raise ContractBroken(
            f"The catalogue {items} cannot be read", next_step="Collect again, or restore it."
        ) from error
    catalogue = Catalogue(table)
    if len(catalogue) == 0 or len(catalogue.position) != len(catalogue):
        raise ContractBroken(
            f"The catalogue {items} does not list every item once",
            value=f"{len(catalogue)} rows, {len(catalogue.position)} items",
            next_step="Mend the items of the source and collect again.",
        )
    return catalogue


def read_rows(split: Path, catalogue: Catalogue, *, max_items_per_user: int) -> Rows:
    """Return the rows of one split, each with at most `max_items_per_user` distinct items.

    The bound holds whatever the table says. The items that stay are the first by a hash of pseudonym and item, so the
    choice is random to the user's behaviour, and the same for the same user wherever it is made.

    Raises:
        ContractBroken: an item is not in the catalogue.
    """
    table = pq.read_table(split, columns=["user", "item"])
    users = table["user"].combine_chunks().dictionary_encode()
    row = users.indices.to_numpy(zero_copy_only=False)
    listed = pa.array(catalogue.items, table["item"].type)
    found = pc.index_in(table["item"], value_set=listed)
    if found.null_count:
        raise ContractBroken(
            f"{split} names items that are not in the catalogue",
            next_step="Run prepare again: it keeps what the catalogue lists.",
        )
    item = found.combine_chunks().to_numpy(zero_copy_only=False).astype(np.int64)
    pairs = np.unique(row.astype(np.int64) * len(catalogue) + item)  # one pair, however many blocks it was seen in
    row, item = np.divmod(pairs, len(catalogue))
    pseudonyms = np.array([_seed(user) for user in users.dictionary.to_pylist()], dtype=np.uint64)
    kept = _first_of_each_row(row, mixed(mixed(item.astype(np.uint64)) ^ pseudonyms[row]), max_items_per_user)
    shape = (len(pseudonyms), len(catalogue))
    return Rows(_binary(row[kept], item[kept], shape), catalogue)


def fold_in(rows: Rows, seed: int, *, target_share: float = 0.2) -> tuple[Matrix, Matrix]:
    """Divide each row into what the model sees and what it must find: `(users, items)` each, in the order of `rows`.

    Strong generalisation (Liang et al. 2018, section 4.1): the users are not those of the training. Which items are
    targets follows from `seed` and the row's own content, so it does not depend on who else is there, and adding a user
    changes no other user's line. Every row keeps a target, at least one: a user with a single item is met as a new
    customer, with an empty history, and counts like everybody else.
    """
    matrix = rows.matrix
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    item = matrix.indices.astype(np.int64)
    hashed = mixed(item.astype(np.uint64) ^ mixed(np.uint64(seed % 2**64)))
    content = np.zeros(matrix.shape[0], dtype=np.uint64)
    np.add.at(content, row, hashed)
    order = mixed(hashed ^ content[row])
    sizes = np.diff(matrix.indptr)
    targets = np.where(sizes > 0, np.maximum(1, np.rint(target_share * sizes)), 0).astype(np.int64)
    target = _first_of_each_row(row, order, targets[row])
    return (
        _binary(row[~target], item[~target], matrix.shape),
        _binary(row[target], item[target], matrix.shape),
    )


def mixed(values: npt.NDArray[np.uint64] | np.uint64) -> npt.NDArray[np.uint64]:
    """Return well-mixed 64-bit hashes of 64-bit values (SplitMix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        state = np.asarray(values, dtype=np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(state ^ (state >> np.uint64(31)))


def _first_of_each_row(
    row: npt.NDArray[np.int64], order: npt.NDArray[np.uint64], count: int | npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Mark the first `count` entries of each row by `order`; `count` is one number, or one an entry."""
    by_row = np.lexsort((order, row))
    starts = np.searchsorted(row[by_row], row[by_row], side="left")
    rank = np.empty(len(row), dtype=np.int64)
    rank[by_row] = np.arange(len(row)) - starts
    return rank < count


def _binary(row: npt.NDArray[np.int64], item: npt.NDArray[np.int64], shape: tuple[int, int]) -> Matrix:
    matrix = sparse.csr_array((np.ones(len(row), dtype=np.float32), (row, item)), shape=shape)
    matrix.sort_indices()
    return matrix


def _seed(pseudonym: str) -> int:
    return int.from_bytes(blake2b(pseudonym.encode(), digest_size=8).digest(), "big")
