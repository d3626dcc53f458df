"""Figures of a confusion matrix: pure, and post-processing where the matrix was released.

`cells` is the mean over users of `confusion_cells`, `(classes²,)`: by true class, then predicted class, in any unit.
The figures agree with scikit-learn's `accuracy_score`, `recall_score` and `f1_score`.
"""

from __future__ import annotations

import numpy as np

from components.evaluation.cells import Floats


def accuracy(cells: Floats) -> float:
    """Return the share that is predicted as it is. 0 where there is nothing."""
    matrix = _matrix(cells)
    total = matrix.sum()
    return float(np.trace(matrix) / total) if total > 0 else 0.0


def macro_f1(cells: Floats) -> float:
    """Return the mean of F1 over the classes that are true or predicted at least once. 0 where none is."""
    scores = f1_by_class(cells)
    present = np.isfinite(scores)
    return float(scores[present].mean()) if present.any() else 0.0


def f1_by_class(cells: Floats) -> Floats:
    """Return F1 of each class, `(classes,)`; NaN for one that is neither true nor predicted."""
    matrix = _matrix(cells)
    hits, mass = np.diag(matrix), matrix.sum(axis=0) + matrix.sum(axis=1)
    return np.asarray(np.divide(2 * hits, mass, out=np.full(len(hits), np.nan), where=mass > 0))


def recall_of(cells: Floats, true: int) -> float:
    """Return the share of class `true` that is predicted as such. 0 where there is none of it."""
    line = _matrix(cells)[true]
    return float(line[true] / line.sum()) if line.sum() > 0 else 0.0


def _matrix(cells: Floats) -> Floats:
    flat = np.asarray(cells, dtype=np.float64)
    classes = round(len(flat) ** 0.5)
    return flat.reshape(classes, classes)
