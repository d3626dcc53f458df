"""From tables to rows: a user's latest impressions, with what the user did before each, over the public ads.

A row is a line of a CSR matrix with `SLOTS` columns for each impression, so that nothing is as wide as the catalogue.
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

Matrix: TypeAlias = sparse.csr_array
Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]

OFFER = "offer"
"""The placement of price promotions: no ads, and left out."""
AD, POSITION, HOUR, LEAF, TOP, EXPERIENCE, CLICKED = range(7)
SLOTS = 7
"""Of an impression: the ad's number from 1, its position (0 unknown), the hour of the week from 1, three numbers about
what the user did before, and the click; 0 everywhere where there is no impression."""
LOOKS = ("click", "cart", "purchase", "review")
"""Events that show a user's taste."""
PRIOR_LEAF, PRIOR_TOP = 5.0, 3.0
"""Looks of a user at which their own share weighs as much as that of the catalogue."""

_AD_COLUMNS = ["ad", "item", "campaign", "placement", "starts", "ends", "bid"]
_READ = ["user", "ts", "event", "session", "item", "ad", "position"]
_SECONDS = 34
_PAST = (1 << _SECONDS) - 1


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
    def shares(self) -> tuple[Floats, Floats]:
        """Shares of the listed items: `(leaves,)` and `(tops,)`, positive."""
        counts = np.bincount(list(self.leaf_of_item.values()), minlength=len(self.leaves)) + 0.5
        leaf = counts / counts.sum()
        return leaf, np.bincount(self.top_of_leaf, weights=leaf, minlength=len(self.tops))

    def __len__(self) -> int:
        return self.ads.num_rows


@dataclass(frozen=True)
class Rows:
    """People's rows: private. `matrix` is `(users, K · SLOTS)`; whose row is whose is not kept.

    Attributes:
        catalogue: the public ads that the rows count by; a bundle may have been made on others.
    """

    matrix: Matrix
    catalogue: Catalogue

    def __len__(self) -> int:
        return self.matrix.shape[0]  # type: ignore[no-any-return]


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


def read_rows(activity: Path, catalogue: Catalogue, *, most: int) -> Rows:
    """Return the rows of one split, each with the user's latest `most` impressions of listed ads.

    Users without any are left out: there is nothing to learn from them. What was done before an impression is counted
    from events that are strictly earlier, so nothing is learnt from the future.
    """
    table = pq.read_table(activity, columns=_READ)
    user = _codes(table["user"])
    kind = table["event"]
    seconds = np.clip(table["ts"].cast(pa.int64()).to_numpy() // 1_000_000, 0, _PAST)
    ad = _places(table["ad"], catalogue.names)
    shown = pc.equal(kind, "impression").to_numpy() & (ad >= 0)
    clicked = pc.equal(kind, "ad_click").to_numpy() & (ad >= 0)
    label = _labels(user, _codes(table["session"]), ad, seconds, shown, clicked, len(catalogue))
    items = list(catalogue.leaf_of_item)
    leaves = np.array(list(catalogue.leaf_of_item.values()), dtype=np.int64)
    item = _places(table["item"], items)
    looked = pc.is_in(kind, value_set=pa.array(LOOKS)).to_numpy() & (item >= 0)
    position = pc.fill_null(table["position"], 0).to_numpy()

    at = np.flatnonzero(shown)
    at = at[np.lexsort((position[at], ad[at], seconds[at], user[at]))]
    numbers = _before(
        catalogue,
        user[looked],
        leaves[item[looked]],
        seconds[looked],
        user[at],
        catalogue.leaf_of_ad[ad[at]],
        seconds[at],
    )
    ends = np.searchsorted(user[at], user[at], side="right")
    turn = ends - np.arange(len(at)) - 1  # 0 is the latest
    kept = turn < most
    at, numbers, turn = at[kept], numbers[kept], turn[kept]
    owners, row = np.unique(user[at], return_inverse=True)
    cells = np.column_stack(
        [ad[at] + 1, np.clip(position[at], 0, 1 << 20), hour_of_week(seconds[at]) + 1, numbers, label[at]]
    ).astype(np.float32)
    column = turn[:, None] * SLOTS + np.arange(SLOTS)
    entries = (cells.ravel(), (np.repeat(row, SLOTS), column.ravel()))
    matrix = sparse.csr_array(entries, shape=(len(owners), most * SLOTS))
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return Rows(matrix, catalogue)


def impressions(matrix: Matrix) -> tuple[Integers, npt.NDArray[np.float32]]:
    """Return of every impression whose it is `(impressions,)`, and its slots `(impressions, SLOTS)`."""
    owners, cells = [np.empty(0, np.int64)], [np.empty((0, SLOTS), np.float32)]
    for start in range(0, matrix.shape[0], 4096):
        dense = matrix[start : start + 4096].toarray().reshape(-1, matrix.shape[1] // SLOTS, SLOTS)
        row, turn = np.nonzero(dense[:, :, AD] > 0)
        owners.append(row + start)
        cells.append(dense[row, turn])
    return np.concatenate(owners), np.concatenate(cells).astype(np.float32)


def hour_of_week(seconds: npt.NDArray[np.int64]) -> Integers:
    """Return 0 to 167 from Monday's midnight, UTC."""
    return np.asarray((seconds // 3600 + 72) % 168, dtype=np.int64)  # 1970 began on a Thursday


def liking(catalogue: Catalogue, leaf: Floats, top: Floats, every: Floats, of_leaf: Integers) -> Floats:
    """Return `(impressions, 3)`: the log of a user's share of looks in the ad's category over the catalogue's, shrunk,
    by the narrowest and the widest category, and the log of how many looks there were.

    Args:
        catalogue: whose shares.
        leaf, top, every: the user's earlier looks in that category, in the widest around it, and in all.
        of_leaf: the ad's category.
    """
    by_leaf, by_top = catalogue.shares
    narrow, wide = by_leaf[of_leaf], by_top[catalogue.top_of_leaf[of_leaf]]
    lifts = [
        np.log((leaf + PRIOR_LEAF * narrow) / ((every + PRIOR_LEAF) * narrow)),
        np.log((top + PRIOR_TOP * wide) / ((every + PRIOR_TOP) * wide)),
    ]
    return np.column_stack([*(np.clip(lift, -3, 3) for lift in lifts), np.log1p(every) / 3])


def _before(
    catalogue: Catalogue,
    user: Integers,
    leaf: Integers,
    seconds: Integers,
    of_user: Integers,
    of_leaf: Integers,
    at: Integers,
) -> Floats:
    """Return `liking` of each impression (`of_user`, `of_leaf`, `at`) from the looks (`user`, `leaf`, `seconds`)."""

    def earlier(groups: int, group: Integers, of_group: Integers) -> Floats:
        keys = np.sort((user * groups + group) << _SECONDS | seconds)
        mine = (of_user * groups + of_group) << _SECONDS
        return (np.searchsorted(keys, mine | at) - np.searchsorted(keys, mine)).astype(np.float64)

    tops = catalogue.top_of_leaf
    nothing = np.zeros_like
    return liking(
        catalogue,
        earlier(len(catalogue.leaves), leaf, of_leaf),
        earlier(len(catalogue.tops), tops[leaf], tops[of_leaf]),
        earlier(1, nothing(leaf), nothing(of_leaf)),
        of_leaf,
    )


def _labels(
    user: Integers,
    session: Integers,
    ad: Integers,
    seconds: Integers,
    shown: npt.NDArray[np.bool_],
    clicked: npt.NDArray[np.bool_],
    ads: int,
) -> npt.NDArray[np.bool_]:
    """Return which impressions were clicked: the latest of the user, session and ad that is not after the click."""
    at = np.flatnonzero(shown | clicked)
    at = at[np.lexsort((clicked[at], seconds[at], ad[at], session[at], user[at]))]
    place = np.where(shown[at], np.arange(len(at)), -1)
    last = np.maximum.accumulate(place) if len(at) else place
    labels = np.zeros(len(user), dtype=bool)
    clicks = np.flatnonzero(clicked[at] & (last >= 0))
    before = last[clicks]
    same = (
        (user[at[before]] == user[at[clicks]])
        & (session[at[before]] == session[at[clicks]])
        & (ad[at[before]] == ad[at[clicks]])
    )
    labels[at[before[same]]] = True
    return labels


def _codes(column: pa.ChunkedArray) -> Integers:
    found = column.combine_chunks().dictionary_encode().indices
    return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), dtype=np.int64)


def _places(column: pa.ChunkedArray, listed: list[str]) -> Integers:
    found = pc.index_in(column, value_set=pa.array(listed, column.type))
    return np.asarray(pc.fill_null(found, -1).combine_chunks().to_numpy(zero_copy_only=False), dtype=np.int64)
