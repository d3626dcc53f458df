"""Laws of how a training divides μ²: whatever the count, the parts are positive, and together they are the whole."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.params import parse
from components.core.service import Service
from components.core.trials import with_trials
from components.services.recommend import SERVICE
from components.services.recommend.params import RecommendParams
from components.services.recommend.popularity import needs
from tests.unit.stages.toy import SERVICE as TOY

mus = st.floats(1e-6, 50)
users = st.integers(1, 100_000_000)
items = st.none() | st.integers(0, 1_000_000).map(range)
chosen = st.sampled_from([("popularity",), *itertools.product(["popularity"], ["gram", "autoencoder"])])
everybody = st.just(("popularity", "gram", "autoencoder"))


@given(mus, users, items, chosen | everybody, st.integers(0, 3))
def test_the_parts_of_a_training_are_positive_and_sum_to_one(
    mu: float, population: int, catalogue: Any, names: tuple[str, ...], trials: int
) -> None:
    params = RecommendParams(candidates=names)
    asked = {"gram": [{"gram": {"spread": 1 + number}} for number in range(trials)]} if "gram" in names else {}
    service = with_trials(SERVICE.taking_part(params), asked, params)
    parts = service.shares(mu, population, catalogue)
    assert list(parts) == list(service.candidates)
    assert all(part > 0 for part in parts.values())
    assert sum(parts.values()) == pytest.approx(1, abs=1e-12)


@given(mus, users, items, st.integers(1, 3))
def test_trials_take_from_nobody_but_the_candidate_that_is_tuned(
    mu: float, population: int, catalogue: Any, trials: int
) -> None:
    params = RecommendParams(candidates=("popularity", "gram", "autoencoder"))
    alone = SERVICE.shares(mu, population, catalogue)
    tuned = with_trials(SERVICE, {"gram": [{}] * trials}, params).shares(mu, population, catalogue)
    assert tuned["popularity"] == pytest.approx(alone["popularity"], rel=1e-12)
    assert tuned["autoencoder"] == pytest.approx(alone["autoencoder"], rel=1e-12)


@given(mus, mus, users, users, st.integers(1, 1_000_000))
def test_popularity_needs_no_more_where_users_or_mu_are_more(
    mu: float, other: float, few: int, many: int, width: int
) -> None:
    catalogue: Any = range(width)
    poor = needs(min(mu, other), min(few, many), catalogue)
    assert needs(max(mu, other), max(few, many), catalogue) <= poor + 1e-12
    assert 0 < poor < 1


@given(mus, users, st.floats(0.001, 0.999))
def test_a_floor_has_what_it_declares_or_what_it_needs_where_that_is_more(mu: float, count: int, need: float) -> None:
    def part(service: Service) -> float:
        return service.shares(mu, count, None)[service.floor.name]

    declared = TOY.floor.share / sum(one.share for one in TOY.candidates.values())
    assert part(TOY) == pytest.approx(declared)
    assert part(replace(TOY, floor_needs=lambda *facts: need)) == pytest.approx(max(declared, need))


def test_whoever_is_not_chosen_does_not_take_part_and_the_floor_always_does() -> None:
    assert list(SERVICE.taking_part(RecommendParams()).candidates) == ["popularity", "gram"]
    for names in (["gram"], ["popularity", "popularity"], ["popularity", "nobody"]):
        with pytest.raises(Exception, match="candidates"):
            parse(RecommendParams, {"candidates": names}, "services.recommend")
