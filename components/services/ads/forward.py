"""From a bundle and impressions to the probability of a click, and to what it is made of.

NumPy alone, so that serving needs no PyTorch.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.services.ads.bundle import Bundle
from components.services.ads.data import AD, CLICKED, POSITION, Floats, Integers, Rows, Shown, shown
from components.services.ads.features import FIELDS, moved, numbered, placements, positions
from components.services.ads.figures import FIGURES, figures


def prior(bundle: Bundle, ad: Integers, position: Integers) -> Floats:
    """Return the floor's logit of ads (numbers from 1, 0 is unknown: the mean) at positions."""
    rates = bundle.arrays["ad"].astype(np.float64)
    _, of_ad = placements(bundle.catalogue)
    by_place = bundle.arrays["place"].astype(np.float64)
    known = np.r_[rates.mean(), rates][ad]
    at = np.vstack([np.zeros(by_place.shape[1]), by_place])[np.r_[0, 1 + of_ad][ad], position]
    return np.asarray(known + at)


def logits(bundle: Bundle, shown: Shown) -> Floats:
    """Return the logit of a click on impressions that count by the bundle's catalogue."""
    cells = shown.cells
    before = prior(bundle, cells[:, AD].astype(np.int64), positions(cells[:, POSITION]))
    if bundle.config.kind == "rates":
        return before
    return before + beside(bundle, numbered(bundle.space, cells), known(bundle, shown))


def known(bundle: Bundle, shown: Shown) -> Floats:
    """Return the figures of impressions by what the bundle's floor released, `(impressions, 4)`."""
    arrays = bundle.arrays
    return figures(bundle.catalogue, np.asarray(arrays["column"]), np.asarray(arrays["pairs"]), shown)


def beside(bundle: Bundle, ids: Integers, told: Floats) -> Floats:
    """Return what the network adds to the floor's logits: its forward pass, from numbers `(impressions, fields)`."""
    weights = bundle.weights
    inner = np.tanh(_inside(weights, ids, told) @ weights["inner.weight"].T + weights["inner.bias"])
    line = told @ weights["line.weight"].T + weights["line.bias"] + inner @ weights["outer.weight"].T
    return np.asarray(weights["wide.weight"][ids].sum(axis=(1, 2)) + line[:, 0])


def contributions(bundle: Bundle, shown: Shown) -> tuple[tuple[str, ...], Floats]:
    """Return names, and what of the logit is owed to each: `(impressions, names)`.

    A line sums to the logit of the impression less that of one of which nothing is known: an ad of the mean rate at an
    unknown place, all names unknown, to somebody who did nothing. What is linear is exact; of the deep part these are
    integrated gradients (Sundararajan et al. 2017), whose integral has a closed form for one layer of tanh.
    """
    cells = shown.cells
    ad, place = cells[:, AD].astype(np.int64), positions(cells[:, POSITION])
    whole = prior(bundle, ad, place)
    rate = np.r_[bundle.arrays["ad"].mean(), bundle.arrays["ad"]].astype(np.float64)
    found = {"click rate of the ad": rate[ad] - rate[0], "place": whole - prior(bundle, ad, np.zeros_like(ad))}
    if bundle.config.kind == "network":
        weights, told = bundle.weights, known(bundle, shown)
        ids = numbered(bundle.space, cells)
        nobody = np.broadcast_to(bundle.space.starts, ids.shape)
        deep = _integrated(weights, _inside(weights, ids, told), _inside(weights, nobody, np.zeros_like(told)))
        wide = (weights["wide.weight"][ids] - weights["wide.weight"][nobody])[:, :, 0]
        width = weights["deep.weight"].shape[1]
        for field, name in enumerate(FIELDS):
            found[name] = wide[:, field] + deep[:, field * width : (field + 1) * width].sum(axis=1)
        for column, name in enumerate(FIGURES):
            linear = told[:, column] * weights["line.weight"][0, column]
            found[name] = linear + deep[:, len(FIELDS) * width + column]
    return tuple(found), np.column_stack(list(found.values()))


def probabilities(bundle: Bundle, rows: Rows) -> tuple[Integers, npt.NDArray[np.bool_], Floats]:
    """Return of every impression whose it is, whether it was clicked, and how likely that was, at its own position."""
    these = shown(rows)
    if (bundle.catalogue.names, bundle.catalogue.items_place) != (rows.catalogue.names, rows.catalogue.items_place):
        these = moved(these, rows.catalogue, bundle.catalogue)
    likely = np.asarray(1 / (1 + np.exp(-logits(bundle, these))))
    return these.owner, these.cells[:, CLICKED] > 0, likely


def _inside(weights: dict[str, Floats], ids: Integers, told: Floats) -> Floats:
    """Return what the deep part reads, `(impressions, fields · width + figures)`."""
    deep = weights["deep.weight"]
    return np.column_stack([deep[ids].reshape(len(ids), ids.shape[1] * deep.shape[1]), told])


def _integrated(weights: dict[str, Floats], inside: Floats, start: Floats) -> Floats:
    """Return integrated gradients of the deep part from `start`, of the shape of `inside`.

    Along the straight way an input of tanh goes from a to b, and the mean of its slope is (tanh b − tanh a) ÷ (b − a).
    """
    first, last = (at @ weights["inner.weight"].T + weights["inner.bias"] for at in (start, inside))
    far = last - first
    near = np.abs(far) < 1e-6
    slope = np.where(near, 1 - np.tanh(first) ** 2, (np.tanh(last) - np.tanh(first)) / np.where(near, 1.0, far))
    return np.asarray((inside - start) * ((slope * weights["outer.weight"][0]) @ weights["inner.weight"]))
