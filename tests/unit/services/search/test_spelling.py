"""Mistyped words: the nearest of the catalogue's, and none where none is near."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.services.search.spelling import Spelling, distance

WORDS = ("muesli", "chocolate", "croissant", "bread", "rye", "shampoo", "porridge")
SPELLING = Spelling(WORDS, [1] * len(WORDS))
words = st.text("abcd", max_size=8)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("musli", "muesli"),
        ("choclate", "chocolate"),
        ("cohcolate", "chocolate"),
        ("croisant", "croissant"),
        ("bred", "bread"),
        ("breadd", "bread"),
        ("shamppo", "shampoo"),
    ],
)
def test_an_error_of_typing_is_mended(typed: str, meant: str) -> None:
    assert SPELLING.corrected(typed) == meant


@pytest.mark.parametrize("typed", ["bread", "zzzzzz", "x", "红茶", "чай", "1234"])
def test_what_is_known_or_near_to_nothing_stays_as_it_was_typed(typed: str) -> None:
    assert SPELLING.corrected(typed) == typed


def test_of_equally_near_words_the_more_usual_one_is_taken() -> None:
    assert Spelling(["bale", "bake"], [1, 9]).corrected("bage") == "bake"
    assert Spelling(["bale", "bake"], [9, 1]).corrected("bage") == "bale"


def test_a_catalogue_without_words_corrects_nothing() -> None:
    assert Spelling([], []).corrected("bread") == "bread"


@given(words, words)
@settings(max_examples=200)
def test_distance_is_that_of_the_textbook_up_to_its_bound(one: str, other: str) -> None:
    exact = _textbook(one, other)
    assert distance(one, other, 20) == exact
    assert distance(one, other, 2) == min(exact, 3)
    assert distance(one, other, 20) == distance(other, one, 20)


def _textbook(one: str, other: str) -> int:
    """Optimal string alignment by its recursion."""
    table = [[i + j if i * j == 0 else 0 for j in range(len(other) + 1)] for i in range(len(one) + 1)]
    for i in range(1, len(one) + 1):
        for j in range(1, len(other) + 1):
            same = one[i - 1] == other[j - 1]
            table[i][j] = min(table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (not same))
            if i > 1 and j > 1 and one[i - 1] == other[j - 2] and one[i - 2] == other[j - 1]:
                table[i][j] = min(table[i][j], table[i - 2][j - 2] + 1)
    return table[-1][-1]
