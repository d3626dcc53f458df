from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import sparse

from components.core.errors import ContractBroken
from components.services.recommend import gram
from components.services.recommend.columns import partition
from components.services.recommend.data import Rows, fold_in
from components.services.recommend.lifts import denoised
from components.services.recommend.params import GramParams
from components.services.recommend.scoring import lines, scores

from . import shop

counts = arrays.arrays(int, st.tuples(st.integers(1, 6), st.integers(2, 8)), elements=st.integers(0, 30))


@given(counts)
def test_the_statistic_is_the_sum_of_each_users_pairs_at_norm_one(counted: np.ndarray) -> None:
    expected = np.zeros((counted.shape[1],) * 2)
    for row in counted.astype(float):
        pairs = np.outer(row, row) - np.diag(row)
        norm = np.linalg.norm(pairs)
        expected += pairs / norm if norm > 0 else 0
    np.testing.assert_allclose(gram.statistic(sparse.csr_array(counted)), expected, atol=1e-9)


@given(counts)
def test_one_user_has_norm_one_or_none(counted: np.ndarray) -> None:
    norm = np.linalg.norm(gram.statistic(sparse.csr_array(counted[:1])))
    assert norm == pytest.approx(1.0) if counted[0].sum() > 1 else norm == 0


def test_as_a_vector_it_has_the_norm_of_the_matrix_and_comes_back() -> None:
    matrix = gram.statistic(shop.tastes(50))
    vector = gram.as_vector(matrix)
    assert vector.shape == (30 * 31 // 2,)
    assert np.linalg.norm(vector) == pytest.approx(np.linalg.norm(matrix))
    np.testing.assert_allclose(gram.as_matrix(vector, 30), matrix)


def test_taste_is_a_share_and_an_empty_history_has_none() -> None:
    bundle = gram.bundle_of(
        gram.statistic(shop.tastes(300)),
        0.0,
        partition(shop.catalogue(), np.ones(30), limit=30, enough=31),
        shop.floor(),
        GramParams(),
    )
    counted = sparse.csr_array(np.vstack([np.zeros(30), np.eye(30)[3]]).astype(np.float32))
    assert gram.taste(bundle.arrays, counted).sum(axis=1).tolist() == pytest.approx([0.0, 1.0], abs=1e-5)


@pytest.mark.parametrize("limit", [6, 30])
def test_tastes_are_learnt_with_and_without_noise_and_drown_in_too_much_of_it(limit: int) -> None:
    floor = shop.floor(np.ones(30, dtype=np.float32))
    columns = partition(shop.catalogue(), np.ones(30), limit=limit, enough=limit)
    matrix = gram.statistic(columns.count(shop.tastes(3000)))
    noise = gram.as_vector(np.zeros_like(matrix))
    noise = np.random.default_rng(0).normal(size=noise.shape)
    test = Rows(shop.tastes(200, seed=2), shop.catalogue())

    def ndcg(sigma: float) -> float:
        noised = gram.as_matrix(gram.as_vector(matrix) + sigma * noise, len(columns))
        bundle = gram.bundle_of(noised, sigma, columns, floor, GramParams())
        return float(lines(lambda history: scores(bundle, history), test, 0)[:, 0].mean())

    popularity = float(lines(lambda history: scores(floor, history), test, 0)[:, 0].mean())
    assert ndcg(0.0) > popularity + 0.05
    assert ndcg(2.0) > popularity + 0.05
    assert ndcg(1e6) < popularity + 0.05


def test_without_a_floor_it_says_what_to_train_first(tmp_path: Path) -> None:
    plan = gram.Gram().plan(mu=1.0, delta=1e-5, population=10, params=gram.RecommendParams(), floor=None)
    with pytest.raises(ContractBroken, match="Train popularity first"):
        gram.Gram().fit(
            Rows(shop.tastes(5), shop.catalogue()),
            plan,
            shop.catalogue(),
            floor=None,
            intend=lambda n: None,
            out=tmp_path,
        )


def test_half_precision_loses_nothing_that_counts() -> None:
    columns = partition(shop.catalogue(), np.ones(30), limit=30, enough=31)
    bundle = gram.bundle_of(gram.statistic(shop.tastes(3000)), 0.0, columns, shop.floor(), GramParams())
    clean = gram.statistic(shop.tastes(3000))
    popularity = columns.total(shop.floor().popularity.astype(float))
    exact = gram.regression(denoised(clean, 0.0, popularity, columns.levels, spread=0.5), popularity, GramParams())
    halved = {"weights": bundle.arrays["weights"].astype(np.float32)}
    history, _ = fold_in(Rows(shop.tastes(100, seed=3), shop.catalogue()), 0)
    counted = columns.count(history)
    np.testing.assert_allclose(gram.taste(halved, counted), gram.taste({"weights": exact}, counted), rtol=0, atol=1e-4)
