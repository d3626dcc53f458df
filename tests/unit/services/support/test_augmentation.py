"""A head that learns from variations of messages is charged and bounded as the one that learns from messages alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest

from components.core.errors import Misconfigured
from components.core.params import parse
from components.core.service import Service
from components.services.support import SERVICE
from components.services.support.head import matrix, varied
from components.services.support.params import Augmentation, SupportParams
from tests.conformance import test_support
from tests.conformance.makings import DELTA, MU, POPULATION
from tests.conformance.replays import replayed

ON = Augmentation(copies=2, paraphrase=0.5, typos=0.1)


class Support(test_support.TestSupport):
    __test__ = False
    service: ClassVar[Service] = SERVICE
    items: ClassVar[pa.Table] = test_support.TestSupport.items
    options: ClassVar[dict[str, Any]] = {**test_support.TestSupport.options, "augmentation": ON.model_dump()}


def test_one_more_user_changes_no_other_row_wherever_that_user_stands(tmp_path: Path) -> None:
    suite = Support()
    baskets = suite.baskets(users=6)
    before = matrix(suite.rows(tmp_path / "before", suite.table(baskets)), ON)
    last = matrix(suite.rows(tmp_path / "last", suite.table([*baskets, [0, 1]])), ON)
    first = matrix(suite.rows(tmp_path / "first", suite.table([[0, 1], *baskets])), ON)
    np.testing.assert_array_equal(last[:-1], before)
    np.testing.assert_array_equal(first[1:], before)


def test_a_row_holds_its_messages_and_their_variations_each_with_its_intent(tmp_path: Path) -> None:
    suite = Support()
    rows = suite.rows(tmp_path, suite.table([[0], [1, 2]]))
    alone, more = matrix(rows), matrix(rows, ON)
    cells = more.reshape(len(rows), rows.most, 1 + ON.copies, -1)
    np.testing.assert_array_equal(cells[:, :, 0].reshape(len(rows), -1), alone)
    assert (cells[..., -2:] == cells[:, :, :1, -2:]).all(), "the intent, and that there is a message"
    there = cells[..., -1] == 1
    assert (cells[:, :, 1:][there[:, :, 1:]] != np.repeat(cells[:, :, :1], ON.copies, 2)[there[:, :, 1:]]).any()


def test_a_variation_follows_from_its_message_and_its_number_alone() -> None:
    said = {varied("Where is my order?", ON, copy) for copy in range(8)}
    assert len(said) > 4
    assert said == {varied("Where is my order?", ON, copy) for copy in range(8)}


@pytest.mark.slow
def test_replayed_with_one_more_user_it_keeps_the_sensitivity_that_it_declares_without(tmp_path: Path) -> None:
    found = replayed(Support(), SERVICE.candidates["head"], tmp_path, mu=MU, delta=DELTA, audited=True)
    assert found.faults == ()
    assert max(found.moved.values()) > 0


def test_it_is_a_part_of_what_a_release_is_known_by_and_costs_nothing() -> None:
    plans = [
        SERVICE.candidates["head"].plan(mu=MU, delta=DELTA, population=POPULATION, params=params, floor=None)
        for params in (SupportParams.model_validate(test_support.TestSupport.options), Support().params())
    ]
    assert plans[0] != plans[1]
    assert plans[0].event == plans[1].event, "what is charged is the same"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("key", "value"), [("copies", -1), ("typos", 1.5), ("paraphrase", "some"), ("templates", ["no place for it"])]
)
def test_what_is_no_augmentation_is_refused_by_its_key(key: str, value: object) -> None:
    with pytest.raises(Misconfigured, match=rf"augmentation\.{key}"):
        parse(SupportParams, {"augmentation": {key: value}}, "services.support")
