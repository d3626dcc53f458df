from __future__ import annotations

import pytest
from pydantic import ValidationError

from components.services.recommend.api import Request, predict

from . import shop
from .test_scoring import personal


def test_the_answer_says_item_title_category_and_score() -> None:
    best = predict(shop.floor(), Request(k=1)).items[0]
    assert (best.item, best.title, best.category) == ("item-00", "Item 0", "kind-0/shelf-0")
    assert best.score == pytest.approx(30 / 465)


def test_unknown_items_are_counted_and_left_aside() -> None:
    answer = predict(personal(), Request(history=["item-04", "nothing", "nobody"], k=2))
    assert answer.unknown == 2
    assert [item.item for item in answer.items] == ["item-01", "item-07"]


def test_an_item_named_twice_counts_once() -> None:
    once, twice = (predict(personal(1.0), Request(history=["item-04"] * n)) for n in (1, 2))
    assert once == twice


def test_the_order_of_the_history_does_not_matter() -> None:
    one, two = (predict(personal(), Request(history=h)) for h in (["item-04", "item-05"], ["item-05", "item-04"]))
    assert one == two


def test_a_category_answers_with_its_own_items_however_unpopular() -> None:
    answer = predict(shop.floor(), Request(category="kind-2/shelf-5", k=100))
    assert [item.item for item in answer.items] == ["item-05", "item-11", "item-17", "item-23", "item-29"]


def test_an_unknown_category_has_nothing_to_recommend() -> None:
    assert predict(shop.floor(), Request(category="nowhere")).items == []


@pytest.mark.parametrize(
    "wrong", [{"k": 0}, {"k": 101}, {"history": ["a"] * 1001}, {"history": [1]}, {"user": "a"}, {"category": 3}]
)
def test_a_malformed_request_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Request.model_validate(wrong)
