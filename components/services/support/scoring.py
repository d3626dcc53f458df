"""From the probability of each intent to one line a user, and to the figures that are released."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.core.service import Histogram, Metric
from components.evaluation import score_figures
from components.evaluation.cells import even_edges, score_cells
from components.services.support.bundle import Bundle, read_bundle
from components.services.support.data import Rows
from components.services.support.params import SupportParams

Floats = npt.NDArray[np.float64]

METRICS = (Metric("accuracy"), Metric("handed_over"))
"""Means over users of the means over their messages: whether the likeliest intent is the true one (the gates'), and
whether the message goes to a person, of which less is better while accuracy stays."""

EDGES = even_edges(20)
_SCORES = 2 * (len(EDGES) + 1)
_PARTS = np.sqrt(3.0)
"""Three histograms of L2 norm 1 each are one vector of norm √3."""
_MISSED = np.sqrt(0.5)
"""A wrong answer is in two cells, missed of one intent and false of another: L2 norm 1 in all, as a right one's."""
FALSE_ALARMS = 0.05


def score(folder: Path, rows: Rows, seed: int) -> Floats:
    """Return `METRICS` of every row, `(users, metrics)`: un-noised, private. A line depends on its own row alone."""
    return lines(read_bundle(folder), rows)


def lines(bundle: Bundle, rows: Rows) -> Floats:
    """Return `METRICS` of every row by a bundle in memory, whatever list of intents it was made on."""
    likely = by_name(bundle, rows)
    guess = likely.argmax(axis=1)
    unsure = (guess == len(rows.names) - 1) | (likely.max(axis=1) < bundle.config.confidence)
    return rows.means(np.column_stack([guess == rows.intents, unsure]))


def by_name(bundle: Bundle, rows: Rows) -> Floats:
    """Return the probability of each intent of the rows' list, `(messages, intents)`: what the bundle knows and the
    list does not is out of scope.
    """
    likely = bundle.probabilities(rows.vectors)
    place = {name: number for number, name in enumerate(rows.names)}
    answer = np.zeros((len(likely), len(rows.names)))
    for number, name in enumerate(bundle.config.names):
        answer[:, place.get(name, len(place) - 1)] += likely[:, number]
    return answer


def out_of_scope(likely: Floats) -> Floats:
    """Return how much each message looks out of scope: what is left by its likeliest intent of the list."""
    return np.asarray(1 - likely[:, :-1].max(axis=1))


def cells_of(folder: Path, rows: Rows, seed: int) -> Floats:
    """Return of each user what the figures are derived from: un-noised, private."""
    return histogram_lines(read_bundle(folder), rows)


def histogram_lines(bundle: Bundle, rows: Rows) -> Floats:
    """Return the same by a bundle in memory, `(users, 3 · intents + 4 · bins)`.

    Right, missed and false by intent; then scores of being out of scope by whether it is; then confidence by whether
    the guess is right. Each user's messages are averaged: L2 norm at most 1.
    """
    likely = by_name(bundle, rows)
    guess, classes = likely.argmax(axis=1), len(rows.names)
    right = guess == rows.intents
    told = np.zeros((len(guess), 3, classes))
    here = np.arange(len(guess))
    told[here[right], 0, guess[right]] = 1
    told[here[~right], 1, rows.intents[~right]] = _MISSED
    told[here[~right], 2, guess[~right]] = _MISSED
    outside = score_cells(out_of_scope(likely), rows.intents == classes - 1, rows.owners, len(rows), EDGES)
    sure = score_cells(likely.max(axis=1), right, rows.owners, len(rows), EDGES)
    return np.asarray(np.column_stack([rows.means(told), outside, sure]) / _PARTS)


def figures_of(cells: Floats) -> dict[str, float]:
    """Return what is derived from the mean over users of their cells."""
    told, outside, sure = np.split(
        np.asarray(cells, dtype=np.float64), [len(cells) - 2 * _SCORES, len(cells) - _SCORES]
    )
    right, missed, false = told.reshape(3, -1) / np.array([[1], [_MISSED], [_MISSED]])
    return {
        "macro_f1": macro_f1(right, missed, false),
        "out_of_scope_recall": score_figures.recall_at_false_alarms(outside, FALSE_ALARMS),
        "calibration_error": score_figures.calibration_error(sure, EDGES),
    }


def macro_f1(right: Floats, missed: Floats, false: Floats) -> float:
    """Return the mean of F1 over the intents that are true or guessed at all; 0 where none is."""
    mass = 2 * right + missed + false
    there = mass > 0
    return float((2 * right[there] / mass[there]).mean()) if there.any() else 0.0


def histogram(params: SupportParams) -> Histogram:
    """Return the histogram for the intents of `params`."""
    return Histogram(
        size=3 * len(params.names) + 2 * _SCORES,
        of=cells_of,
        figures=figures_of,
        metrics=(Metric("macro_f1"), Metric("out_of_scope_recall"), Metric("calibration_error")),
        mass=float((1 / _MISSED + 2) / _PARTS),
    )


def probe(folder: Path) -> dict[str, float]:
    """Return how many of the sentences that describe the intents are understood: of public texts alone."""
    bundle = read_bundle(folder)
    likely = bundle.probabilities(bundle.arrays["described"][:-1].astype(np.float32))
    return {"descriptions_understood": float((likely.argmax(axis=1) == np.arange(len(likely))).mean())}
