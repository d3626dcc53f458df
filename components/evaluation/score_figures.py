"""Figures of a histogram of scores by label: pure, and post-processing where the histogram was released.

Everywhere, `cells` is the mean over users of `score_cells`, `(2 · bins,)`: label 0 by bin, then label 1 by bin, in
any unit, since only ratios count; `edges` are the inner edges. Within a bin nothing is known of the order of scores, so
each figure is that of the scores put to their bin's middle: it is off by at most what the bins are wide. Where a figure
is not defined (no positives, nothing predicted) it is what scikit-learn makes of it, or what is said below.
"""

from __future__ import annotations

import numpy as np

from components.evaluation.cells import Floats


def middles(edges: Floats) -> Floats:
    """Return the middle of each bin of [0, 1], `(bins,)`."""
    whole = np.concatenate([[0.0], edges, [1.0]])
    return np.asarray((whole[1:] + whole[:-1]) / 2)


def auc(cells: Floats) -> float:
    """Return the area under the ROC curve by the trapezoid over bins: ties within a bin count half.

    It differs from the area of the scores themselves by at most half the share of pairs (positive, negative) that fall
    into one bin. 0.5 where there are no positives or no negatives.
    """
    negatives, positives = _by_label(cells)
    pairs = negatives.sum() * positives.sum()
    if pairs <= 0:
        return 0.5
    below = np.cumsum(negatives) - negatives / 2
    return float(positives @ below / pairs)


def calibration_error(cells: Floats, edges: Floats) -> float:
    """Return the expected calibration error (Naeini et al. 2015): Σ over bins of mass · |share of positives − middle|.

    It differs from that with each bin's mean score by at most half the width of a bin. 0 where there is no mass.
    """
    negatives, positives = _by_label(cells)
    total = negatives.sum() + positives.sum()
    if total <= 0:
        return 0.0
    return float(np.abs(positives - middles(edges) * (negatives + positives)).sum() / total)


def log_loss(cells: Floats, edges: Floats) -> float:
    """Return −mean of the logarithm of the probability that the score gave to the label (nats). 0 without mass."""
    negatives, positives = _by_label(cells)
    total, score = negatives.sum() + positives.sum(), middles(edges)
    if total <= 0:
        return 0.0
    return float(-(positives @ np.log(score) + negatives @ np.log(1 - score)) / total)


def normalised_entropy(cells: Floats, edges: Floats) -> float:
    """Return the log loss ÷ that of giving everyone the share of positives (He et al. 2014, section 3).

    1 where all labels are alike.
    """
    negatives, positives = _by_label(cells)
    total = negatives.sum() + positives.sum()
    rate = positives.sum() / total if total > 0 else 0.0
    if not 0 < rate < 1:
        return 1.0
    entropy = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    return float(log_loss(cells, edges) / entropy)


def precision(cells: Floats, first: int) -> float:
    """Return the share of positives among what is scored in bin `first` or above. 0 where nothing is."""
    negatives, positives = _by_label(cells)
    return _ratio(positives[first:].sum(), positives[first:].sum() + negatives[first:].sum())


def recall(cells: Floats, first: int) -> float:
    """Return the share of the positives that is scored in bin `first` or above. 0 without positives."""
    _, positives = _by_label(cells)
    return _ratio(positives[first:].sum(), positives.sum())


def f1(cells: Floats, first: int) -> float:
    """Return the harmonic mean of `precision` and `recall`."""
    negatives, positives = _by_label(cells)
    hits = positives[first:].sum()
    return _ratio(2 * hits, hits + negatives[first:].sum() + positives.sum())


def recall_at_false_alarms(cells: Floats, rate: float) -> float:
    """Return the share of positives above the threshold that lets `rate` of the negatives above it.

    Between bins the ROC curve is a straight line: the threshold there is drawn by lot. Without negatives nothing can be
    a false alarm, and the recall is 1; without positives it is 0.
    """
    negatives, positives = _by_label(cells)
    if positives.sum() <= 0:
        return 0.0
    if negatives.sum() <= 0:
        return 1.0
    alarms = np.concatenate([[0.0], np.cumsum(negatives[::-1])]) / negatives.sum()
    found = np.concatenate([[0.0], np.cumsum(positives[::-1])]) / positives.sum()
    last = int(np.searchsorted(alarms, rate, side="right")) - 1  # the curve may rise where it is
    if last == len(alarms) - 1:
        return float(found[last])
    part = (rate - alarms[last]) / (alarms[last + 1] - alarms[last])
    return float(found[last] + part * (found[last + 1] - found[last]))


def _by_label(cells: Floats) -> tuple[Floats, Floats]:
    negatives, positives = np.asarray(cells, dtype=np.float64).reshape(2, -1)
    return negatives, positives


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else 0.0
