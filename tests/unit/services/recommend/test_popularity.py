from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from components.services.recommend.popularity import shares, statistic

from . import shop


def test_every_user_has_the_same_say() -> None:
    rows = shop.tastes(40)
    expected = (rows.toarray().astype(float) / np.sqrt(6)).sum(axis=0)
    np.testing.assert_allclose(statistic(rows), expected)


@given(arrays.arrays(float, 20, elements=st.floats(-1e6, 1e6)), st.sampled_from([0.0, 0.3, 5.0, 1e5]))
def test_shares_are_positive_and_keep_the_order_of_the_noised_figures(noised: np.ndarray, sigma: float) -> None:
    popularity = shares(noised, sigma)
    assert np.all(popularity > 0)
    assert abs(popularity.sum() - 1) < 1e-9
    order = np.argsort(noised, kind="stable")
    assert np.all(np.diff(popularity[order]) >= -1e-15)
