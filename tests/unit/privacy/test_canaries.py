import numpy as np
import pytest
from scipy import sparse

from components.core.errors import ContractBroken
from components.privacy.canaries import COHORT, Canaries, Observed
from components.services.recommend import gram, popularity

CANARIES = Canaries.flipped(1000)


def matrix_of(users=50, items=20, seed=1):
    return sparse.csr_array((np.random.default_rng(seed).random((users, items)) < 0.2).astype(np.float32))


def part_of(canaries):
    return np.where(canaries.inserted, canaries.users, 0)


def test_half_of_the_canaries_stand_alone_and_half_are_in_cohorts():
    assert CANARIES.users.sum() == 1000
    assert (CANARIES.users == 1).sum() == 500
    assert set(CANARIES.users) == {1, COHORT}


def test_a_fair_coin_of_its_own_decides_for_each_direction():
    coins = np.array([Canaries.flipped(1000).inserted for _ in range(200)])
    assert abs(coins.mean() - 0.5) < 0.02
    assert np.all((coins.mean(axis=0) > 0.25) & (coins.mean(axis=0) < 0.75))


def test_no_user_shares_a_row_or_a_column_with_a_canary():
    matrix = matrix_of()
    for both in (CANARIES.numbered(matrix), CANARIES.as_items(matrix), CANARIES.as_pairs(matrix)):
        np.testing.assert_array_equal(both[:50, :20].toarray(), matrix.toarray())
        assert both.shape[0] == 50 + part_of(CANARIES).sum()
        assert both[:50, 20:].nnz == both[50:, :20].nnz == 0


def test_in_popularity_a_canary_is_worth_the_whole_sensitivity_and_moves_nothing_that_is_released():
    matrix = matrix_of()
    vector = popularity.statistic(CANARIES.as_items(matrix))
    np.testing.assert_array_equal(vector[:20], popularity.statistic(matrix))
    np.testing.assert_allclose(vector[20 : 20 + CANARIES.directions], part_of(CANARIES))
    assert not vector[20 + CANARIES.directions :].any()


def test_in_the_gram_matrix_a_canary_is_worth_the_whole_sensitivity_and_moves_nothing_that_is_released():
    matrix = matrix_of()
    whole = gram.statistic(CANARIES.as_pairs(matrix))
    np.testing.assert_array_equal(whole[:20, :20], gram.statistic(matrix))
    seen = np.sqrt(2) * CANARIES.in_pairs(whole)
    np.testing.assert_allclose(seen[: CANARIES.directions], part_of(CANARIES))
    assert not seen[CANARIES.directions :].any()
    alone = Canaries(np.ones(1, dtype=np.int64), np.ones(1, dtype=bool))
    assert np.linalg.norm(gram.as_vector(gram.statistic(alone.as_pairs(matrix[:0])))) == pytest.approx(1.0)


def test_what_was_seen_comes_back_from_a_file(tmp_path):
    canaries = Canaries.flipped(200)
    coordinates = np.arange(canaries.coordinates, dtype=float)
    canaries.observe(coordinates, steps=3)
    found = Observed.read(canaries.required().write(tmp_path / "canaries.json"))
    assert found == canaries.observed
    assert found.nulls == len(coordinates) - canaries.directions
    assert found.null_mean == pytest.approx(coordinates[canaries.directions :].mean())


def test_a_mechanism_that_says_nothing_of_its_canaries_or_nonsense_is_refused():
    canaries = Canaries.flipped(200)
    with pytest.raises(ContractBroken, match="did not say"):
        canaries.required()
    for wrong in (np.zeros(3), np.full(canaries.coordinates, np.nan)):
        with pytest.raises(ContractBroken, match="reserved coordinates"):
            canaries.observe(wrong)
