from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from components.services.recommend.columns import partition
from components.services.recommend.data import Catalogue
from components.services.recommend.kinship import kinds, likeness


def catalogue(titles: list[str | None], categories: list[str] | None = None) -> Catalogue:
    names = [f"i{number}" for number in range(len(titles))]
    columns = {"title": pa.array(titles, pa.string()), "category": categories or [""] * len(titles)}
    return Catalogue(pa.table({"item": names, **columns}))


def alike(titles: list[str | None]) -> np.ndarray:
    listed = catalogue(titles)
    return likeness(listed, partition(listed, np.ones(len(titles)), limit=len(titles), enough=len(titles) + 1))


def test_items_of_one_brand_are_more_alike_than_items_of_two() -> None:
    found = alike(["Kestrel Honey", "Kestrel Muesli", "Harrow Bagel", "Harrow Croissant"])
    assert found[0, 1] > 0.5 > found[0, 2]


def test_numbers_are_the_more_alike_the_longer_they_begin_alike() -> None:
    found = alike(["Product 4710088401234", "Product 4710088409999", "Product 4710011409999", "Product 8888021100000"])
    assert found[0, 1] > found[0, 2] > found[0, 3] == 0


def test_a_word_that_every_title_has_makes_nobody_alike() -> None:
    assert np.all(alike(["Item 1", "Item 2", "Item 3"])[~np.eye(3, dtype=bool)] == 0)


def test_items_without_titles_are_like_nothing() -> None:
    assert np.all(alike([None, None, "Kestrel Honey", "Kestrel Muesli"])[:2] == 0)
    assert np.all(alike([None, None, None]) == 0)


@given(
    st.lists(st.text("abc 12é世", max_size=20) | st.none(), min_size=2, max_size=12),
    st.lists(st.sampled_from(["", "a", "a/b", "a/c", "d"]), min_size=12, max_size=12),
    st.integers(5, 12),
)
def test_kinship_is_mutual_and_a_column_is_of_its_own_kind_with_itself(
    titles: list[str | None], categories: list[str], limit: int
) -> None:
    listed = catalogue(titles, categories[: len(titles)])
    columns = partition(listed, np.arange(len(titles), 0, -1.0), limit=limit, enough=2)
    found = kinds(listed, columns)
    assert np.array_equal(found, found.T)
    assert found.min() >= 0
    assert len(set(np.diag(found).tolist())) == 1
    assert not np.isin(np.diag(found)[0], found[~np.eye(len(columns), dtype=bool)])


def test_a_column_of_several_items_is_like_what_its_items_are_like() -> None:
    titles = ["Kestrel Honey", "Kestrel Muesli", "Kestrel Rice", "Harrow Bagel", "Harrow Rice", "Larkspur Soap"]
    listed = catalogue(titles, ["a/b", "a/c", "a/c", "d", "d", "e"])
    columns = partition(listed, np.ones(6), limit=4, enough=1)
    assert len(columns) == 4
    found = likeness(listed, columns)
    kestrel, more_kestrel = columns.of_item[0], columns.of_item[1]
    assert found[kestrel, more_kestrel] > found[kestrel, columns.of_item[5]]
