from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from components.core.errors import ContractBroken
from components.services.recommend.data import Catalogue, Rows, fold_in, read_catalogue, read_rows

from . import shop


def table(path: Path, pairs: list[tuple[str, str]]) -> Path:
    pq.write_table(pa.table({"user": [user for user, _ in pairs], "item": [item for _, item in pairs]}), path)
    return path


def matrix(rows: list[set[int]], items: int = 12) -> sparse.csr_array:
    dense = np.zeros((len(rows), items), dtype=np.float32)
    for user, row in enumerate(rows):
        dense[user, list(row)] = 1
    return sparse.csr_array(dense)


def rows_of(whole: sparse.csr_array) -> Rows:
    names = [f"item-{number:02d}" for number in range(whole.shape[1])]
    return Rows(whole, Catalogue(pa.table({"item": names, "title": names, "category": names})))


def test_one_user_is_one_row_and_an_item_counts_once_however_many_blocks_saw_it(tmp_path: Path) -> None:
    pairs = [("a", "item-01"), ("b", "item-02"), ("a", "item-01"), ("a", "item-03")]
    rows = read_rows(table(tmp_path / "t.parquet", pairs), shop.catalogue(), max_items_per_user=100)
    assert sorted(rows.matrix.sum(axis=1)) == [1, 2]
    assert rows.matrix.max() == 1


def test_a_user_with_too_many_items_is_cut_to_the_limit_and_always_in_the_same_way(tmp_path: Path) -> None:
    pairs = [("greedy", f"item-{n:02d}") for n in range(30)]
    others = [("b", "item-07"), *reversed(pairs)]
    one = read_rows(table(tmp_path / "one.parquet", pairs), shop.catalogue(), max_items_per_user=4)
    two = read_rows(table(tmp_path / "two.parquet", others), shop.catalogue(), max_items_per_user=4)
    assert one.matrix.sum() == 4
    assert one.matrix[[0]].toarray().tolist() == two.matrix[[1]].toarray().tolist()


def test_different_users_are_cut_differently(tmp_path: Path) -> None:
    pairs = [(user, f"item-{n:02d}") for user in ("a", "b", "c") for n in range(30)]
    rows = read_rows(table(tmp_path / "t.parquet", pairs), shop.catalogue(), max_items_per_user=4)
    assert len({tuple(row) for row in rows.matrix.toarray().tolist()}) > 1


def test_an_item_outside_the_catalogue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractBroken, match="not in the catalogue"):
        read_rows(table(tmp_path / "t.parquet", [("a", "nowhere")]), shop.catalogue(), max_items_per_user=4)


def test_a_catalogue_that_lists_an_item_twice_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"item": ["a", "a"], "title": ["A", "A"], "category": ["x", "x"]}), tmp_path / "i.parquet")
    with pytest.raises(ContractBroken, match="2 rows, 1 items"):
        read_catalogue(tmp_path / "i.parquet")


def test_a_category_holds_what_is_below_it_and_nothing_that_only_begins_like_it() -> None:
    items = Catalogue(pa.table({"item": list("abcd"), "title": list("abcd"), "category": ["x", "x/y", "xy", None]}))
    assert items.inside("x").tolist() == [True, True, False, False]
    assert items.categories[3] == ""


baskets = st.lists(st.sets(st.integers(0, 11), min_size=1), min_size=1, max_size=8)


@given(baskets, st.integers(0, 2**63))
def test_a_fold_in_divides_every_row_and_keeps_a_target_for_each(rows: list[set[int]], seed: int) -> None:
    whole = matrix(rows)
    history, target = fold_in(rows_of(whole), seed)
    assert (history + target != whole).nnz == 0
    assert (history.multiply(target)).nnz == 0
    sizes = whole.sum(axis=1)
    assert target.sum(axis=1).tolist() == np.maximum(1, np.rint(0.2 * sizes)).tolist()


@given(baskets, baskets, st.integers(0, 1000))
def test_who_else_is_there_changes_nobodys_fold_in(rows: list[set[int]], others: list[set[int]], seed: int) -> None:
    _, one = fold_in(rows_of(matrix(rows)), seed)
    _, two = fold_in(rows_of(matrix(others + rows)), seed)
    assert one.toarray().tolist() == two.toarray()[len(others) :].tolist()


def test_another_seed_draws_other_targets() -> None:
    rows = Rows(shop.tastes(50), shop.catalogue())
    assert (fold_in(rows, 1)[1] != fold_in(rows, 2)[1]).nnz > 0


def test_every_item_is_as_often_a_target_as_another() -> None:
    drawn = sum(fold_in(rows_of(matrix([set(range(10))], items=10)), seed)[1].toarray()[0] for seed in range(2000))
    assert drawn.sum() == 4000
    assert np.all(np.abs(drawn - 400) < 5 * np.sqrt(400))
