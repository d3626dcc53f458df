"""What is looked at together: bounded for each user, and read as taste where it stands out of the noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from components.services.ads import pairs
from components.services.ads.data import Catalogue, Looks
from components.services.ads.rates import BOUND, parts

from .shop import crowd, rows_of

baskets = st.lists(st.sets(st.integers(0, 9), max_size=10), min_size=1, max_size=6)


def held(everyone: list[set[int]]) -> sparse.csr_array:
    matrix = np.zeros((len(everyone), 10))
    for user, basket in enumerate(everyone):
        matrix[user, list(basket)] = 1
    return sparse.csr_array(matrix)


@given(baskets, st.sets(st.integers(0, 9), max_size=10))
@settings(max_examples=60, deadline=None)
def test_one_user_moves_the_pairs_by_one_or_by_nothing(everyone: list[set[int]], another: set[int]) -> None:
    before, after = pairs.statistic(held(everyone)), pairs.statistic(held([*everyone, another]))
    assert np.linalg.norm(after - before) == pytest.approx(1.0 if len(another) > 1 else 0.0, abs=1e-9)


def test_one_user_moves_the_rates_by_at_most_one(tmp_path: Path) -> None:
    norms = np.sqrt(np.asarray(parts(rows_of(tmp_path, crowd())).power(2).sum(axis=1)))
    assert norms.max() <= 1 + 1e-12
    assert norms.min() > 0.3 / BOUND


def test_people_of_two_tastes_leave_lifts_of_two_kinds() -> None:
    drawn = np.random.default_rng(1)
    kind = drawn.integers(0, 2, 4000)[:, None] == np.arange(10) % 2
    clear = pairs.statistic(sparse.csr_array((drawn.random((4000, 10)) < np.where(kind, 0.5, 0.05)).astype(float)))
    same = np.equal.outer(np.arange(10) % 2, np.arange(10) % 2)
    for sigma in (0.0, 3.0):
        lifts = pairs.log_lifts(clear + drawn.normal(0, 1, len(clear)) * sigma, sigma, 10)
        np.testing.assert_allclose(lifts, lifts.T, atol=1e-6)
        assert lifts[same & ~np.eye(10, dtype=bool)].min() > 0.1
        assert lifts[~same].max() < -0.1


def test_noise_alone_says_nothing_of_any_pair() -> None:
    drawn = np.random.default_rng(2)
    lifts = pairs.log_lifts(drawn.normal(0, 5.0, 40 * 39 // 2), 5.0, 40)
    assert np.isfinite(lifts).all()
    assert np.abs(lifts).mean() < 0.02


@pytest.mark.parametrize(("columns", "noised"), [(1, []), (2, [0.0]), (2, [-5.0])])
def test_few_columns_and_nothing_seen_are_no_error(columns: int, noised: list[float]) -> None:
    assert np.isfinite(pairs.log_lifts(np.array(noised), 1.0, columns)).all()


def test_too_many_items_share_a_column_by_category_but_for_those_that_are_advertised() -> None:
    items = pa.table({"item": [f"i{n}" for n in range(20)], "category": [f"c{n % 2}" for n in range(20)]})
    ads = pa.table({"ad": ["x", "y"], "item": ["i3", "i8"]})
    catalogue = Catalogue(ads, items)
    assert pairs.columns(catalogue, 20).tolist() == list(range(20))
    some = pairs.columns(catalogue, 5)
    assert len(set(some)) == 4
    assert [int((some == some[item]).sum()) for item in (3, 8)] == [1, 1]
    assert set(pairs.columns(catalogue, 3).tolist()) == {0, 1}


def test_what_is_looked_at_twice_in_a_column_counts_once() -> None:
    looks = Looks(np.array([0, 3, 3]), np.array([0, 2, 1]))
    assert pairs.held(looks, np.array([0, 1, 0])).toarray().tolist() == [[1, 1], [0, 0]]
