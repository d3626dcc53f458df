"""A re-ranker that learns from mistyped queries is charged and bounded as the one that learns from typed ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from components.core.errors import Misconfigured
from components.core.params import parse
from components.services.search import SERVICE
from components.services.search.data import mistyped
from components.services.search.params import SearchParams
from tests.conformance import test_search
from tests.conformance.makings import DELTA, MU, POPULATION
from tests.conformance.replays import replayed

RATE = 0.2


class Search(test_search.TestSearch):
    __test__ = False
    options: ClassVar[dict[str, Any]] = {**test_search.TestSearch.options, "augmentation": {"query_typos": RATE}}


def test_one_more_user_changes_no_other_row_wherever_that_user_stands(tmp_path: Path) -> None:
    suite = Search()
    baskets = suite.baskets(users=6)
    before = mistyped(suite.rows(tmp_path / "before", suite.table(baskets)), RATE).users
    assert mistyped(suite.rows(tmp_path / "last", suite.table([*baskets, [0, 1]])), RATE).users[:-1] == before
    assert mistyped(suite.rows(tmp_path / "first", suite.table([[0, 1], *baskets])), RATE).users[1:] == before


def test_queries_alone_are_varied_and_a_rate_of_zero_leaves_the_rows_as_they_are(tmp_path: Path) -> None:
    suite = Search()
    rows = suite.rows(tmp_path, suite.table(suite.baskets(users=6)))
    assert mistyped(rows, 0.0) is rows
    pairs = [
        (one, other)
        for before, after in zip(rows.users, mistyped(rows, RATE).users, strict=True)
        for one, other in zip(before, after, strict=True)
    ]
    assert any(one.query != other.query for one, other in pairs)
    assert all((one.taken, one.shown, one.history) == (other.taken, other.shown, other.history) for one, other in pairs)


@pytest.mark.slow
def test_replayed_with_one_more_user_it_keeps_the_sensitivity_that_it_declares_without(tmp_path: Path) -> None:
    found = replayed(Search(), SERVICE.candidates["reranker"], tmp_path, mu=MU, delta=DELTA, audited=True)
    assert found.faults == ()
    assert max(found.moved.values()) > 0


def test_it_is_off_by_default_and_a_part_of_what_a_release_is_known_by() -> None:
    assert SearchParams().augmentation.query_typos == 0
    plans = [
        SERVICE.candidates["reranker"].plan(mu=MU, delta=DELTA, population=POPULATION, params=params, floor=None)
        for params in (SearchParams.model_validate(test_search.TestSearch.options), Search().params())
    ]
    assert plans[0] != plans[1]
    assert plans[0].event == plans[1].event, "what is charged is the same"  # type: ignore[attr-defined]


@pytest.mark.parametrize("rate", [1.5, -0.1, "some"])
def test_a_rate_that_is_none_is_refused_by_its_key(rate: object) -> None:
    with pytest.raises(Misconfigured, match=r"augmentation\.query_typos"):
        parse(SearchParams, {"augmentation": {"query_typos": rate}}, "services.search")
