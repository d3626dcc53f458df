"""From a bundle and impressions to the probability of a click, and to what it is made of.

NumPy alone, so that serving needs no PyTorch.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.services.ads.bundle import Bundle
from components.services.ads.data import AD, POSITION, Catalogue, Floats, Integers
from components.services.ads.features import FIELDS, FIGURES, moved, numbered, placements, positions, space


def prior(bundle: Bundle, ad: Integers, position: Integers) -> Floats:
    """Return the floor's logit of ads (numbers from 1, 0 is unknown: the mean) at positions."""
    rates = bundle.arrays["ad"].astype(np.float64)
    _, of_ad = placements(bundle.catalogue)
    by_place = bundle.arrays["place"].astype(np.float64)
    known = np.r_[rates.mean(), rates][ad]
    at = np.vstack([np.zeros(by_place.shape[1]), by_place])[np.r_[0, 1 + of_ad][ad], position]
    return np.asarray(known + at)


def logits(bundle: Bundle, cells: npt.NDArray[np.float32]) -> Floats:
    """Return the logit of a click for impressions' slots `(impressions, SLOTS)`, which count by the bundle's ads."""
    before = prior(bundle, cells[:, AD].astype(np.int64), positions(cells[:, POSITION]))
    if bundle.config.kind == "rates":
        return before
    ids, figures = numbered(space(bundle.catalogue), cells)
    return before + beside(bundle, ids, figures)


def beside(bundle: Bundle, ids: Integers, figures: Floats) -> Floats:
    """Return what the network adds to the floor's logits: its forward pass, from numbers `(impressions, fields)`."""
    weights = {name: array.astype(np.float64) for name, array in bundle.arrays.items()}
    inside = np.column_stack([weights["deep.weight"][ids].reshape(len(ids), -1), figures])
    inner = np.tanh(inside @ weights["inner.weight"].T + weights["inner.bias"])
    line = figures @ weights["line.weight"].T + weights["line.bias"] + inner @ weights["outer.weight"].T
    return np.asarray(weights["wide.weight"][ids].sum(axis=(1, 2)) + line[:, 0])


def contributions(bundle: Bundle, cells: npt.NDArray[np.float32]) -> tuple[tuple[str, ...], Floats]:
    """Return names, and for each what the logit loses where it alone is not known: `(impressions, names)`.

    Feature ablation (as Captum's): an ad's own rate is replaced by the mean, a name by "unknown", a figure by that of
    somebody who did nothing.
    """
    ad, place = cells[:, AD].astype(np.int64), positions(cells[:, POSITION])
    none = np.zeros_like(ad)
    whole = prior(bundle, ad, place)
    rate = np.r_[bundle.arrays["ad"].mean(), bundle.arrays["ad"]].astype(np.float64)[ad] - bundle.arrays["ad"].mean()
    by_place = whole - prior(bundle, ad, none)
    found = {"click rate of the ad": rate, "place": by_place}
    if bundle.config.kind == "network":
        vocabulary = space(bundle.catalogue)
        ids, figures = numbered(vocabulary, cells)
        score = beside(bundle, ids, figures)
        for field, name in enumerate(FIELDS):
            changed = ids.copy()
            changed[:, field] = vocabulary.starts[field]
            found[name] = score - beside(bundle, changed, figures)
        for column, name in enumerate(FIGURES):
            away = figures.copy()
            away[:, column] = 0.0
            found[name] = score - beside(bundle, ids, away)
    return tuple(found), np.column_stack(list(found.values()))


def probabilities(bundle: Bundle, catalogue: Catalogue, cells: npt.NDArray[np.float32]) -> Floats:
    """Return the probability of a click on impressions whose ads count by `catalogue`, at their own positions."""
    if bundle.catalogue.names != catalogue.names:
        cells = moved(cells, catalogue.names, bundle.catalogue.place)
    return np.asarray(1 / (1 + np.exp(-logits(bundle, cells))))
