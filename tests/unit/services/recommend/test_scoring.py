from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from components.core.errors import ContractBroken
from components.services.recommend.bundle import Bundle, Config, read_bundle, write_bundle
from components.services.recommend.data import Rows
from components.services.recommend.scoring import METRICS, lines, probe, score, scores

from . import shop


def history(*items: int) -> sparse.csr_array:
    row = np.zeros((1, shop.ITEMS), dtype=np.float32)
    row[0, list(items)] = 1
    return sparse.csr_array(row)


def personal(blend: float = 0.0) -> Bundle:
    """Return a bundle of three columns, the kinds, whose taste is wholly for the kinds of the history."""
    arrays = {
        "popularity": shop.floor().arrays["popularity"],
        "column": (np.arange(shop.ITEMS) % shop.KINDS).astype(np.int32),
        "weights": np.eye(shop.KINDS, dtype=np.float16),
    }
    return Bundle(Config(kind="gram", blend=blend), arrays, shop.catalogue())


def test_popularity_answers_everyone_alike_but_for_what_they_have() -> None:
    scored = scores(shop.floor(), history(0))
    assert np.flatnonzero(scored == -np.inf).tolist() == [0]
    assert scored[0].argmax() == 1


def test_a_taste_is_spread_over_its_column_by_popularity() -> None:
    scored = scores(personal(), history(4))[0]
    assert np.argsort(-scored, kind="stable")[:3].tolist() == [1, 7, 10]
    assert np.all(scored[np.arange(shop.ITEMS) % shop.KINDS != 1] == 0)


def test_scores_are_shares_before_the_history_is_taken_out() -> None:
    scored = scores(personal(blend=2.0), history(4))[0]
    popularity = shop.floor().popularity
    share = popularity[4] * ((1 / 3) / popularity[1::3].sum() + 2 / 3)
    assert scored[np.isfinite(scored)].sum() == pytest.approx(1 - share, rel=1e-5)


def test_an_empty_history_gets_popularity_at_any_blend() -> None:
    for blend in (0.0, 2.0):
        np.testing.assert_allclose(scores(personal(blend), history()), scores(shop.floor(), history()), rtol=1e-6)


def test_a_larger_blend_is_nearer_to_popularity() -> None:
    others = np.arange(shop.ITEMS) != 4
    popularity = scores(shop.floor(), history(4))[0, others]
    answers = [scores(personal(blend), history(4))[0, others] for blend in (0.0, 1.0, 10.0, 1e4)]
    distance = [float(np.abs(answer - popularity).sum()) for answer in answers]
    assert distance == sorted(distance, reverse=True)
    assert distance[-1] < 1e-3


def test_a_score_file_and_its_bundle_agree(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", personal(1.0))
    rows = Rows(shop.tastes(30))
    in_memory = lines(lambda seen: scores(personal(1.0), seen), rows, 5)
    np.testing.assert_array_equal(score(tmp_path / "bundle", rows, 5), in_memory)
    assert in_memory.shape == (30, len(METRICS))


def test_no_rows_have_no_lines(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", shop.floor())
    empty = Rows(sparse.csr_array((0, shop.ITEMS), dtype=np.float32))
    assert score(tmp_path / "bundle", empty, 5).shape == (0, len(METRICS))


def test_coverage_of_popularity_is_one_list_and_the_item_behind_it(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", shop.floor())
    assert probe(tmp_path / "bundle") == {"coverage@20": 21 / 30}


def test_a_bundle_without_a_figure_for_every_item_is_refused(tmp_path: Path) -> None:
    bundle = shop.floor()
    write_bundle(tmp_path, Bundle(bundle.config, {"popularity": bundle.popularity[:7]}, bundle.catalogue))
    with pytest.raises(ContractBroken, match="no popularity for every item"):
        read_bundle(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors", "items.parquet"])
def test_a_bundle_with_a_broken_file_is_refused(tmp_path: Path, name: str) -> None:
    write_bundle(tmp_path, shop.floor())
    (tmp_path / name).write_bytes(b"half a fi")
    with pytest.raises(ContractBroken, match=r"is not a bundle|cannot be read"):
        read_bundle(tmp_path)
