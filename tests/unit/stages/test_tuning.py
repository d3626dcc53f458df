"""A search on a public source is free: each trial a training that nobody charges."""

from __future__ import annotations

from dataclasses import replace

import mlflow
import pytest

from components.core import params, service
from components.core.errors import Misconfigured, Refused
from components.core.grids import Choice, choices, grids
from components.stages import tuning as stage
from components.stages.run import Run
from components.training.proposals import Proposals
from tests.unit.stages.conftest import CHECKOUT
from tests.unit.stages.toy import SERVICE, ToyParams
from tests.unit.stages.tuned import GRID, asking, logged, rows


@pytest.fixture
def public(divided: Run) -> Run:
    return asking(divided)


# --- what is tried


def test_a_grid_is_of_personal_candidates_and_of_values_that_they_may_have(public: Run) -> None:
    found = grids(SERVICE, ToyParams(), GRID)
    assert len(choices(found)) == 5
    assert Choice("gram", (("gram.spread", 1.0), ("gram.own", 2.0))).tree == {"gram": {"spread": 1.0, "own": 2.0}}
    for wrong in ({}, {"common": {"scale": [1.0]}}, {"linear": {"scale": ["much"]}}, {"linear": {"size": [1]}},
                  {"linear": {"scale": []}}):  # fmt: skip
        with pytest.raises(Misconfigured):
            grids(SERVICE, ToyParams(), wrong)


@pytest.mark.parametrize("name", list(params.load(CHECKOUT / "params.yaml").services))
def test_every_grid_that_a_service_declares_is_of_values_that_its_parameters_allow(name: str) -> None:
    declared = service.find(name)
    if declared.grid:
        chosen = declared.params()
        every = choices(grids(replace(declared, chosen=None), chosen, {}))
        assert len({(choice.candidate, str(choice.of(chosen))) for choice in every}) == len(every), "no two are alike"
    else:
        with pytest.raises(Misconfigured, match=f"tuning.grids.{name}"):
            grids(declared, declared.params(), {})


def test_without_learning_choices_are_uniform_whatever_was_told_and_with_it_they_follow_the_scores() -> None:
    grid = {"linear": {"scale": [0, 1, 2, 3]}}
    best = Choice("linear", (("scale", 2),))
    shares = {}
    for learning in (False, True):
        drawn, hits = Proposals(grid, learning=learning), 0
        for _ in range(120):
            choice = drawn.ask()
            drawn.tell(1.0 if choice == best else 0.0)
            hits += choice == best
        shares[learning] = hits / 120
    assert 0.1 < shares[False] < 0.42, "a quarter, within five deviations"
    assert shares[True] > 0.5


# --- on a public source


@pytest.mark.slow
def test_on_a_public_source_nothing_is_charged_and_every_trial_is_a_run_below_the_search(public: Run) -> None:
    search = stage.open_search(public, "toy", trials=3)
    floor, drawn, tried = stage.fit_floor(public, "toy"), stage.proposals(search), []
    for number in range(3):
        choice = drawn.ask()
        tried.append((choice, stage.try_one(public, search, number, choice, floor)))
        drawn.tell(tried[-1][1])
    found = stage.best_of(public, search, tried)
    stage.finish_search(public, search, found)
    assert rows(public) == []
    assert (found.public, found.trials, found.epsilon, found.releases) == (True, 3, {}, {})
    assert found.score == max(score for _, score in tried)
    runs = logged(public, search)
    assert {one.data.tags["jali.kind"] for one in runs} == {"trial"}
    assert {one.data.metrics["nearness"] for one in runs} == {score for _, score in tried}
    assert all(one.data.params["scale"] for one in runs)
    whole = mlflow.MlflowClient(public.settings.mlflow_uri).get_run(search.tracked)
    assert whole.info.status == "FINISHED"
    assert whole.data.tags["jali.epsilon"] == "none"


def test_a_search_in_which_no_trial_ended_says_so(public: Run) -> None:
    with pytest.raises(Refused, match="No trial"):
        stage.best_of(public, stage.asked(public, "toy"), [])
