"""What a user's own looks say about an impression: four figures, from the public catalogue and released pairs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.services.ads.data import AD, BEFORE, Catalogue, Floats, Integers, Shown

FIGURES = ("liking of the item", "liking of the category", "liking of the department", "experience")
PRIOR_ITEM, PRIOR_LEAF, PRIOR_TOP = 3.0, 5.0, 3.0
"""Looks of a user at which their own taste weighs as much as everybody's."""


def figures(
    catalogue: Catalogue, column: Integers, pairs: npt.NDArray[np.float32], shown: Shown, at_once: int = 1 << 17
) -> Floats:
    """Return `FIGURES` of impressions, `(impressions, 4)`: about each user's own looks before, and nobody else's.

    The liking of an item is the sum of the log lifts that the looks give it, over the root of their number (and some);
    that of a category the log of its share of the looks over its share of the catalogue, shrunk.

    Args:
        catalogue: that the ads and looks count by.
        column, pairs: see `Bundle.arrays`.
        shown: the impressions; of an owner's looks the first `BEFORE` count.
        at_once: impressions that are looked at together.
    """
    parts = [np.empty((0, len(FIGURES)))]
    for start in range(0, len(shown.cells), at_once):
        some = slice(start, start + at_once)
        parts.append(_figures(catalogue, column, pairs, Shown(shown.owner[some], shown.cells[some], shown.looks)))
    return np.concatenate(parts)


def _figures(catalogue: Catalogue, column: Integers, pairs: npt.NDArray[np.float32], shown: Shown) -> Floats:
    ad, before = shown.cells[:, AD].astype(np.int64) - 1, shown.cells[:, BEFORE].astype(np.int64)
    item = np.where(ad >= 0, catalogue.item_of_ad[ad], -1)
    of_ad, leaf = np.where(item >= 0, column[item], 0), np.where(ad >= 0, catalogue.leaf_of_ad[ad], 0)
    top_of, leaf_of, begun = catalogue.top_of_leaf, catalogue.leaves_of_items, shown.looks.starts[shown.owner]
    lift, narrow, wide, many = (np.zeros(len(ad)) for _ in range(4))
    for turn in range(int(before.max(initial=0))):
        which = np.flatnonzero(before > turn)
        seen = shown.looks.items[begun[which] + turn]
        which, seen = which[seen >= 0], seen[seen >= 0]
        many[which] += 1
        lift[which] += pairs[column[seen], of_ad[which]]
        narrow[which] += leaf_of[seen] == leaf[which]
        wide[which] += top_of[leaf_of[seen]] == top_of[leaf[which]]
    by_leaf, by_top = catalogue.shares
    of_leaf, of_top = by_leaf[leaf], by_top[top_of[leaf]]
    told = [
        np.where(item >= 0, lift, 0.0) / np.sqrt(many + PRIOR_ITEM),
        np.log((narrow + PRIOR_LEAF * of_leaf) / ((many + PRIOR_LEAF) * of_leaf)),
        np.log((wide + PRIOR_TOP * of_top) / ((many + PRIOR_TOP) * of_top)),
    ]
    return np.column_stack([*(np.clip(one, -3, 3) for one in told), np.log1p(many) / 3])
