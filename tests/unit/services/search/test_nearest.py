"""The approximate index finds what an exact search finds."""

from __future__ import annotations

import numpy as np
import pytest

from components.services.search.nearest import Nearest, made


def vectors(count: int, size: int = 48, seed: int = 4) -> np.ndarray:
    drawn = np.random.default_rng(seed)
    centres = drawn.standard_normal((30, size))
    rows = centres[drawn.integers(30, size=count)] + 0.7 * drawn.standard_normal((count, size))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_an_exact_search_gives_the_largest_cosines_in_order() -> None:
    listed = vectors(300)
    places, cosines = Nearest(listed).search(listed[7], 10)
    assert places[0] == 7
    np.testing.assert_allclose(cosines, np.sort(listed @ listed[7])[::-1][:10], rtol=1e-6)


def test_fewer_are_found_where_there_are_fewer() -> None:
    listed = vectors(5)
    assert len(Nearest(listed).search(listed[0], 100)[0]) == 5
    assert len(Nearest(listed, made(listed)).search(listed[0], 100)[0]) == 5


@pytest.mark.slow
def test_the_index_finds_nearly_all_and_orders_them_exactly() -> None:
    listed, asked = vectors(5_000), vectors(40, seed=9)
    index = made(listed)
    exact, near = Nearest(listed), Nearest(listed.astype(np.float16), index)
    shared = [len(set(exact.search(one, 100)[0]) & set(near.search(one, 100)[0])) for one in asked]
    assert np.mean(shared) >= 99
    cosines = near.search(asked[0], 100)[1]
    assert np.all(np.diff(cosines) <= 0)
    assert len(index.tobytes()) < listed.nbytes * 1.5
