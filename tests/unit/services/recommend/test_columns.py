from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.services.recommend.columns import partition
from components.services.recommend.data import Catalogue

from . import shop

POPULARITY = np.arange(30, 0, -1, dtype=float)


def listed(categories: list[str | None]) -> Catalogue:
    names = [f"i{number}" for number in range(len(categories))]
    return Catalogue(pa.table({"item": names, "title": names, "category": pa.array(categories, pa.string())}))


@given(
    st.lists(st.sampled_from(["", "a", "a/b", "a/c", "a/b/d", "e", "e/f", None]), min_size=2, max_size=30),
    st.integers(2, 12),
    st.integers(1, 8),
)
def test_every_item_has_one_column_and_there_are_no_more_than_the_limit(
    categories: list[str | None], limit: int, enough: int
) -> None:
    columns = partition(listed(categories), np.ones(len(categories)), limit=limit, enough=enough)
    assert len(columns) <= limit
    assert sorted(set(columns.of_item.tolist())) == list(range(len(columns)))
    assert columns.levels[-1].tolist() == list(range(len(columns)))


@given(
    st.lists(st.sampled_from(["", "a", "a/b", "a/c", "a/b/d", "e", "e/f"]), min_size=2, max_size=30), st.integers(2, 12)
)
def test_levels_only_ever_divide_what_is_above_them(categories: list[str], limit: int) -> None:
    levels = partition(listed(list(categories)), np.ones(len(categories)), limit=limit, enough=3).levels
    for wide, narrow in pairwise(levels):
        assert all(len(set(wide[narrow == label].tolist())) == 1 for label in set(narrow.tolist()))
        assert narrow.max() > wide.max()


def test_with_enough_categories_the_narrowest_that_fit_are_the_columns() -> None:
    narrow = partition(shop.catalogue(), POPULARITY, limit=6, enough=2)
    wide = partition(shop.catalogue(), POPULARITY, limit=5, enough=2)
    assert (len(narrow), len(wide)) == (6, 3)
    assert [len(set(level.tolist())) for level in narrow.levels] == [3, 6]


def test_with_too_few_categories_popular_items_stand_alone() -> None:
    columns = partition(shop.catalogue(), POPULARITY, limit=10, enough=7)
    sizes = np.bincount(columns.of_item)
    assert len(columns) == 10
    assert all(sizes[columns.of_item[item]] == 1 for item in range(4))
    assert sizes[columns.of_item[29]] > 1


def test_a_catalogue_without_categories_has_columns_of_items() -> None:
    columns = partition(listed([None] * 30), POPULARITY, limit=10, enough=7)
    assert len(columns) == 10
    assert np.bincount(columns.of_item).max() == 21


def test_a_catalogue_that_fits_whole_has_a_column_for_every_item() -> None:
    assert len(partition(listed([None] * 30), POPULARITY, limit=30, enough=2)) == 30


@pytest.mark.parametrize("limit", [6, 30])
def test_counts_by_column_keep_every_item(limit: int) -> None:
    columns = partition(shop.catalogue(), POPULARITY, limit=limit, enough=7)
    rows = shop.tastes(20)
    counted = columns.count(rows)
    assert counted.shape == (20, len(columns))
    assert counted.sum(axis=1).tolist() == rows.sum(axis=1).tolist()
    assert columns.total(POPULARITY).sum() == POPULARITY.sum()
