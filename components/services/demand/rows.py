"""From a user's purchases to one bounded vector: what the release adds up.

A user's units are first scaled to at most `units_per_user_block` in each block, and to less in one of which the window
has fewer days, so that units count alike at all times. Of these, six parts are made:

    weeks     units by week and category        ‖·‖₂ ≤ C,  one factor for both, so that the two add up to the same
    sites     units by week and site            ‖·‖₂ ≤ 2C
    left      units by category that these bounds took away   ‖·‖₂ ≤ 16C
    items     units by item over the window     ‖·‖₂ ≤ 2C
    weekdays  units by day of the week          ‖·‖₂ ≤ 4C
    beyond    all units that the bounds took away           ≤ 16 times the bound of all blocks

Each is divided by its bound and weighed by the root of its share; shares sum to 1, so the whole has an L2 norm of at
most 1, whatever a user bought: adding or removing a user moves the sum by at most 1. C is `norm` times the root of the
number of blocks, which is public.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy import sparse

from components.privacy.mechanisms import clip_rows
from components.services.demand.data import Catalogue, Floats
from components.services.demand.params import DemandParams

Matrix = sparse.csr_array
Integers = npt.NDArray[np.int64]

PARTS = ("weeks", "sites", "left", "items", "weekdays", "beyond")
_REACH = {"weeks": 1.0, "sites": 2.0, "left": 16.0, "items": 2.0, "weekdays": 4.0}
_BEYOND = 16


@dataclass(frozen=True)
class Layout:
    """Where each part stands in the vector, and its units.

    Attributes:
        shapes: of each part, in order.
        units: by part, how many units one of the vector is: an entry of x units stands there as x ÷ this.
    """

    shapes: dict[str, tuple[int, ...]]
    units: dict[str, float]

    @property
    def size(self) -> int:
        """Entries of the vector."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    def offset(self, part: str) -> int:
        """Return where a part begins."""
        return sum(int(np.prod(self.shapes[name])) for name in PARTS[: PARTS.index(part)])

    def parts(self, vector: Floats) -> dict[str, Floats]:
        """Return the parts of `(size,)` in units, in their shapes."""
        ends = np.cumsum([int(np.prod(self.shapes[name])) for name in PARTS])[:-1]
        pieces = zip(PARTS, np.split(vector, ends), strict=True)
        return {name: piece.reshape(self.shapes[name]) * self.units[name] for name, piece in pieces}


def layout_of(catalogue: Catalogue, params: DemandParams) -> Layout:
    """Return the layout, which follows from what is public."""
    weeks, categories = len(catalogue.calendar), len(catalogue.categories)
    shapes = {
        "weeks": (weeks, categories),
        "sites": (weeks, len(catalogue.sites)),
        "left": (categories,),
        "items": (len(catalogue),),
        "weekdays": (7,),
        "beyond": (1,),
    }
    shares = params.shares.model_dump()
    total, bounds = sum(shares.values()), _bounds(catalogue, params)
    return Layout(shapes, {name: bounds[name] / float(np.sqrt(shares[name] / total)) for name in PARTS})


@dataclass(frozen=True)
class Rows:
    """People's rows: private. `matrix` is `(users, layout.size)`, each row of L2 norm ≤ 1; whose row is whose is lost.

    Attributes:
        catalogue: what is public; a bundle may have been made on another one.
        layout: how the columns are to be read.
    """

    matrix: Matrix
    catalogue: Catalogue
    layout: Layout

    def __len__(self) -> int:
        return self.matrix.shape[0]  # type: ignore[no-any-return]

    def units(self, first: int, users: slice) -> Floats:
        """Return bounded units of some users by week (from `first` on) and category: `(users, weeks, categories)`."""
        weeks, categories = self.layout.shapes["weeks"]
        part = self.matrix[users][:, first * categories : weeks * categories].toarray() * self.layout.units["weeks"]
        return np.asarray(part.reshape(-1, weeks - first, categories), dtype=np.float64)


@dataclass(frozen=True)
class Bought:
    """Purchases, one an entry.

    Attributes:
        user, week, item, site, weekday: `(entries,)` indices; `users` of them in all.
        whole: `(entries,)` units as they were bought.
        units: `(entries,)` after the bound of each block.
    """

    user: Integers
    week: Integers
    item: Integers
    site: Integers
    weekday: Integers
    whole: Floats
    units: Floats
    users: int


def read_rows(split: Path, catalogue: Catalogue, params: DemandParams) -> Rows:
    """Return the rows of one split: all users of its table, those who bought nothing included."""
    bought = read_bought(split, catalogue, limit=params.units_per_user_block)
    layout = layout_of(catalogue, params)
    return Rows(vectors(bought, catalogue, layout, params), catalogue, layout)


def read_bought(split: Path, catalogue: Catalogue, *, limit: float) -> Bought:
    """Return the purchases of the catalogue's items in whole weeks, at most `limit` units a user and block."""
    table = pq.read_table(split, columns=["user", "ts", "event", "item", "quantity", "site", "block"])
    names = pc.unique(table["user"])
    listed = pa.array(catalogue.items, pa.string())
    table = table.filter(pc.and_(pc.equal(table["event"], "purchase"), pc.is_in(table["item"], value_set=listed)))
    item = pc.index_in(table["item"], value_set=listed)
    days = table["ts"].cast(pa.timestamp("us")).to_numpy().astype("datetime64[D]")
    week = catalogue.calendar.week_of(days)
    inside = (week >= 0) & (week < len(catalogue.calendar))
    inside &= catalogue.calendar.whole[np.clip(week, 0, len(catalogue.calendar) - 1)]
    sites = pa.array(catalogue.sites[:-1], pa.string())
    site = pc.fill_null(pc.index_in(table["site"], value_set=sites), len(sites))
    blocks = catalogue.calendar.blocks
    user, block = _codes(table["user"], names), _codes(table["block"], pa.array(list(blocks), pa.string()))[inside]
    user = user[inside]
    # Whole numbers below 2^53 add up to the same in any order; nobody buys as many.
    units = np.clip(_numbers(pc.fill_null(table["quantity"], 1)), 0, 1e9).astype(np.float64)[inside]
    in_block = user * len(blocks) + block
    total = np.bincount(in_block, weights=units, minlength=1)[in_block]
    most = limit * np.array(list(blocks.values()))[block]
    return Bought(
        user=user,
        week=week[inside],
        item=_numbers(item)[inside],
        site=_numbers(site)[inside],
        weekday=((days.astype(np.int64) + 3) % 7)[inside],  # the first day of 1970 was a Thursday; 0 is Monday
        whole=units,
        units=units * np.minimum(1, most / np.maximum(total, 1e-9)),
        users=len(names),
    )


def vectors(bought: Bought, catalogue: Catalogue, layout: Layout, params: DemandParams) -> Matrix:
    """Return `(users, size)`, as the module says."""
    category, bounds = catalogue.of_item[bought.item], _bounds(catalogue, params)

    def gathered(part: str, place: Integers, units: Floats) -> Matrix:
        size = int(np.prod(layout.shapes[part]))
        return _sum(bought.user, place, units, (bought.users, size))

    weeks = gathered("weeks", bought.week * layout.shapes["weeks"][1] + category, bought.units)
    sites = gathered("sites", bought.week * layout.shapes["sites"][1] + bought.site, bought.units)
    kept = np.minimum(_factor(weeks, bounds["weeks"]), _factor(sites, bounds["sites"]))
    taken = bought.whole - bought.units * kept[bought.user]
    parts = {
        "weeks": _scaled(weeks, kept),
        "sites": _scaled(sites, kept),
        "left": gathered("left", category, taken),
        "items": gathered("items", bought.item, bought.units),
        "weekdays": gathered("weekdays", bought.weekday, bought.units),
        "beyond": gathered("beyond", np.zeros_like(bought.user), taken),
    }
    clipped = [clip_rows(parts[name], bounds[name]) * (1 / layout.units[name]) for name in PARTS]
    matrix = sparse.csr_array(sparse.hstack(clipped, format="csr"), dtype=np.float64)
    return sparse.csr_array(clip_rows(matrix, 1.0))  # rounding could leave a little more


def _bounds(catalogue: Catalogue, params: DemandParams) -> dict[str, float]:
    """Return each part's bound on the L2 norm of a user's units."""
    blocks = len(catalogue.calendar.blocks)
    bounds = {name: params.norm * float(np.sqrt(blocks)) * reach for name, reach in _REACH.items()}
    return bounds | {"beyond": float(_BEYOND * params.units_per_user_block * blocks)}


def _sum(row: Integers, column: Integers, values: Floats, shape: tuple[int, int]) -> Matrix:
    order = np.lexsort((values, column, row))  # so that no sum depends on the order of the events
    matrix = sparse.csr_array(sparse.coo_array((values[order], (row[order], column[order])), shape=shape))
    matrix.sum_duplicates()
    return matrix


def _factor(matrix: Matrix, bound: float) -> Floats:
    norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return np.minimum(1, bound / np.maximum(norms, 1e-12))


def _scaled(matrix: Matrix, factor: Floats) -> Matrix:
    return sparse.csr_array(sparse.diags_array(factor) @ matrix)


def _codes(column: pa.ChunkedArray, names: pa.Array) -> Integers:
    return _numbers(pc.fill_null(pc.index_in(column, value_set=names), -1))


def _numbers(column: pa.ChunkedArray) -> Integers:
    return np.asarray(column.to_numpy(), dtype=np.int64)
