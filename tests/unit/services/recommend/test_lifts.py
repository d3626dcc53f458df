from __future__ import annotations

import numpy as np
import pytest

from components.services.recommend.lifts import denoised

CATEGORY = np.repeat(np.arange(4), 5)
KINDS = (CATEGORY[:, None] == CATEGORY[None, :]) + np.eye(20, dtype=np.int64)
POPULARITY = np.linspace(2, 1, 20) / np.linspace(2, 1, 20).sum()


def truth() -> np.ndarray:
    """Return a matrix in which pairs meet three times as often within a category of five."""
    return 4000 * np.outer(POPULARITY, POPULARITY) * np.where(KINDS > 0, 3.0, 1.0)


def noisy(sigma: float, seed: int) -> np.ndarray:
    noise = np.triu(np.random.default_rng(seed).normal(size=(20, 20)) * sigma / np.sqrt(2), 1)
    return truth() + noise + noise.T + np.diag(np.random.default_rng(seed + 1).normal(size=20) * sigma)


def test_without_noise_the_matrix_is_kept() -> None:
    drawn = truth() * np.exp(np.random.default_rng(0).normal(size=(20, 20)) * 0.2)
    symmetric = (drawn + drawn.T) / 2
    np.testing.assert_allclose(denoised(symmetric, 0.0, POPULARITY, KINDS, spread=0.5), symmetric, rtol=1e-6)


@pytest.mark.parametrize(("sigma", "left"), [(2.0, 1.0), (10.0, 0.7), (50.0, 0.3), (500.0, 0.2)])
def test_the_more_noise_there_is_the_more_of_it_is_taken_away(sigma: float, left: float) -> None:
    before = np.linalg.norm(noisy(sigma, 1) - truth())
    after = np.linalg.norm(denoised(noisy(sigma, 1), sigma, POPULARITY, KINDS, spread=0.5) - truth())
    assert after < left * before


def test_kin_are_told_apart_where_no_single_pair_is() -> None:
    sigma = 20.0  # a pair is expected 10 times, 30 among kin
    drawn = [denoised(noisy(sigma, seed), sigma, POPULARITY, KINDS, spread=0.1) for seed in range(10)]
    lifts = np.mean(drawn, axis=0) / np.outer(POPULARITY, POPULARITY)
    assert lifts[KINDS == 1].mean() > 2 * lifts[KINDS == 0].mean()


def test_what_is_left_is_symmetric_and_positive_whatever_the_noise() -> None:
    left = denoised(noisy(1e6, 3), 1e6, POPULARITY, KINDS, spread=0.5)
    np.testing.assert_allclose(left, left.T)
    assert np.all(left > 0)


def test_noise_that_hides_everything_leaves_what_popularity_expects() -> None:
    left = denoised(noisy(1e9, 5), 1e9, POPULARITY, KINDS, spread=0.5)
    expected = np.outer(POPULARITY, POPULARITY)
    np.testing.assert_allclose(left / left.sum(), expected / expected.sum(), rtol=1e-3)


def test_an_item_never_meets_itself() -> None:
    alone = np.arange(20) < 7
    left = denoised(noisy(5.0, 6), 5.0, POPULARITY, KINDS, spread=0.5, alone=alone)
    assert np.array_equal(np.diag(left) == 0, alone)


def test_the_same_columns_in_another_order_are_estimated_alike() -> None:
    order = np.random.default_rng(2).permutation(20)
    moved = np.ix_(order, order)
    one = denoised(noisy(5.0, 4), 5.0, POPULARITY, KINDS, spread=0.5)
    two = denoised(noisy(5.0, 4)[moved], 5.0, POPULARITY[order], KINDS[moved], spread=0.5)
    np.testing.assert_allclose(two, one[moved])
