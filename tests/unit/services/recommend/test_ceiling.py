from __future__ import annotations

import numpy as np
import pytest

from components.services.recommend.ceiling import ceiling, ease
from components.services.recommend.data import Rows
from components.services.recommend.params import RecommendParams
from components.services.recommend.scoring import METRICS

from . import shop


def test_ease_solves_its_own_problem() -> None:
    """Each column minimises ‖x_j - X b‖² + λ‖b‖² over b with b_j = 0: the gradient off the diagonal is zero."""
    rows = shop.tastes(200)
    weights = ease(rows, 10.0).astype(float)
    dense = rows.toarray().astype(float)
    gradient = dense.T @ (dense @ weights - dense) + 10.0 * weights
    assert np.all(np.diag(weights) == 0)
    assert np.abs(gradient[~np.eye(30, dtype=bool)]).max() < 1e-2


@pytest.mark.slow
def test_every_ceiling_has_every_metric_and_taste_beats_popularity() -> None:
    params = RecommendParams(
        candidates=("popularity", "gram", "autoencoder"),
        columns=20,
        enough_categories=4,
        autoencoder={"ceiling_steps": 60, "hidden": 16},
    )
    found = ceiling(
        Rows(shop.tastes(1500), shop.catalogue()),
        Rows(shop.tastes(200, seed=2), shop.catalogue()),
        shop.catalogue(),
        params,
    )
    assert list(found) == ["popularity", "ease", "autoencoder"]
    assert all(set(means) == {metric.name for metric in METRICS} for means in found.values())
    assert found["ease"]["ndcg@100"] > found["popularity"]["ndcg@100"] + 0.03
