"""From the probability of a click on each impression to one line a user, and to the figures that are released."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from components.core.service import Histogram, Metric
from components.evaluation import score_figures
from components.evaluation.cells import log_odds_edges, score_cells
from components.services.ads.bundle import Bundle, read_bundle
from components.services.ads.data import Floats, Rows
from components.services.ads.forward import probabilities

METRICS = (Metric("log_score", paired=0.05),)
"""1 − the mean log loss of a user's impressions (nats): the gates' metric, larger is better. Above a loss of 1 it is
clipped; that is met by users of a few impressions alone. Two rankers differ by more than 0.05 for one user in fifty:
clipping these takes a tenth off a gain, and the narrow range nine tenths off its noise."""

EDGES = log_odds_edges(26, 0.005, 0.35)
SERVING = int(np.searchsorted(EDGES, 0.08))
"""The first bin whose scores count as "will be clicked" for precision, recall and F1: about twice the mean rate."""


def score(folder: Path, rows: Rows, seed: int) -> Floats:
    """Return `METRICS` of every row, `(users, 1)`: un-noised, private. A line depends on its own row alone."""
    return lines(read_bundle(folder), rows)


def lines(bundle: Bundle, rows: Rows) -> Floats:
    """Return `METRICS` of every row by a bundle in memory."""
    owner, clicked, likely = probabilities(bundle, rows)
    likely = np.clip(likely, 1e-6, 1 - 1e-6)
    loss = -np.log(np.where(clicked, likely, 1 - likely))
    shown = np.bincount(owner, minlength=len(rows))
    mean = np.bincount(owner, weights=loss, minlength=len(rows)) / np.maximum(shown, 1)
    return np.asarray(np.clip(1 - mean, 0.0, 1.0)[:, None])


def cells_of(folder: Path, rows: Rows, seed: int) -> Floats:
    """Return of each user the shares of impressions by label and bin of their score: un-noised, private."""
    return histogram_lines(read_bundle(folder), rows)


def histogram_lines(bundle: Bundle, rows: Rows) -> Floats:
    """Return the same by a bundle in memory."""
    owner, clicked, likely = probabilities(bundle, rows)
    return score_cells(likely, clicked, owner, len(rows), EDGES)


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
    """Return the spread of the ads' released click rates (mean distance of their logits from the mean): exact."""
    rates = read_bundle(folder).arrays["ad"].astype(np.float64)
    return {"spread_of_rates": float(np.abs(rates - rates.mean()).mean())}
