"""The personal re-ranker: it starts as the floor, learns what a history says, and believes clicks as it is told to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from components.privacy.plan import PrivacyPlan
from components.services.search.bundle import Bundle
from components.services.search.ceiling import ceiling
from components.services.search.data import Rows, Search
from components.services.search.features import NAMES, OF_HISTORY, SIZE, start
from components.services.search.params import SearchParams
from components.services.search.reranker import matrix, train
from components.services.search.scoring import METRICS, Engine, lines

from .shop import bundle, catalogue

PLACE = catalogue().position
OFTEN = 60  # a history that stands out beside a prior worth 300 events
QUICK = SearchParams(
    dense=False,
    phrases=10,
    reranker={"steps": 20, "ceiling_steps": 60, "expected_batch_size": 200, "candidates": 8, "learning_rate": 1.0},
)


def loyal(users: int, first: str = "c1", other: str = "c2") -> Rows:
    """Return people who take again what they had before, each of the two for half of them."""
    had = [PLACE[(first, other)[user % 2]] for user in range(users)]
    rows = tuple((Search("dark chocolate", (item,), (1,), (item,) * OFTEN),) for item in had)
    return Rows(rows, tuple((item,) for item in had), catalogue())


def ranked(of: Bundle, history: list[int]) -> list[str]:
    engine = Engine(of)
    found = engine.retrieval.candidates("dark chocolate")
    order, _, _ = engine.ordered(found, history)
    return [of.catalogue.items[found.items[place]] for place in order]


def test_before_the_first_step_it_orders_as_the_floor_does() -> None:
    floor = bundle({"c2": 3.0})
    config = floor.config.model_copy(update={"kind": "reranker", "candidates": 30})
    same = Bundle(config, {**floor.arrays, "weights": start(config.fusion)}, floor.catalogue)
    assert ranked(same, [PLACE["c1"]]) == ranked(floor, [])
    assert np.all(start(config.fusion)[OF_HISTORY] == 0)


@pytest.mark.slow
def test_under_dp_it_learns_that_people_take_again_what_they_had() -> None:
    floor = bundle({"c1": 9.0, "c2": 8.0})
    plan = PrivacyPlan.calibrate(
        mu=2.0, delta=1e-6, population=1000, expected_batch_size=500, steps=20, max_grad_norm=0.5
    )
    learnt, fitted = train(loyal(1000), floor, QUICK, plan=plan, intend=lambda steps: None)
    assert fitted.steps == 20
    assert learnt.arrays["weights"].shape == (SIZE,)
    assert ranked(learnt, [PLACE["c1"]] * OFTEN)[0] == "c1"
    assert ranked(learnt, [PLACE["c2"]] * OFTEN)[0] == "c2"
    emptied = replace(loyal(100), users=tuple((replace(user[0], history=()),) for user in loyal(100).users))
    gained = lines(Engine(learnt), loyal(100))[:, 0].mean() - lines(Engine(learnt), emptied)[:, 0].mean()
    assert gained > 0.1, "the gain is the history's"


@pytest.mark.slow
def test_clicks_at_low_places_count_by_their_inverse_propensity_and_a_row_has_one_vote_at_most() -> None:
    shown = Search("dark chocolate", (PLACE["c1"], PLACE["c2"]), (1, 4), ())
    rows = Rows(((shown,),), ((PLACE["c1"], PLACE["c2"]),), catalogue())
    shares = {}
    for eta in (0.0, 1.0):
        params = QUICK.model_copy(update={"reranker": QUICK.reranker.model_copy(update={"propensity": eta})})
        seen = matrix(rows, bundle(), params).reshape(params.max_searches_per_user, 8, SIZE + 2)[0, :, SIZE]
        assert seen.sum() <= 1 + 1e-6
        shares[eta] = sorted(seen[seen > 0])
    assert shares[0.0] == pytest.approx([0.5, 0.5])
    assert shares[1.0] == pytest.approx([0.1, 0.4])


@pytest.mark.slow
def test_where_places_are_looked_at_by_a_known_propensity_its_inverse_finds_what_is_liked() -> None:
    """c1 always stands first and is looked at by all, c2 at place 4 by a quarter; c2 is liked by twice as many."""
    drawn = np.random.default_rng(8)
    rows = []
    for _ in range(1500):
        likes = drawn.random() < 2 / 3
        looks = drawn.random() < 1 / 4
        if likes and looks:
            rows.append((Search("dark chocolate", (PLACE["c2"],), (4,), (PLACE["c2"],)),))
        elif not likes:
            rows.append((Search("dark chocolate", (PLACE["c1"],), (1,), (PLACE["c2"],)),))
    people = Rows(tuple(rows), tuple(user[0].taken for user in rows), catalogue())
    leaning = {}
    for eta in (0.0, 1.0):
        chosen = QUICK.reranker.model_copy(update={"propensity": eta})
        learnt, _ = train(people, bundle(), QUICK.model_copy(update={"reranker": chosen}), plan=None)
        leaning[eta] = learnt.arrays["weights"][NAMES.index("item")]
    assert leaning[1.0] > 0 > leaning[0.0], "by clicks alone c1 seems to be liked more"


@pytest.mark.slow
def test_the_ceiling_has_every_metric_and_is_above_its_floor() -> None:
    found = ceiling(loyal(400), loyal(100), catalogue(), QUICK)
    assert list(found) == ["fused", "reranker"]
    assert all(set(means) == {metric.name for metric in METRICS} for means in found.values())
    assert found["reranker"]["ndcg@10"] > found["fused"]["ndcg@10"] + 0.05
