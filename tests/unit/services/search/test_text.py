"""Words and terms of the languages that a shop is searched in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.services.search.text import is_english, listed_terms, normalised, terms, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Chef's Knife, Twin-Pack", ["chef's", "knife", "twin", "pack"]),
        ("CAFÉ naïve", ["cafe", "naive"]),
        ("红茶100g礼盒", ["红茶", "100g", "礼盒"]),
        ("ｆｕｌｌ　ｗｉｄｔｈ", ["full", "width"]),
        ("", []),
        ("--- !?", []),
    ],
)
def test_words_are_what_stands_between_signs_and_scripts(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_english_words_are_compared_by_their_stems() -> None:
    assert terms("running shoes") == terms("run shoe")


def test_chinese_is_compared_by_pairs_of_characters_and_listed_by_single_ones_too() -> None:
    assert terms("乌龙茶") == ["乌龙", "龙茶"]
    assert set(listed_terms("乌龙茶")) == {"乌龙", "龙茶", "乌", "龙", "茶"}


@pytest.mark.parametrize(
    ("text", "language", "english"),
    [
        ("green tea", None, True),
        ("green tea", "en", True),
        ("grüner Tee", "other", False),
        ("红茶", None, False),
        ("红茶", "en", False),
        ("tea 红茶", None, False),
        ("чай", None, False),
        ("שוקולד", None, False),
        ("12345", None, False),
    ],
)
def test_only_what_is_in_latin_letters_and_not_said_to_be_another_language_is_english(
    text: str, language: str | None, english: bool
) -> None:
    assert is_english(text, language) is english


@given(st.text(max_size=80))
def test_any_text_has_words_and_normalising_twice_changes_nothing(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)
    assert all(word and not word.isspace() for word in words(text))
    assert words(text) == words(normalised(text))
