"""Laws of accounting and clipping: monotone, additive, bounded, and the filter never admits more than its cap."""

import numpy as np
import pytest
import scipy.sparse as sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from components.core.errors import BudgetExhausted
from components.core.params import Cap
from components.privacy import accounting, mechanisms
from components.privacy.accounts import Book, Hold, open_account
from components.privacy.release import Gaussian, SampledGaussian
from tests.unit.privacy.builders import release_of

sigmas = st.floats(0.3, 50)
gaussians = st.builds(Gaussian, noise_multiplier=sigmas, count=st.integers(1, 5))
sampled = st.builds(
    SampledGaussian, noise_multiplier=st.floats(0.6, 10), sample_rate=st.floats(0.001, 0.99), steps=st.integers(1, 500)
)
orders = st.integers(2, 64)


@given(st.floats(0.05, 20), st.floats(1e-10, 1e-3))
def test_mu_and_epsilon_are_each_others_inverse(epsilon, delta):
    assert accounting.gaussian_epsilon(accounting.gaussian_mu(epsilon, delta), delta) == pytest.approx(
        epsilon, rel=1e-5
    )


@given(st.lists(gaussians, min_size=1, max_size=6), gaussians)
def test_a_further_release_never_costs_less(events, more):
    before = accounting.epsilon_of(events, 1e-6)
    assert accounting.epsilon_of([*events, more], 1e-6) >= before - 1e-9


@given(st.lists(gaussians, min_size=2, max_size=6))
def test_order_of_releases_does_not_matter(events):
    assert accounting.epsilon_of(events, 1e-6) == pytest.approx(accounting.epsilon_of(events[::-1], 1e-6))


@given(sampled, orders, st.integers(1, 5))
def test_rdp_adds_up_over_steps(event, order, times):
    longer = event.model_copy(update={"steps": event.steps * times})
    assert accounting.rdp(longer, order) == pytest.approx(times * accounting.rdp(event, order))


@given(sampled, orders)
def test_sampling_never_costs_more_than_everyone_and_orders_grow(event, order):
    everyone = event.model_copy(update={"sample_rate": 1.0})
    assert 0 <= accounting.rdp(event, order) <= accounting.rdp(everyone, order) * (1 + 1e-9)
    assert accounting.rdp(event, order) <= accounting.rdp(event, order + 1) * (1 + 1e-9)


@settings(max_examples=15, deadline=None)
@given(sampled)
def test_pld_is_at_most_what_rdp_says(event):
    by_pld = accounting.epsilon_of([event], 1e-6, grid=accounting.COARSE)
    assert by_pld <= accounting.rdp_epsilon_of([event], 1e-6) * 1.001 + 0.02


@given(st.lists(gaussians, min_size=1, max_size=25), st.floats(0.5, 20), st.floats(1e-9, 1e-4))
def test_what_the_filter_admits_stays_within_the_cap_by_the_exact_figure(events, epsilon, delta):
    book, account, admitted = Book(), open_account("2000Q4", "train", Cap(epsilon=epsilon, delta=delta)), []
    for number, event in enumerate(events):
        release = release_of(event)
        try:
            book.admit(release, [account])
        except BudgetExhausted:
            continue
        book.holds[str(number), 1] = Hold(str(number), 1, release)
        admitted.append(event)
    assert accounting.epsilon_of(admitted, delta) <= epsilon
    refused = [event for event in events if event not in admitted]
    spent = sum(accounting.rdp(event, account.order) for event in admitted)
    assert all(spent + accounting.rdp(event, account.order) > account.rdp_cap * (1 - 1e-12) for event in refused)


matrices = arrays.arrays(
    np.float64,
    st.tuples(st.integers(1, 8), st.integers(1, 6)),
    elements=st.floats(allow_nan=True, allow_infinity=True, width=32),
)


@given(matrices, st.floats(0.01, 100))
def test_no_clipped_row_is_longer_than_the_bound_and_none_is_turned(rows, bound):
    clipped = mechanisms.clip_rows(rows, bound)
    assert np.isfinite(clipped).all()
    assert (np.linalg.norm(clipped, axis=1) <= bound * (1 + 1e-9)).all()
    fit = np.isfinite(rows).all(axis=1) & (np.linalg.norm(np.nan_to_num(rows), axis=1) <= bound)
    np.testing.assert_array_equal(clipped[fit], rows[fit])
    assert (np.sign(clipped[np.isfinite(rows).all(axis=1)]) * np.sign(rows[np.isfinite(rows).all(axis=1)]) >= 0).all()
    np.testing.assert_allclose(mechanisms.clip_rows(sparse.csr_array(rows), bound).toarray(), clipped, rtol=1e-6)


@given(matrices, st.floats(0.01, 10), st.data())
def test_one_user_moves_the_clipped_sum_by_at_most_the_bound(rows, bound, data):
    user = data.draw(st.integers(0, len(rows) - 1))
    whole = mechanisms.clip_rows(rows, bound).sum(axis=0)
    without = mechanisms.clip_rows(np.delete(rows, user, axis=0), bound).sum(axis=0)
    assert np.linalg.norm(whole - without) <= bound * (1 + 1e-6)
