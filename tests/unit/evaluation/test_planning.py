"""The answer of `jali plan`."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.errors import Misconfigured
from components.evaluation.curves import CURVES, Curves
from components.evaluation.planning import Answer, answer, held_out, kept
from tests.unit.evaluation.measured import EPSILONS, curves, points, truth

KNOWN = curves()
SOME_USERS = st.integers(1, 10_000_000)
SOME_ITEMS = st.integers(1, 1_000_000)
SOME_EPSILON = st.floats(0.01, 100)


@given(SOME_USERS, SOME_USERS, SOME_ITEMS, SOME_EPSILON, SOME_EPSILON)
def test_every_figure_grows_with_users_and_with_epsilon(
    one: int, other: int, items: int, small: float, large: float
) -> None:
    less = kept(KNOWN, min(one, other), items, min(small, large))
    more = kept(KNOWN, max(one, other), items, max(small, large))
    assert less.expected <= more.expected + 1e-12
    assert less.low <= more.low + 1e-12
    assert less.high <= more.high + 1e-12


@settings(max_examples=25)
@given(SOME_USERS, SOME_ITEMS, SOME_EPSILON)
def test_the_expected_value_lies_within_its_range(users: int, items: int, epsilon: float) -> None:
    found = answer(KNOWN, users, items, epsilon)
    for at in (found.asked, *found.others):
        for told in (at.kept, at.floor):
            assert 0 <= told.low <= told.expected <= told.high


def test_the_range_holds_trainings_of_either_data_set() -> None:
    found = answer(KNOWN, 9_000, 2_000, 1.5).asked.kept
    assert found.low < truth(9_000, 2_000, 1.5) < found.expected < truth(9_000, 2_000, 1.5, shift=0.5) < found.high


def test_the_same_is_told_at_every_measured_epsilon() -> None:
    assert tuple(at.epsilon for at in answer(KNOWN, 9_000, 2_000, 1.5).others) == EPSILONS


def test_what_is_needed_is_the_first_number_of_users_that_reaches_it() -> None:
    needed = answer(KNOWN, 9_000, 2_000, 1.0, target=0.7).needed
    assert needed.at_best is not None
    assert needed.expected is not None
    assert needed.at_worst is not None
    assert needed.at_best <= needed.expected <= needed.at_worst
    assert kept(KNOWN, needed.expected, 2_000, 1.0).expected >= 0.7
    assert kept(KNOWN, needed.expected - 1, 2_000, 1.0).expected < 0.7


def test_what_no_measured_number_of_users_reaches_is_not_made_up() -> None:
    needed = answer(KNOWN, 9_000, 2_000, 0.5, target=0.99).needed
    assert (needed.at_best, needed.expected, needed.at_worst) == (None, None, None)
    assert needed.most_measured == 64_000


def test_more_epsilon_needs_fewer_users() -> None:
    few, many = (answer(KNOWN, 9_000, 2_000, epsilon, target=0.6).needed.expected for epsilon in (4.0, 1.0))
    assert few is not None
    assert many is not None
    assert few < many


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ((100, 2_000, 1.0), ("users",)),
        ((1_000_000, 2_000, 1.0), ("users",)),
        ((9_000, 20, 1.0), ("items",)),
        ((9_000, 2_000, 0.1), ("epsilon",)),
        ((100, 20, 50.0), ("users", "items", "epsilon")),
        ((9_000, 2_000, 1.0), ()),
    ],
)
def test_extrapolation_is_flagged_by_what_lies_outside(asked: tuple[int, int, float], named: tuple[str, ...]) -> None:
    found = answer(KNOWN, *asked).asked
    assert found.extrapolated == named
    assert found.within == (() if named else ("corner-shop", "department-store"))


def test_below_and_above_what_was_measured_the_range_is_open() -> None:
    assert answer(KNOWN, 100, 2_000, 1.0).asked.kept.low == 0
    assert answer(KNOWN, 9_000, 2_000, 0.1).asked.kept.low == 0
    assert answer(KNOWN, 1_000_000, 2_000, 1.0).asked.kept.high >= 1
    assert answer(KNOWN, 9_000, 2_000, 50.0).asked.kept.high >= 1


def test_a_data_set_that_ends_early_is_extended_and_named() -> None:
    short = [point for point in points() if point.users <= 16_000]
    found = answer(Curves([*short, *points("department-store", 0.5)]), 50_000, 2_000, 1.0).asked
    assert found.within == ("department-store",)
    assert found.extrapolated == ()


@pytest.mark.parametrize(
    ("asked", "option"),
    [
        ((0, 100, 1.0), "--users"),
        ((-5, 100, 1.0), "--users"),
        ((10, 0, 1.0), "--items"),
        ((10, 100, 0.0), "--epsilon"),
        ((10, 100, -1.0), "--epsilon"),
        ((10, 100, math.inf), "--epsilon"),
        ((10, 100, math.nan), "--epsilon"),
    ],
)
def test_a_figure_out_of_range_is_one_sentence_that_names_its_option(asked: tuple, option: str) -> None:
    with pytest.raises(Misconfigured, match=rf"{option} does not fit \(found .*, limit .*\)\. Say {option} \d+"):
        answer(KNOWN, *asked)


@pytest.mark.parametrize("target", [0.0, 1.0, 1.5, math.nan])
def test_a_target_that_is_no_share_is_refused(target: float) -> None:
    with pytest.raises(Misconfigured, match="--target does not fit"):
        answer(KNOWN, 10, 100, 1.0, target=target)


def test_the_answer_survives_json() -> None:
    found = answer(KNOWN, 9_000, 2_000, 1.5)
    assert Answer.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize("axis", ["users", "epsilon"])
def test_measured_trainings_that_were_held_out_lie_within_the_range(axis: str) -> None:
    """Without its line the way between two cells is twice as long as it is where one asks: a little less than 95%."""
    told = held_out(Curves.read(CURVES), axis)
    assert len(told) >= 50
    assert sum(found.low <= run <= found.high for found, run in told) >= 0.85 * len(told)


def test_a_whole_data_set_that_was_held_out_lies_mostly_within_the_range_of_the_other() -> None:
    told = held_out(Curves.read(CURVES), "source")
    assert len(told) >= 50
    away = [max(found.low - run, run - found.high, 0.0) for found, run in told]
    assert sum(distance == 0 for distance in away) >= 0.5 * len(told)
    assert max(away) < 0.25


def test_held_out_trainings_are_compared_with_what_is_told_without_them() -> None:
    odd = [replace(p, kept=0.05) if p.users == 4_000 and p.candidate != "popularity" else p for p in points()]
    told = held_out(Curves([*odd, *points("department-store", 0.5)]), "users")
    assert not all(found.low <= run <= found.high for found, run in told)


@pytest.mark.parametrize("epsilon", [0.5, 1.0, 3.0, 10.0])
@pytest.mark.parametrize("items", [500, 1_000, 20_000])
def test_a_training_is_never_told_to_keep_less_than_the_floor(items: int, epsilon: float) -> None:
    shipped = Curves.read(CURVES)
    for users in (800, 3_000, 6_000, 20_000, 140_000, 500_000):
        at = answer(shipped, users, items, epsilon).asked
        assert at.kept.expected >= at.floor.expected
