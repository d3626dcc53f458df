"""Typing errors and paraphrases: a text becomes a text, by nothing but its own row's generator."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import Misconfigured
from components.language.variations import generators, paraphrased, with_typos

TEMPLATES = ("Could you tell me: {text}", "{text} Thank you.")
RATE = st.floats(0, 1)


@given(texts=st.lists(st.text(max_size=40), min_size=1, max_size=6), rate=RATE, key=st.integers(0, 2**63))
def test_a_rows_variation_depends_on_that_row_alone(texts: list[str], rate: float, key: int) -> None:
    def varied(written: list[str]) -> list[str]:
        drawn = generators(key, len(written))
        return [
            paraphrased(with_typos(text, rate, own), TEMPLATES, rate, own)
            for text, own in zip(written, drawn, strict=True)
        ]

    more = varied([*texts, "somebody else's"])
    assert more[:-1] == varied(texts)
    assert varied(["instead", *texts[1:]])[1:] == varied(texts)[1:]


@given(text=st.text(max_size=60), rate=RATE, seed=st.integers(0, 1000))
def test_only_letters_of_a_keyboard_are_mistyped_and_all_else_stays(text: str, rate: float, seed: int) -> None:
    written = with_typos(text, rate, np.random.default_rng(seed))

    def others(of: str) -> list[str]:
        return sorted(letter for letter in of if not (letter.isascii() and letter.isalpha()))

    assert others(written) == others(text)
    assert len(written) <= 2 * len(text)


def test_a_query_is_mistyped_about_as_often_as_was_asked() -> None:
    query = "wireless headphones " * 200
    assert with_typos(query, 0.0, np.random.default_rng(0)) == query
    words = with_typos(query, 0.05, np.random.default_rng(0)).split()
    wrong = sum(word not in ("wireless", "headphones") for word in words)
    assert 0.25 < wrong / len(words) < 0.5, "of words of eight and ten letters"
    assert with_typos("無線耳機", 1.0, np.random.default_rng(0)) == "無線耳機"


def test_a_paraphrase_holds_the_text_as_it_was_braces_included() -> None:
    drawn = np.random.default_rng(0)
    said = {paraphrased("where is {order}?", TEMPLATES, 1.0, drawn) for _ in range(30)}
    assert said == {"Could you tell me: where is {order}?", "where is {order}? Thank you."}
    assert paraphrased("hello", TEMPLATES, 0.0, drawn) == "hello"
    assert paraphrased("hello", (), 1.0, drawn) == "hello"


def test_what_is_no_probability_and_no_template_is_refused() -> None:
    drawn = np.random.default_rng(0)
    with pytest.raises(Misconfigured, match="query_typos"):
        with_typos("a", 1.5, drawn)
    with pytest.raises(Misconfigured, match="paraphrase"):
        paraphrased("a", TEMPLATES, float("nan"), drawn)
    with pytest.raises(Misconfigured, match="once"):
        paraphrased("a", ("no place for it",), 0.5, drawn)
