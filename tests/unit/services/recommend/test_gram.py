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
    floor = shop.floor()  # unlike popularities: among equals the least lift that noise made would decide
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
    assert ndcg(1e6) == pytest.approx(popularity, abs=0.01)


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


def test_an_item_that_stands_alone_does_not_ask_for_itself() -> None:
    columns = partition(shop.catalogue(), np.arange(30, 0, -1.0), limit=10, enough=11)
    bundle = gram.bundle_of(gram.statistic(columns.count(shop.tastes(300))), 0.0, columns, shop.floor(), GramParams())
    own = np.diag(bundle.arrays["weights"])
    assert np.array_equal(own == 0, np.bincount(columns.of_item) == 1)


def test_the_tail_of_the_catalogue_keeps_its_order_where_the_weights_are_small() -> None:
    shares = (np.arange(30, 0, -1.0) ** 6).astype(np.float32)
    columns = partition(shop.catalogue(), np.ones(30), limit=30, enough=31)
    drowned = gram.bundle_of(np.zeros((30, 30)), 1e9, columns, shop.floor(shares), GramParams())
    scored = scores(drowned, sparse.csr_array(np.eye(30, dtype=np.float32)[:1]))[0]
    assert np.argsort(-scored, kind="stable")[:29].tolist() == list(range(1, 30))


rows = st.sets(st.integers(0, 29), min_size=0, max_size=12).map(sorted)


@given(st.lists(rows, min_size=0, max_size=6), rows, st.sampled_from([6, 10, 30]))
def test_a_further_user_moves_what_is_released_by_the_declared_sensitivity_and_no_more(
    others: list[list[int]], added: list[int], limit: int
) -> None:
    columns = partition(shop.catalogue(), np.arange(30, 0, -1.0), limit=limit, enough=7)

    def released(users: list[list[int]]) -> np.ndarray:
        """Return the vector to which `fit` adds its noise."""
        held = np.zeros((len(users), 30), dtype=np.float32)
        for user, items in enumerate(users):
            held[user, items] = 1
        return gram.as_vector(gram.statistic(columns.count(sparse.csr_array(held))))

    declared = gram.Gram().plan(mu=1.0, delta=1e-5, population=10, params=gram.RecommendParams(), floor=None)
    moved = np.linalg.norm(released([*others, added]) - released(others))
    assert moved <= declared.sensitivity * (1 + 1e-9)
    assert moved == pytest.approx(declared.sensitivity if len(added) > 1 else 0.0, abs=1e-9)


def test_the_less_stands_out_of_the_noise_the_more_popularity_weighs() -> None:
    columns = partition(shop.catalogue(), np.ones(30), limit=30, enough=31)
    matrix, params = gram.statistic(shop.tastes(3000)), GramParams()
    blends = [
        gram.bundle_of(matrix, sigma, columns, shop.floor(), params).config.blend for sigma in (0.0, 1.0, 10.0, 1e9)
    ]
    assert blends[0] == params.blend
    assert blends == sorted(blends)
    assert blends[-1] > 1000
    nothing = gram.bundle_of(-matrix, 1.0, columns, shop.floor(), params)
    assert nothing.config.blend > 1000


def test_at_a_thousand_times_the_noise_nothing_but_popularity_is_left() -> None:
    columns = partition(shop.catalogue(), np.ones(30), limit=30, enough=31)
    matrix = gram.statistic(shop.tastes(3000))
    drawn = np.random.default_rng(4).normal(size=gram.as_vector(matrix).shape)
    drowned = gram.bundle_of(
        gram.as_matrix(gram.as_vector(matrix) + 1000 * drawn, 30), 1000.0, columns, shop.floor(), GramParams()
    )
    history, _ = fold_in(Rows(shop.tastes(50, seed=5), shop.catalogue()), 0)
    by_taste, by_popularity = (np.argsort(-scores(one, history), axis=1)[:, :10] for one in (drowned, shop.floor()))
    assert np.array_equal(by_taste, by_popularity)
