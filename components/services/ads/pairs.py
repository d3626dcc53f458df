"""What is looked at together: pairs of public columns, a part of the floor's release, and what the noise leaves of it.

The statistic counts pairs of different columns, each user's matrix scaled to Frobenius norm 1:

    P_u = y_u y_uᵀ − diag(y_u),   G = Σ_u P_u / ‖P_u‖_F        y_u: 1 for each column that user u looked at

As a vector, its upper triangle times √2, one user moves it by exactly 1 in L2 norm, or by nothing where the user
looked at fewer than two columns; it depends on no other user. What follows is free: G is compared with what it would be
if tastes did not differ, the difference is cut to the directions that stand out of the noise (their edge is that of
Wigner's semicircle; shrinkage as in Gavish & Donoho 2017), and each pair's lift is shrunk by what noise is left in it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from components.services.ads.data import Catalogue, Floats, Integers, Looks, Matrix

_UNSURE, _NOISE, _SPARSE = 0.5, 50.0, 0.05
_MOST = 8.0  # a lift is between a fifth and this


def columns(catalogue: Catalogue, most: int) -> Integers:
    """Return the column of each item, `(items,)`: its own where `most` columns are enough for all, or it is advertised
    and they are enough for those, else that of its category. Public, like the catalogue.
    """
    items = len(catalogue.leaf_of_item)
    if items <= most:
        return np.arange(items)
    advertised = np.unique(catalogue.item_of_ad[catalogue.item_of_ad >= 0])
    found = catalogue.leaves_of_items.copy()
    if len(advertised) + len(catalogue.leaves) <= most:
        found[advertised] = len(catalogue.leaves) + np.arange(len(advertised))
    return np.unique(found, return_inverse=True)[1].astype(np.int64)


def held(looks: Looks, of_item: Integers) -> Matrix:
    """Return y, `(users, columns)`: 1 where a user looked at an item of the column."""
    entries = (np.ones(len(looks.items)), of_item[looks.items], looks.starts)
    found = sparse.csr_array(entries, shape=(len(looks.starts) - 1, int(of_item.max()) + 1))
    found.sum_duplicates()
    found.data[:] = 1.0
    return found


def statistic(held: Matrix) -> Floats:
    """Return G as a vector, `(columns · (columns − 1) / 2,)`, un-noised: private. One user moves it by at most 1."""
    many = np.asarray(held.sum(axis=1), dtype=np.float64)
    weight = np.where(many > 1, 1 / np.sqrt(np.maximum(many * (many - 1), 1)), 0.0)
    gram = (held.T @ sparse.csr_array(sparse.diags_array(weight) @ held)).toarray()
    return np.asarray(gram[np.triu_indices_from(gram, 1)] * np.sqrt(2))


def log_lifts(noised: Floats, sigma: float, columns: int) -> npt.NDArray[np.float32]:
    """Return `(columns, columns)`: by how much a look at one makes the other likelier, as a logarithm; 0 is unknown.

    Args:
        noised: the statistic with noise.
        sigma: of that noise, on each entry.
        columns: how many there are.
    """
    gram = np.zeros((columns, columns))
    gram[np.triu_indices(columns, 1)] = noised / np.sqrt(2)
    gram += gram.T
    entry = sigma / np.sqrt(2)
    each = np.maximum(gram.sum(axis=1), max(entry * np.sqrt(columns), 1.0))
    total = max(float(gram.sum()), 1.0)
    expected = total * np.outer(each, each) / each.sum() ** 2
    values, directions = np.linalg.eigh(gram - expected)
    edge = 2 * np.sqrt(columns * (entry**2 + _SPARSE * total / columns**2))
    kept = values > edge
    strength = np.sqrt(np.maximum(values[kept] ** 2 - edge**2, 0))
    above = (directions[:, kept] * strength) @ directions[:, kept].T
    left = entry**2 * (int(kept.sum()) + 1) / columns
    lift = 1 + above / (expected + _UNSURE + _NOISE * left / expected)
    return np.log(np.clip(lift, 0.2, _MOST)).astype(np.float32)
