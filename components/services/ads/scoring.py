"""From a bundle and impressions to click probabilities, and from these to one line a user.

NumPy alone, so that serving needs no PyTorch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.core.service import Histogram, Metric
from components.evaluation import score_figures
from components.evaluation.cells import log_odds_edges, score_cells
from components.services.ads.bundle import Bundle, read_bundle
from components.services.ads.data import AD, CLICKED, POSITION, Catalogue, Floats, Integers, Rows, impressions
from components.services.ads.features import FIELDS, FIGURES, moved, numbered, placements, positions, space

METRICS = (Metric("log_score"),)
"""1 − the mean log loss of a user's impressions (nats): the gates' metric, larger is better. Above a loss of 1 it is
clipped; that is met by users of a few impressions alone."""

EDGES = log_odds_edges(26, 0.005, 0.35)
SERVING = int(np.searchsorted(EDGES, 0.08))
"""The first bin whose scores count as "will be clicked" for precision, recall and F1: about twice the mean rate."""
THRESHOLD = float(EDGES[SERVING - 1])


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


def score(folder: Path, rows: Rows, seed: int) -> Floats:
    """Return `METRICS` of every row, `(users, 1)`: un-noised, private. A line depends on its own row alone."""
    return lines(read_bundle(folder), rows)


def lines(bundle: Bundle, rows: Rows) -> Floats:
    """Return `METRICS` of every row by a bundle in memory."""
    owner, cells = impressions(rows.matrix)
    likely = np.clip(probabilities(bundle, rows.catalogue, cells), 1e-6, 1 - 1e-6)
    loss = -np.log(np.where(cells[:, CLICKED] > 0, likely, 1 - likely))
    shown = np.bincount(owner, minlength=len(rows))
    mean = np.bincount(owner, weights=loss, minlength=len(rows)) / np.maximum(shown, 1)
    return np.asarray(np.clip(1 - mean, 0.0, 1.0)[:, None])


def cells_of(folder: Path, rows: Rows, seed: int) -> Floats:
    """Return of each user the shares of impressions by label and bin of their score: un-noised, private."""
    return histogram_lines(read_bundle(folder), rows)


def histogram_lines(bundle: Bundle, rows: Rows) -> Floats:
    """Return the same by a bundle in memory."""
    owner, cells = impressions(rows.matrix)
    likely = probabilities(bundle, rows.catalogue, cells)
    return score_cells(likely, cells[:, CLICKED] > 0, owner, len(rows), EDGES)


def figures_of(cells: Floats) -> dict[str, float]:
    """Return what is derived from the mean over users of their cells."""
    return {
        "auc": score_figures.auc(cells),
        "log_loss": score_figures.log_loss(cells, EDGES),
        "normalised_entropy": score_figures.normalised_entropy(cells, EDGES),
        "calibration_error": score_figures.calibration_error(cells, EDGES),
        "precision": score_figures.precision(cells, SERVING),
        "recall": score_figures.recall(cells, SERVING),
        "f1": score_figures.f1(cells, SERVING),
    }


HISTOGRAM = Histogram(
    size=2 * (len(EDGES) + 1),
    of=cells_of,
    figures=figures_of,
    metrics=(
        Metric("auc"),
        Metric("log_loss", high=5.0),
        Metric("normalised_entropy", high=5.0),
        Metric("calibration_error"),
        Metric("precision"),
        Metric("recall"),
        Metric("f1"),
    ),
)


def probe(folder: Path) -> dict[str, float]:
    """Return the spread of the ads' released click rates (standard deviation of the logits): exact, and free."""
    rates = read_bundle(folder).arrays["ad"].astype(np.float64)
    return {"spread_of_rates": float(np.abs(rates - rates.mean()).mean())}
