"""Popular searches: nothing that was typed, only phrases of the public catalogue, bounded a user, out of the noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.privacy.release import Gaussian
from components.services.search.bundle import Popular, read_bundle
from components.services.search.data import Rows, Search
from components.services.search.fused import Fused, parts
from components.services.search.phrases import asked, phrases_of, popular, suggested
from components.services.search.retrieval import Retrieval

from .shop import PLAIN, bundle, catalogue

LISTED = phrases_of(catalogue(), PLAIN.phrases)
ENGINE = Retrieval(bundle())
queries = st.sampled_from([*LISTED, "my own secret", "greeen tea", "pregnancy test", ""]) | st.text(max_size=12)


def person(*said: str) -> tuple[Search, ...]:
    return tuple(Search(query, taken=(0,), shown=(1,), history=()) for query in said)


def people(*searches: tuple[Search, ...]) -> Rows:
    return Rows(searches, tuple((0,) for _ in searches), catalogue())


def test_phrases_are_words_and_pairs_of_titles_and_categories() -> None:
    assert {"dark chocolate", "green tea", "chocolate", "red", "红茶"} - set(LISTED) == {"red"}
    assert len(phrases_of(catalogue(), 3)) == 3
    assert phrases_of(catalogue(), 0) == []


def test_a_mistyped_query_says_the_phrase_that_was_meant_and_another_one_none() -> None:
    known = {phrase: place for place, phrase in enumerate(LISTED)}
    said = asked(person("my own secret", "geen tea", "Green Tea"), known, ENGINE.spelt, 5)
    assert [LISTED[place] for place in said] == ["green tea"]


def test_the_latest_phrases_of_a_user_count_and_no_more_than_the_bound() -> None:
    known = {phrase: place for place, phrase in enumerate(LISTED)}
    said = asked(person("milk", "chocolate", "green tea"), known, ENGINE.spelt, 2)
    assert [LISTED[place] for place in said] == ["green tea", "chocolate"]


@settings(max_examples=60, deadline=None)
@given(said=st.lists(queries, max_size=30), taken=st.sets(st.integers(0, 9)), most=st.integers(1, 5))
def test_whatever_is_typed_a_user_adds_a_vector_of_norm_one_at_most(
    said: list[str], taken: set[int], most: int
) -> None:
    rows = Rows((person(*said),), (tuple(sorted(taken)),), catalogue())
    added = parts(rows, LISTED, ENGINE, most).toarray()[0]
    assert np.linalg.norm(added) <= 1 + 1e-12
    assert np.count_nonzero(added[len(rows.catalogue) :]) <= most


def test_what_many_ask_for_is_released_and_charged_and_what_one_types_is_not(tmp_path: Path) -> None:
    secret = "zebra crossing 4711"
    rows = people(*[person("green tea")] * 400, person(secret), *[person(f"{secret} {n}") for n in range(50)])
    plan = Fused().plan(mu=1.0, delta=1e-6, population=400, params=PLAIN, floor=None)
    intended = list[int]()
    out = tmp_path / "out"
    event = Fused().fit(rows, plan, catalogue(), floor=None, intend=intended.append, out=out)
    assert event == Gaussian(noise_multiplier=1.0)
    assert intended == [1]
    released = read_bundle(out).config.popular
    assert "green tea" in [one.phrase for one in released]
    assert {one.phrase for one in released} <= set(LISTED)
    written = b"".join(path.read_bytes() for path in out.iterdir())
    assert b"zebra" not in written
    assert b"4711" not in written


def test_noise_alone_makes_nothing_popular() -> None:
    noise = np.random.default_rng(3).normal(size=2000) * 5.0
    assert len(popular([f"p{n}" for n in range(2000)], noise, 5.0)) <= 1


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("gr", ["green tea", "green"]),
        ("green", ["green tea"]),
        ("chocolate", ["dark chocolate"]),
        ("GREEN TEA", ["green"]),
        ("乌", []),
        ("", ["green tea", "dark chocolate", "green"]),
    ],
)
def test_suggestions_begin_as_the_query_does_or_share_a_word(query: str, expected: list[str]) -> None:
    listed = [Popular(phrase=phrase, weight=9 - n) for n, phrase in enumerate(["green tea", "dark chocolate", "green"])]
    assert suggested(listed, query, 5) == expected
