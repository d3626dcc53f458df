from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import cloudpickle
import pytest

from components.core.errors import ContractBroken
from components.core.private import Private

SECRET = ("user-17", "milk")


def private(value: object = SECRET, **changes: Any) -> Private[Any]:
    return Private(**{"_load": lambda: value, "digest": "d", "blocks": ("2000Q4",), "split": "train", **changes})


def test_a_private_source_is_opened_by_a_release_alone() -> None:
    with pytest.raises(ContractBroken, match=r"Only a release opens.*limit sources with public: true.*ledger\.release"):
        private().open_public()


def test_a_public_source_may_be_opened() -> None:
    assert private(public=True).open_public() == SECRET
    assert private(public=True).map(len, name="size").open_public() == 2


def test_what_is_computed_from_private_rows_is_private() -> None:
    with pytest.raises(ContractBroken):
        private().map(len, name="size").open_public()


def test_nothing_is_computed_before_it_is_opened() -> None:
    mapped = private(public=True).map(lambda value: pytest.fail("it was computed"), name="fails")
    assert mapped.split == "train"


def test_a_map_keeps_whose_rows_they_are_and_has_a_digest_of_its_own() -> None:
    one = private().map(len, name="size")
    assert (one.blocks, one.split, one.public) == (("2000Q4",), "train", False)
    assert one.digest == private().map(sum, name="size").digest  # name and input decide
    assert len({one.digest, private().digest, private().map(len, name="n").digest}) == 3
    assert private(digest="other").map(len, name="size").digest != one.digest


def test_neither_its_text_nor_a_refusal_shows_the_value_or_its_digest() -> None:
    secret = private(digest="0123456789abcdef")
    with pytest.raises(ContractBroken) as refused:
        secret.open_public()
    for text in (repr(secret), str(secret), f"{secret}", str(refused.value), repr(refused.value)):
        assert "milk" not in text
        assert "0123456789abcdef" not in text


@pytest.mark.parametrize(
    "carried",
    [pickle.dumps, copy.copy, copy.deepcopy, cloudpickle.dumps],
    ids=["pickle", "copy", "deepcopy", "cloudpickle"],
)
def test_it_is_not_pickled_and_not_copied(carried: Callable[[object], object]) -> None:
    with pytest.raises(ContractBroken, match=r"not pickled and not copied.*Pass the paths") as refused:
        carried(private(public=True))
    assert "milk" not in str(refused.value)


@pytest.mark.parametrize(
    "taken",
    [dataclasses.asdict, dataclasses.astuple, lambda value: dataclasses.replace(value, public=True), vars, iter, len],
)
def test_it_is_not_taken_apart_and_not_declared_public_by_replacing(taken: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError):
        taken(private())


def test_it_is_not_changed() -> None:
    secret = private()
    for change in (lambda: setattr(secret, "public", True), lambda: delattr(secret, "public")):
        with pytest.raises(AttributeError, match="not changed"):
            change()
    with pytest.raises(ContractBroken):
        secret.open_public()
