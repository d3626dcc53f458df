"""Simulated people of a recommender, and its smaller form."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from components.core import digest
from components.core.errors import ContractBroken
from components.core.params import SmallerBundles
from components.evaluation.smaller import shrink
from components.services.bundles import as_int8
from components.services.recommend import SERVICE
from components.services.recommend.autoencoder import taste
from components.services.recommend.bundle import Bundle, Config, read_bundle, write_bundle
from components.services.recommend.data import Catalogue
from components.services.recommend.distilled import NARROWER, distilled
from components.services.recommend.simulated import ITEMS, USERS, simulated
from components.serving import bundle as served
from tests.unit.services.recommend import shop

WIDE = 90


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """90 items of three kinds."""
    table = shop.catalogue().table.slice(0, 0)
    rows = [{"item": f"i{item:02d}", "title": None, "category": f"kind-{item % shop.KINDS}"} for item in range(WIDE)]
    return Catalogue(type(table).from_pylist(rows, table.schema))


@pytest.fixture
def bundle(tmp_path: Path, catalogue: Catalogue) -> Path:
    """A bundle in which kinds go together."""
    kinds = np.arange(WIDE) % shop.KINDS
    weights = np.where(kinds[:, None] == kinds, 1.0, 0.05) * np.random.default_rng(1).uniform(0.5, 1, (WIDE, WIDE))
    popularity = np.full(WIDE, 1 / WIDE, dtype=np.float32)
    arrays = {
        "popularity": popularity,
        "column": np.arange(WIDE, dtype=np.int32),
        "weights": weights.astype(np.float32),
    }
    write_bundle(tmp_path / "whole", Bundle(Config(kind="gram", blend=1.0), arrays, catalogue))
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
    assert form.tried[0].loss < form.tried[0].most_loss <= 0.005
    small, whole = read_bundle(tmp_path / "scratch" / "int8"), read_bundle(bundle)
    request = SERVICE.request(history=["i00", "i03"], k=10)
    answers = [SERVICE.predict(one, request) for one in (whole, small)]
    np.testing.assert_allclose(*[[item.score for item in answer.items] for answer in answers], rtol=0.02)


@pytest.fixture
def network(tmp_path: Path, catalogue: Catalogue) -> Path:
    """An autoencoder of width 16, of which three directions matter."""
    drawn = np.random.default_rng(2)
    kinds = np.eye(shop.KINDS)[np.arange(WIDE) % shop.KINDS]
    along = np.linalg.qr(drawn.normal(size=(16, shop.KINDS)))[0]
    arrays = {
        "popularity": np.full(WIDE, 1 / WIDE),
        "column": np.arange(WIDE),
        "encoder.weight": along @ kinds.T,
        "encoder.bias": np.zeros(16),
        "decoder.weight": 3 * kinds @ along.T + drawn.normal(0, 0.02, (WIDE, 16)),
        "decoder.bias": np.zeros(WIDE),
    }
    whole = {name: array.astype(np.int32 if name == "column" else np.float32) for name, array in arrays.items()}
    write_bundle(tmp_path / "network", Bundle(Config(kind="autoencoder", blend=1.0), whole, catalogue))
    return tmp_path / "network"


def test_a_student_of_half_the_width_says_what_its_teacher_says(network: Path, tmp_path: Path) -> None:
    (tmp_path / "student").mkdir()
    distilled(network, tmp_path / "student")
    teacher, student = read_bundle(network), read_bundle(tmp_path / "student")
    assert len(student.arrays["encoder.bias"]) * NARROWER == len(teacher.arrays["encoder.bias"])
    histories = simulated(network, 7, 200).matrix
    said, wanted = taste(student.arrays, histories), taste(teacher.arrays, histories)
    assert np.abs(said - wanted).sum(axis=1).mean() < 0.05
    assert np.abs(wanted - wanted.mean(axis=0)).sum(axis=1).mean() > 0.5, "the teacher says different things of them"


def test_what_is_no_network_is_not_distilled(bundle: Path, tmp_path: Path) -> None:
    distilled(bundle, tmp_path / "student")
    as_int8(bundle, tmp_path / "small")
    assert digest.of_path(tmp_path / "student") == digest.of_path(tmp_path / "small")


def test_serving_verifies_the_smaller_form_and_answers_with_it(bundle: Path, tmp_path: Path) -> None:
    as_int8(bundle, tmp_path / "small")
    champion = SimpleNamespace(version=4, bundle=tmp_path / "small", bundle_digest=digest.of_path(tmp_path / "small"))
    answer = SERVICE.predict(served.load(SERVICE, champion).model, SERVICE.request(history=["i00"], k=5))
    assert {int(item.item[1:]) % shop.KINDS for item in answer.items} == {0}
    with pytest.raises(ContractBroken, match="not the one that was approved"):
        served.load(SERVICE, SimpleNamespace(**{**vars(champion), "bundle": bundle}))
