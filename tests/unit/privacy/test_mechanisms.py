import numpy as np
import pytest
import scipy.sparse as sparse
from scipy import stats

from components.core.errors import BudgetExhausted, ContractBroken
from components.core.params import Cap
from components.privacy import mechanisms
from tests.unit.privacy.builders import open_ledger, private, verbs

ROWS = np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 0.0], [0.1, 0.0, 0.2], [np.nan, 1.0, 1.0], [np.inf, 0.0, 1.0]])


def test_the_noise_is_gaussian_with_the_stated_deviation():
    draws = mechanisms.gaussian_noise((200, 500), 3.0)
    assert draws.shape == (200, 500)
    assert draws.std() == pytest.approx(3.0, rel=0.02)
    assert stats.kstest(draws.ravel() / 3.0, "norm").pvalue > 1e-6


def test_an_odd_number_of_draws_is_all_drawn():
    assert np.all(mechanisms.gaussian_noise(7, 1.0) != 0)


def test_no_two_draws_are_the_same_and_no_seed_changes_that():
    np.random.seed(0)
    first = mechanisms.gaussian_noise(50, 1.0)
    np.random.seed(0)
    assert not np.intersect1d(first, mechanisms.gaussian_noise(50, 1.0)).size


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_clipping_shortens_long_rows_and_leaves_short_ones(form):
    clipped = mechanisms.clip_rows(form(ROWS), 1.0)
    dense = clipped.toarray() if sparse.issparse(clipped) else clipped
    np.testing.assert_allclose(dense[:3], [[0.6, 0.8, 0.0], [0.0, 0.0, 0.0], [0.1, 0.0, 0.2]])


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_a_row_that_is_not_finite_counts_for_nothing(form):
    clipped = mechanisms.clip_rows(form(ROWS), 1.0)
    dense = clipped.toarray() if sparse.issparse(clipped) else clipped
    assert np.all(dense[3:] == 0)


def test_clipping_leaves_its_input_as_it_was():
    rows = sparse.csr_array(ROWS[:3])
    mechanisms.clip_rows(rows, 0.1)
    np.testing.assert_array_equal(rows.toarray(), ROWS[:3])


def test_the_noise_of_a_sum_is_the_multiplier_times_the_sensitivity():
    noised = mechanisms.noised_sum(np.full(40_000, 7.0), sensitivity=0.5, noise_multiplier=4.0)
    assert noised.mean() == pytest.approx(7.0, abs=0.1)
    assert noised.std() == pytest.approx(2.0, rel=0.03)


def test_a_sum_that_is_not_finite_is_refused():
    with pytest.raises(ContractBroken, match="not finite"):
        mechanisms.noised_sum(np.array([1.0, np.nan]), 1.0, 1.0)


def test_the_lower_bound_fails_as_rarely_as_it_says():
    truth, sigma, trials = 1_000.0, 20.0, 20_000
    noised = truth + mechanisms.gaussian_noise(trials, sigma)
    failures = sum(mechanisms.lower_bound(value, sigma, failure=0.01) > truth for value in noised)
    assert 0.006 * trials < failures < 0.014 * trials


def test_a_population_is_counted_and_charged_once(ledger):
    rows = private(ROWS)
    first = mechanisms.population(ledger, rows, 2.0)
    assert mechanisms.population(ledger, rows, 2.0) == first
    assert verbs(ledger).count("settle") == 1
    assert first.lower_bound < first.noised
    assert (first.ledger, first.split) == (ledger.genesis, "train")


def test_a_population_is_at_least_1_whatever_the_noise(ledger):
    assert mechanisms.population(ledger, private(ROWS[:0]), 50.0).lower_bound == 1


def test_a_count_that_does_not_fit_is_refused(home):
    ledger = open_ledger(home, Cap(epsilon=0.5, delta=1e-6))
    with pytest.raises(BudgetExhausted, match="dp_count"):
        mechanisms.population(ledger, private(ROWS), 0.5)
