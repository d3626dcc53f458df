"""Simulated people of a recommender, and its smaller form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from components.core.params import SmallerBundles
from components.evaluation.smaller import shrink
from components.services.recommend import SERVICE
from components.services.recommend.bundle import Bundle, Config, read_bundle, write_bundle
from components.services.recommend.data import Catalogue
from components.services.recommend.smaller import ITEMS, USERS, simulated
from tests.unit.services.recommend import shop

WIDE = 90


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of 90 items in which kinds go together."""
    kinds = np.arange(WIDE) % shop.KINDS
    weights = np.where(kinds[:, None] == kinds, 1.0, 0.05) * np.random.default_rng(1).uniform(0.5, 1, (WIDE, WIDE))
    table = shop.catalogue().table.slice(0, 0)
    table = type(table).from_pylist(
        [{"item": f"i{item:02d}", "title": None, "category": f"kind-{item % shop.KINDS}"} for item in range(WIDE)],
        table.schema,
    )
    popularity = np.full(WIDE, 1 / WIDE, dtype=np.float32)
    arrays = {
        "popularity": popularity,
        "column": np.arange(WIDE, dtype=np.int32),
        "weights": weights.astype(np.float32),
    }
    write_bundle(tmp_path / "whole", Bundle(Config(kind="gram", blend=1.0), arrays, Catalogue(table)))
    return tmp_path / "whole"


def test_simulated_people_follow_what_the_bundle_says_and_are_the_same_for_one_seed(bundle: Path) -> None:
    rows = simulated(bundle, 3)
    assert rows.matrix.shape == (USERS, WIDE)
    assert set(np.diff(rows.matrix.indptr)) == {ITEMS}
    assert set(rows.matrix.data) == {1.0}
    assert (rows.matrix != simulated(bundle, 3).matrix).nnz == 0
    assert (rows.matrix != simulated(bundle, 4).matrix).nnz > 0
    kinds = np.stack([rows.matrix[:, kind :: shop.KINDS].sum(axis=1) for kind in range(shop.KINDS)])
    by_chance = np.random.default_rng(5).multinomial(ITEMS, [1 / 3] * 3, size=USERS).max(axis=1).mean()
    assert kinds.max(axis=0).mean() > by_chance + 0.5


def test_the_smaller_form_answers_nearly_the_same_and_goes_on(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    form = shrink(SERVICE, "gram", bundle, SmallerBundles(times_smaller=2, most_slower=1000), tmp_path / "scratch")
    assert form.way == "int8"
    assert abs(form.tried[0].loss) <= form.tried[0].most_loss <= 0.005
    small, whole = read_bundle(tmp_path / "scratch" / "int8"), read_bundle(bundle)
    request = SERVICE.request(history=["i00", "i03"], k=10)
    answers = [SERVICE.predict(one, request) for one in (whole, small)]
    np.testing.assert_allclose(*[[item.score for item in answer.items] for answer in answers], rtol=0.02)
