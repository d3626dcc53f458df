from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse

from components.core.errors import ContractBroken
from components.services.recommend.bundle import Bundle, Config, read_bundle, write_bundle
from components.services.recommend.data import Catalogue, Rows, fold_in
from components.services.recommend.scoring import METRICS, lines, probe, score, scores, scores_over

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
    rows = Rows(shop.tastes(30), shop.catalogue())
    in_memory = lines(lambda seen: scores(personal(1.0), seen), rows, 5)
    np.testing.assert_array_equal(score(tmp_path / "bundle", rows, 5), in_memory)
    assert in_memory.shape == (30, len(METRICS))


def test_no_rows_have_no_lines(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", shop.floor())
    empty = Rows(sparse.csr_array((0, shop.ITEMS), dtype=np.float32), shop.catalogue())
    assert score(tmp_path / "bundle", empty, 5).shape == (0, len(METRICS))


def renamed(**names: str) -> Catalogue:
    """Return the shop's catalogue with other items in the places of some."""
    table = shop.catalogue().table
    items = [names.get(item.replace("-", "_"), item) for item in table["item"].to_pylist()]
    return Catalogue(table.set_column(0, "item", pa.array(items)))


def reordered(places: list[int]) -> Catalogue:
    """Return the items at `places` of the shop's catalogue, in their order."""
    return Catalogue(shop.catalogue().table.take(places))


def test_a_new_item_is_in_no_list_of_an_older_bundle_and_as_a_target_it_is_missed(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", shop.floor())
    newer = Catalogue(
        pa.concat_tables([pa.table({c: ["new"] for c in ("item", "title", "category")}), shop.catalogue().table])
    )
    moved = scores_over(newer, shop.floor())(sparse.csr_array(np.eye(1, 31, k=1, dtype=np.float32)))[0]
    assert moved[0] == -np.inf
    assert moved[1] == -np.inf  # the history's
    np.testing.assert_array_equal(moved[2:], shop.floor().popularity[1:])
    only_new = Rows(sparse.csr_array(np.eye(1, 31, dtype=np.float32)), newer)
    assert score(tmp_path / "bundle", only_new, 5).tolist() == [[0.0] * len(METRICS)]


def test_a_history_item_that_the_bundle_does_not_know_is_left_out() -> None:
    newer = renamed(item_04="another of the same place")
    with_unknown = scores_over(newer, personal(2.0))(history(4, 7))[0]
    without = scores(personal(2.0), history(7))[0]
    assert with_unknown[4] == -np.inf
    others = np.arange(shop.ITEMS) != 4
    np.testing.assert_array_equal(with_unknown[others], without[others])


def test_what_the_catalogue_no_longer_lists_is_in_no_list() -> None:
    fewer = reordered([29, 4, 7, 1])
    scored = scores_over(fewer, personal())(sparse.csr_array(np.array([[0, 1, 0, 0]], dtype=np.float32)))
    np.testing.assert_array_equal(scored[0, [0, 2, 3]], scores(personal(), history(4))[0, [29, 7, 1]])
    assert scored.shape == (1, 4)


def test_another_catalogue_of_the_same_size_has_nothing_in_common_and_scores_nothing(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", personal(1.0))
    table = shop.catalogue().table
    other = Catalogue(table.set_column(0, "item", pa.array([f"else-{place}" for place in range(shop.ITEMS)])))
    values = score(tmp_path / "bundle", Rows(shop.tastes(20), other), 5)
    by_name = dict(zip([metric.name for metric in METRICS], values.T, strict=True))
    assert set(by_name.pop("auc")) == {0.5}
    assert all((column == 0).all() for column in by_name.values())


def test_the_order_of_a_bundles_catalogue_does_not_matter(tmp_path: Path) -> None:
    drawn = np.random.default_rng(4).permutation(shop.ITEMS)
    one = personal(1.0)
    arrays = {**one.arrays, "popularity": one.arrays["popularity"][drawn], "column": one.arrays["column"][drawn]}
    write_bundle(tmp_path / "one", one)
    write_bundle(tmp_path / "two", Bundle(one.config, arrays, reordered(drawn.tolist())))
    rows = Rows(shop.tastes(50), shop.catalogue())
    np.testing.assert_allclose(score(tmp_path / "two", rows, 5), score(tmp_path / "one", rows, 5), rtol=1e-6)


def test_an_equal_catalogue_is_scored_as_it_is(tmp_path: Path) -> None:
    rows = Rows(shop.tastes(50), shop.catalogue())
    seen, _ = fold_in(rows, 5)
    np.testing.assert_array_equal(scores_over(shop.catalogue(), personal(1.0))(seen), scores(personal(1.0), seen))


def test_who_takes_more_than_half_a_list_counts_as_half() -> None:
    names = [f"item-{place:03d}" for place in range(100)]
    hundred = Catalogue(pa.table({"item": names, "title": names, "category": names}))
    everything = Rows(sparse.csr_array(np.ones((1, 100), dtype=np.float32)), hundred)
    found = lines(lambda seen: np.where(seen.toarray() > 0, -np.inf, 1).astype(np.float32), everything, 5)[0]
    by_name = dict(zip([metric.name for metric in METRICS], found, strict=True))
    assert (by_name["precision@20"], by_name["f1@20"], by_name["recall@20"]) == (0.5, 0.5, 1.0)


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
