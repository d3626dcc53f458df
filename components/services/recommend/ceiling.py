"""What is reached without privacy: a yardstick, for public sources only. Nothing here can be registered."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.services.recommend import autoencoder, popularity
from components.services.recommend.bundle import Bundle, Config
from components.services.recommend.columns import partition
from components.services.recommend.data import Catalogue, Matrix, Rows
from components.services.recommend.params import RecommendParams
from components.services.recommend.scoring import METRICS, Scorer, lines, scores

_SEED = 0
_EASE_RIDGE = 500.0


def ceiling(train: Rows, test: Rows, catalogue: Catalogue, params: RecommendParams) -> dict[str, dict[str, float]]:
    """Return un-noised mean metrics on `test` without privacy: popularity, EASE, the autoencoder if it takes part."""
    shares = popularity.shares(popularity.statistic(train.matrix), 0.0).astype(np.float32)
    floor = Bundle(Config(kind="popularity"), {"popularity": shares}, catalogue)
    popular = np.argsort(-shares, kind="stable")[: params.columns]
    weights = ease(train.matrix[:, popular], _EASE_RIDGE)

    def by_ease(history: Matrix) -> npt.NDArray[np.float32]:
        scored = scores(floor, history)
        reached = scored[:, popular] > -np.inf
        beyond = 1 + np.max(shares)  # every item of the model comes before the others
        scored[:, popular] = np.where(reached, beyond + 10 + history[:, popular] @ weights, -np.inf)
        return scored

    ways: dict[str, Scorer] = {"popularity": lambda history: scores(floor, history), "ease": by_ease}
    if "autoencoder" in params.candidates:
        columns = partition(catalogue, shares.astype(np.float64), limit=params.columns, enough=params.enough_categories)
        trained, _ = autoencoder.train(
            columns.count(train.matrix), columns, floor, params.autoencoder, params.augmentation, plan=None
        )
        ways["autoencoder"] = lambda history: scores(trained, history)
    return {name: _means(lines(way, test, _SEED)) for name, way in ways.items()}


def ease(matrix: Matrix, ridge: float) -> npt.NDArray[np.float32]:
    """Return EASE's item-to-item weights `(items, items)` with their zero diagonal (Steck 2019, equation 8)."""
    gram = (matrix.T @ matrix).toarray().astype(np.float64)
    inverse = np.linalg.inv(gram + ridge * np.eye(len(gram)))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights.astype(np.float32)


def _means(values: npt.NDArray[np.float64]) -> dict[str, float]:
    return {metric.name: float(mean) for metric, mean in zip(METRICS, values.mean(axis=0), strict=True)}
