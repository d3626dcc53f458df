"""From tables to rows: a user's latest impressions, with what the user did before each, over the public ads.

A row is a line of a CSR matrix: `SLOTS` columns for each impression, and after them the items that the user looked at,
in their order. So nothing is as wide as the catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy import sparse

from components.core.errors import ContractBroken
from components.services.ads.order import earlier, first_looks, labels

Matrix: TypeAlias = sparse.csr_array
Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]

OFFER = "offer"
"""The placement of price promotions: no ads, and left out."""
AD, POSITION, HOUR, BEFORE, CLICKED = range(5)
SLOTS = 5
"""Of an impression: the ad's number from 1, its position (0 unknown), the hour of the week from 1, how many of the
user's looks came before it, and the click; 0 everywhere where there is no impression."""
LOOKS = ("click", "cart", "purchase", "review")
"""Events that show a user's taste."""

_AD_COLUMNS = ["ad", "item", "campaign", "placement", "starts", "ends", "bid"]
_READ = ["user", "ts", "event", "session", "item", "ad", "position"]


@dataclass(frozen=True)
class Catalogue:
    """The public ads and items. They never depend on what users touched.

    Attributes:
        ads: ad, item, campaign, placement, starts, ends and bid, without offers.
        items: item and category (a path with "/" from the widest to the narrowest).
    """

    ads: pa.Table
    items: pa.Table

    @cached_property
    def names(self) -> list[str]:
        """Identifiers of the ads, in the order of the table."""
        return self.ads["ad"].to_pylist()  # type: ignore[no-any-return]

    @cached_property
    def place(self) -> dict[str, int]:
        """Row by ad."""
        return {ad: row for row, ad in enumerate(self.names)}

    @cached_property
    def campaigns(self) -> list[str | None]:
        """By ad."""
        return self.ads["campaign"].to_pylist()  # type: ignore[no-any-return]

    @cached_property
    def places(self) -> list[str | None]:
        """The placement, by ad."""
        return self.ads["placement"].to_pylist()  # type: ignore[no-any-return]

    @cached_property
    def bids(self) -> Floats:
        """`(ads,)` minor units a click, 0 where none is booked."""
        return np.array([bid or 0 for bid in self.ads["bid"].to_pylist()], dtype=np.float64)

    @cached_property
    def leaves(self) -> list[str]:
        """Category paths, sorted; "" is that of items without one."""
        return sorted({"", *(path or "" for path in self.items["category"].to_pylist())})

    @cached_property
    def tops(self) -> list[str]:
        """Widest categories, sorted."""
        return sorted({leaf.split("/")[0] for leaf in self.leaves})

    @cached_property
    def top_of_leaf(self) -> Integers:
        """`(leaves,)`"""
        number = {top: place for place, top in enumerate(self.tops)}
        return np.array([number[leaf.split("/")[0]] for leaf in self.leaves], dtype=np.int64)

    @cached_property
    def leaf_of_item(self) -> dict[str, int]:
        """Leaf by item."""
        number = {leaf: place for place, leaf in enumerate(self.leaves)}
        pairs = zip(self.items["item"].to_pylist(), self.items["category"].to_pylist(), strict=True)
        return {item: number[path or ""] for item, path in pairs}

    @cached_property
    def leaf_of_ad(self) -> Integers:
        """`(ads,)` leaf of the advertised item; that without a name where the item is not listed."""
        return np.array([self.leaf_of_item.get(item, 0) for item in self.ads["item"].to_pylist()], dtype=np.int64)

    @cached_property
    def items_place(self) -> dict[str, int]:
        """Row by item."""
        return {item: row for row, item in enumerate(self.leaf_of_item)}

    @cached_property
    def item_of_ad(self) -> Integers:
        """`(ads,)` row of the advertised item, -1 where it is not listed."""
        return np.array([self.items_place.get(item, -1) for item in self.ads["item"].to_pylist()], dtype=np.int64)

    @cached_property
    def leaves_of_items(self) -> Integers:
        """`(items,)` leaf of each item."""
        return np.array(list(self.leaf_of_item.values()), dtype=np.int64)

    @cached_property
    def shares(self) -> tuple[Floats, Floats]:
        """Shares of the listed items: `(leaves,)` and `(tops,)`, positive."""
        counts = np.bincount(self.leaves_of_items, minlength=len(self.leaves)) + 0.5
        leaf = counts / counts.sum()
        return leaf, np.bincount(self.top_of_leaf, weights=leaf, minlength=len(self.tops))

    def __len__(self) -> int:
        return self.ads.num_rows


@dataclass(frozen=True)
class Rows:
    """People's rows: private. Whose row is whose is not kept.

    Attributes:
        matrix: `(users, most · SLOTS + looks)`: impressions, the latest first, and the numbers (from 1) of the items
            that the user looked at, each once, the earliest first.
        catalogue: the public ads and items that the rows count by; a bundle may have been made on others.
        most: impressions that a row has room for.
    """

    matrix: Matrix
    catalogue: Catalogue
    most: int

    def __len__(self) -> int:
        return self.matrix.shape[0]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Looks:
    """Items that users looked at.

    Attributes:
        starts: `(users + 1,)` where each user's begin in `items`, and where the last ones end.
        items: places in the catalogue, each user's in their order.
    """

    starts: Integers
    items: Integers


@dataclass(frozen=True)
class Shown:
    """Impressions beside what their users looked at.

    Attributes:
        owner: `(impressions,)` whose of `looks` it is.
        cells: `(impressions, SLOTS)`.
        looks: in their order, of which the first `BEFORE` came before an impression.
    """

    owner: Integers
    cells: npt.NDArray[np.float32]
    looks: Looks


def read_catalogue(public: Path) -> Catalogue:
    """Read the ads and the items in the folder `public`.

    Raises:
        ContractBroken: they are no such tables, an ad or an item is listed twice, or there is none.
    """
    try:
        ads = pq.read_table(public / "ads.parquet", columns=_AD_COLUMNS)
        items = pq.read_table(public / "items.parquet", columns=["item", "category"])
    except (OSError, pa.ArrowInvalid) as error:
        raise ContractBroken(
            f"The ads in {public} cannot be read", next_step="Collect again, or restore them."
        ) from error
    ads = ads.filter(pc.fill_null(pc.not_equal(ads["placement"], OFFER), True))
    catalogue = Catalogue(ads, items)
    for what, table, key in (("ad", ads, "ad"), ("item", items, "item")):
        if table.num_rows == 0 or len(table[key].unique()) != table.num_rows:
            raise ContractBroken(
                f"The public tables in {public} do not list every {what} once",
                value=f"{table.num_rows} rows, {len(table[key].unique())} different",
                next_step="Mend the source and collect again; without ads take the service out of params.yaml.",
            )
    return catalogue


def read_rows(activity: Path, catalogue: Catalogue, *, most: int, looks: int) -> Rows:
    """Return the rows of one split, each with the user's latest `most` impressions of listed ads and the latest `looks`
    items that the user looked at for the first time.

    Users without an impression are left out: there is nothing to learn from them. What was done before an impression
    is strictly earlier, so nothing is learnt from the future.
    """
    table = pq.read_table(activity, columns=_READ)
    user, kind = _codes(table["user"]), table["event"]
    seconds = np.clip(table["ts"].cast(pa.int64()).to_numpy() // 1_000_000, 0, None)
    ad = _places(table["ad"], catalogue.names)
    shown = pc.equal(kind, "impression").to_numpy() & (ad >= 0)
    clicked = pc.equal(kind, "ad_click").to_numpy() & (ad >= 0)
    label = labels(user, _codes(table["session"]), ad, seconds, shown, clicked)
    item = _places(table["item"], list(catalogue.leaf_of_item))
    looked = pc.is_in(kind, value_set=pa.array(LOOKS)).to_numpy() & (item >= 0)
    position = pc.fill_null(table["position"], 0).to_numpy()

    at = np.flatnonzero(shown)
    at = at[np.lexsort((position[at], ad[at], seconds[at], user[at]))]
    turn = np.searchsorted(user[at], user[at], side="right") - np.arange(len(at)) - 1  # 0 is the latest
    at, turn = at[turn < most], turn[turn < most]
    first = first_looks(user, item, seconds, np.flatnonzero(looked))
    later = np.searchsorted(user[first], user[first], side="right") - np.arange(len(first))
    first = first[(later <= looks) & np.isin(user[first], user[at])]
    owners, row = np.unique(user[at], return_inverse=True)

    begun = np.searchsorted(user[first], user[at])
    before = earlier(user[first], seconds[first], user[at], seconds[at]) - begun
    cells = [ad[at] + 1, np.clip(position[at], 0, 1 << 20), hour_of_week(seconds[at]) + 1, before, label[at]]
    whose = np.searchsorted(owners, user[first])
    place = np.arange(len(first)) - np.searchsorted(user[first], user[first])
    entries = (
        np.concatenate([np.column_stack(cells).ravel(), item[first] + 1]).astype(np.float32),
        (
            np.concatenate([np.repeat(row, SLOTS), whose]),
            np.concatenate([(turn[:, None] * SLOTS + np.arange(SLOTS)).ravel(), most * SLOTS + place]),
        ),
    )
    matrix = sparse.csr_array(entries, shape=(len(owners), most * SLOTS + looks))
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return Rows(matrix, catalogue, most)


def impressions(rows: Rows) -> tuple[Integers, npt.NDArray[np.float32]]:
    """Return of every impression whose it is `(impressions,)`, and its slots `(impressions, SLOTS)`."""
    owners, cells = [np.empty(0, np.int64)], [np.empty((0, SLOTS), np.float32)]
    for start in range(0, len(rows), 4096):
        dense = rows.matrix[start : start + 4096, : rows.most * SLOTS].toarray().reshape(-1, rows.most, SLOTS)
        row, turn = np.nonzero(dense[:, :, AD] > 0)
        owners.append(row + start)
        cells.append(dense[row, turn])
    return np.concatenate(owners), np.concatenate(cells).astype(np.float32)


def shown(rows: Rows) -> Shown:
    """Return all impressions of the rows with the looks before them."""
    return Shown(*impressions(rows), looks_of(rows))


def looks_of(rows: Rows) -> Looks:
    """Return the items that every user looked at."""
    part = sparse.csr_array(rows.matrix[:, rows.most * SLOTS :])
    part.sort_indices()
    return Looks(part.indptr.astype(np.int64), part.data.astype(np.int64) - 1)


def hour_of_week(seconds: npt.NDArray[np.int64]) -> Integers:
    """Return 0 to 167 from Monday's midnight, UTC."""
    return np.asarray((seconds // 3600 + 72) % 168, dtype=np.int64)  # 1970 began on a Thursday


def _codes(column: pa.ChunkedArray) -> Integers:
    found = column.combine_chunks().dictionary_encode().indices
    return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), dtype=np.int64)


def _places(column: pa.ChunkedArray, listed: list[str]) -> Integers:
    found = pc.index_in(column, value_set=pa.array(listed, column.type))
    return np.asarray(pc.fill_null(found, -1).combine_chunks().to_numpy(zero_copy_only=False), dtype=np.int64)
