"""From impressions to what a model reads of them: numbers of names in public vocabularies, and slots that
count by another catalogue.

The vocabularies are those of the bundle's own catalogue; number 0 of each is for what it does not know.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.services.ads.data import AD, HOUR, POSITION, Catalogue, Integers, Looks, Shown

POSITIONS = 11
"""Positions that are told apart: unknown, 1 to 9, and beyond."""
FIELDS = ("ad", "category", "department", "campaign", "placement", "position", "hour", "day")


@dataclass(frozen=True)
class Space:
    """The numbers of a catalogue's names.

    Attributes:
        starts: `(fields,)` where each field's numbers begin.
        size: of all fields together.
        of_ad: `(1 + ads, 5)` the numbers of an ad's own fields; line 0 is for an ad that is not known.
    """

    starts: Integers
    size: int
    of_ad: Integers


def space(catalogue: Catalogue) -> Space:
    """Return the numbers of the names in `catalogue`: the same whatever the order of its table."""
    ads = catalogue.ads
    leaf = [catalogue.leaves[place] for place in catalogue.leaf_of_ad]
    columns = [
        catalogue.names,
        leaf,
        [path.split("/")[0] for path in leaf],
        [name or "" for name in ads["campaign"].to_pylist()],
        [name or "" for name in ads["placement"].to_pylist()],
    ]
    known = [sorted(set(column)) for column in columns]
    sizes = [1 + len(names) for names in known] + [POSITIONS, 1 + 12, 1 + 7]
    starts = np.cumsum([0, *sizes])
    numbers = [np.r_[0, 1 + np.searchsorted(names, column)] for names, column in zip(known, columns, strict=True)]
    return Space(starts[:-1], int(starts[-1]), np.column_stack(numbers) + starts[:5])


def placements(catalogue: Catalogue) -> tuple[list[str], Integers]:
    """Return the placements' names, and the number of each ad's."""
    column = [name or "" for name in catalogue.ads["placement"].to_pylist()]
    names = sorted(set(column))
    return names, np.searchsorted(names, column).astype(np.int64)


def positions(values: npt.NDArray[np.float32]) -> Integers:
    """Return positions from 0 (unknown) to the last that is told apart."""
    return np.clip(values, 0, POSITIONS - 1).astype(np.int64)


def numbered(found: Space, cells: npt.NDArray[np.float32]) -> Integers:
    """Return numbers `(impressions, fields)` of impressions' slots.

    Args:
        found: of the catalogue that the slots' ads count by; an ad of 0 is not known.
        cells: `(impressions, SLOTS)`.
    """
    ad = np.clip(cells[:, AD], 0, len(found.of_ad) - 1).astype(np.int64)
    hour = np.clip(cells[:, HOUR], 0, 168).astype(np.int64)
    known, of_week = hour > 0, np.maximum(hour - 1, 0)
    context = np.column_stack(
        [
            positions(cells[:, POSITION]),
            np.where(known, 1 + of_week % 24 // 2, 0),
            np.where(known, 1 + of_week // 24, 0),
        ]
    )
    return np.column_stack([found.of_ad[ad], context + found.starts[5:]])


def moved(shown: Shown, rows: Catalogue, to: Catalogue) -> Shown:
    """Return impressions that count by the catalogue `to` instead of that of the rows.

    An ad that it does not list becomes 0, and an item that it does not list -1.
    """
    places = np.array([0, *(1 + to.place.get(name, -1) for name in rows.names)], dtype=np.float32)
    items = np.array([to.items_place.get(item, -1) for item in rows.leaf_of_item], dtype=np.int64)
    changed = shown.cells.copy()
    changed[:, AD] = places[changed[:, AD].astype(np.int64)]
    return Shown(shown.owner, changed, Looks(shown.looks.starts, items[shown.looks.items]))
