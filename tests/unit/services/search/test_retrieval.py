"""What a query finds: by words in English and Chinese, mistyped or not, by meaning, and nothing."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from components.core.errors import ContractBroken
from components.services.search.bundle import Bundle
from components.services.search.params import SearchParams
from components.services.search.retrieval import FOUND, Retrieval

from .shop import bundle, found


@pytest.mark.parametrize(
    ("query", "items"),
    [
        ("dark chocolate", {"c1", "c2"}),
        ("chocolates", {"c1", "c2", "c3"}),
        ("CHOCOLATE", {"c1", "c2", "c3"}),
        ("cafe", {"m1"}),
        ("mugs", {"m1"}),
        ("红茶", {"z2"}),
        ("茶", {"z1", "z2"}),
        ("乌龙", {"z1"}),
        ("黑巧克力", {"z3"}),
        ("harrow tea", {"t2"}),
    ],
)
def test_a_query_finds_what_has_its_words_best_in_english_and_in_chinese(query: str, items: set[str]) -> None:
    assert set(found(bundle(), query)[: len(items)]) == items


@pytest.mark.parametrize(("query", "item"), [("drak choclate", "c1"), ("gren tea", "t1"), ("musg", "m1")])
def test_a_mistyped_query_finds_what_was_meant(query: str, item: str) -> None:
    listed = Retrieval(bundle({item: 5.0})).candidates(query)
    assert bundle().catalogue.items[listed.items[0]] == item
    assert listed.corrected


@pytest.mark.parametrize("query", ["zzzzzzzz", "锅炉", "чай", "שוקולד", "👩‍👩‍👧‍👦", "!!!", "x" * 200])
def test_what_nothing_is_like_finds_nothing(query: str) -> None:
    assert found(bundle(), query) == []


def test_of_what_fits_equally_the_more_popular_one_comes_first() -> None:
    assert found(bundle({"c1": 9.0}), "dark chocolate")[:2] == ["c1", "c2"]
    assert found(bundle({"c2": 9.0}), "dark chocolate")[:2] == ["c2", "c1"]


def test_popularity_never_lifts_what_fits_much_less() -> None:
    assert found(bundle({"c3": 50.0}), "dark chocolate")[0] in ("c1", "c2")


def test_an_item_without_a_title_is_found_by_its_identifier() -> None:
    assert found(bundle(), "n1") == ["n1"]


def test_at_most_a_hundred_are_kept_and_the_score_orders_them() -> None:
    listed = Retrieval(bundle()).candidates("chocolate tea")
    assert len(listed) <= FOUND
    assert np.all(np.diff(listed.fused) <= 0)
    assert not listed.by_meaning


def test_no_word_of_a_query_is_logged(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    with caplog.at_level(logging.DEBUG):
        engine = Retrieval(bundle())
        engine.candidates("pregnancy tset 乌龙茶")
    printed = capfd.readouterr()
    assert not any(word in caplog.text + printed.out + printed.err for word in ("pregnancy", "tset", "乌龙"))


@pytest.fixture(scope="module")
def dense() -> Bundle:
    return bundle(params=SearchParams(phrases=40))


@pytest.mark.slow
def test_what_shares_no_word_is_found_by_its_meaning_in_english_alone(dense: Bundle) -> None:
    assert found(bundle(), "cocoa sweets") == []
    assert found(dense, "cocoa sweets")[0] in ("c1", "c2", "c3")
    assert found(dense, "热水壶") == []
    assert Retrieval(dense).candidates("cocoa sweets", language="other").by_meaning is False


@pytest.mark.slow
def test_vectors_of_another_encoder_are_refused(dense: Bundle) -> None:
    other = Bundle(dense.config.model_copy(update={"encoder": "0" * 64}), dense.arrays, dense.catalogue)
    with pytest.raises(ContractBroken, match="encoder"):
        Retrieval(other).candidates("cocoa sweets")


@pytest.mark.slow
def test_what_is_meant_is_encoded_once_however_it_was_typed(dense: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, known = Retrieval(dense), dict[str, np.ndarray]()
    typed = ["green tea", "gren tea", "green teaa", "dark chocolate", "红茶"]
    alone = [engine.candidates(query) for query in typed]
    engine.encode(typed, known)
    assert set(known) == {"green tea", "dark chocolate"}
    monkeypatch.setattr(type(engine.encoder), "encode", lambda *_: pytest.fail("it was encoded again"))
    engine.encode(typed, known)
    for query, one in zip(typed, alone, strict=True):
        again = engine.candidates(query, known)
        assert np.array_equal(again.items, one.items), query
        np.testing.assert_allclose(again.meaning, one.meaning, atol=1e-6)
