"""A search on people's rows is one charge for each split, all of it, and tells nothing but the best trial."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from components.core import service
from components.core.errors import BudgetExhausted, ContractBroken, Misconfigured, Refused
from components.core.grids import Choice
from components.privacy import accounting, mechanisms, tuning
from components.privacy.release import BestOf, Trials
from components.stages import gate, searching, stated
from components.stages import tuning as stage
from components.stages.audit import audit
from components.stages.evaluate import evaluate
from components.stages.run import Run
from components.stages.search_budget import Division, held
from components.stages.train import train
from tests.unit.stages.conftest import but
from tests.unit.stages.descent import Descent
from tests.unit.stages.toy import SERVICE, Toy
from tests.unit.stages.tuned import GRID, asking, logged, of_people, rows, searched


@pytest.fixture
def people(prepared: Run) -> Run:
    """A workspace of people's rows."""
    return of_people(prepared)


def test_on_peoples_rows_the_whole_search_is_charged_before_it_begins(
    people: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[tuple[str, str]]] = []

    def number(trials: Trials) -> int:
        seen.append(rows(people))
        return 4

    monkeypatch.setattr(tuning, "number", number)
    found = searched(people)
    ledger, charged = people.ledger(), [
        ("dp_count", "train"), ("dp_count", "validation"), ("common", "train"),
        ("search", "train"), ("search", "validation"),
    ]  # fmt: skip
    assert rows(people) == charged
    assert seen == [charged], "both were reserved when the first trial was drawn"
    ledger.verify()
    assert all(hold.stage == "settled" and hold.charged == hold.release.event for hold in ledger.holds())
    assert found.candidate in GRID
    assert found.changes["scale"] in GRID[found.candidate]["scale"]
    assert set(found.releases) == {"train", "validation"}
    assert {account.split for account in ledger.accounts()} == {"train", "validation"}, "the test users judge nothing"


@pytest.mark.parametrize("law", [{"law": "poisson"}, {"law": "negative_binomial", "shape": 0.0, "trials": 4}])
def test_all_that_a_user_of_either_split_is_charged_is_within_what_is_stated(people: Run, law: dict[str, Any]) -> None:
    run = asking(people, **law)
    found = searched(run)
    for which, epsilon in found.epsilon.items():
        events = [hold.charged for hold in run.ledger().holds() if hold.release.split == which]
        order, delta = found.order[which], found.delta[which]
        spent = sum(accounting.rdp(event, order) for event in events if event)
        assert accounting.rdp_epsilon(spent, order, delta) <= epsilon
        assert accounting.rdp_epsilon(spent, order, delta) > 0.9 * epsilon, "and not much of it is left lying"
    assert found.epsilon == {"train": 3.0, "validation": 3.0}
    assert found.accountant.startswith("RDP")


@pytest.mark.slow
def test_the_statement_of_a_version_names_the_search_that_read_the_same_people(people: Run) -> None:
    assert stated._searches(people, "toy") == []
    searched(people)
    train(people, "toy")
    evaluate(people, "toy")
    audit(people, "toy")
    gate.gate(people, "toy")
    told = gate.statement_of(people, "toy")
    [said] = [words for words in told.not_covered if words.startswith("Searches for parameters: 1 ")]
    [search] = stated._searches(people, "toy")
    assert f"ε = {accounting.epsilon_of([search], told.delta):.3g}" in said
    assert told.epsilon == 3.0
    assert stated._searches(people, "another") == []


def test_asked_again_it_costs_nothing_and_says_the_same(people: Run) -> None:
    first = searched(people)
    before = people.ledger().head
    again = searched(people)
    assert again == first
    assert people.ledger().head == before
    (people.settings.home / "records").rename(people.settings.home / "lost")
    settled = searched(people)
    assert settled == first, "the store has it too"
    assert people.ledger().head == before


def test_a_search_that_was_cut_off_is_charged_in_full_and_made_again_is_charged_again(
    people: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(trials: Trials) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tuning, "number", stop)
        with pytest.raises(KeyboardInterrupt):
            searched(people)
    cut = [hold for hold in people.ledger().holds() if hold.release.mechanism == "search"]
    assert [(hold.stage, hold.charged, hold.output) for hold in cut] == [
        ("settled", hold.release.event, None) for hold in cut
    ]
    assert {hold.release.split for hold in cut} == {"train", "validation"}
    searched(people)
    again = [hold for hold in people.ledger().holds() if hold.release.mechanism == "search"]
    assert sorted((hold.release.split, hold.attempt) for hold in again) == [
        ("train", 1), ("train", 2), ("validation", 1), ("validation", 2),
    ]  # fmt: skip
    assert sum(hold.output is not None for hold in again) == 2


def test_another_number_of_trials_is_another_search(people: Run) -> None:
    searched(people)
    searched(people, trials=3)
    assert rows(people).count(("search", "train")) == 2
    assert rows(people).count(("dp_count", "train")) == 1


@pytest.mark.parametrize("left", ["a low cap", "an account that is spent"])
def test_a_search_that_does_not_fit_is_refused_before_anything_is_read_or_spent(people: Run, left: str) -> None:
    if left == "a low cap":
        run = but(people, privacy={"cap": {"epsilon": 1.5}})
    else:
        run = people
        while True:
            try:
                searched(run, trials=10 + len(rows(run)))
            except BudgetExhausted:
                break
    before = run.ledger().head
    with pytest.raises(BudgetExhausted, match="does not fit into the account 2024Q1"):
        searched(run, trials=9.5)
    assert run.ledger().head == before


@pytest.mark.slow
def test_how_many_trials_there_were_is_told_to_nobody(people: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    for many in (2, 9):
        run = replace(people, settings=replace(people.settings, home=people.settings.home / str(many)))
        run.settings.home.mkdir(parents=True)
        (run.settings.home / "secret.key").write_bytes(bytes(32))
        monkeypatch.setattr(tuning, "number", lambda trials, many=many: many)
        search = stage.open_search(run, "toy")
        found = searching.search(run, search)
        stage.finish_search(run, search, found)
        [best] = logged(run, search)
        assert best.data.tags["jali.kind"] == "best"
        verbs = [entry.verb for entry in run.ledger().entries()]
        told.append((verbs, found.trials, sorted(found.body()), sorted(best.data.tags), sorted(best.data.params)))
    assert told[0] == told[1]
    assert told[0][1] is None


@pytest.mark.slow
def test_a_trial_on_peoples_rows_is_refused_by_mlflow_and_by_the_rows_themselves(people: Run) -> None:
    from components.registry import searches

    search = stage.open_search(people, "toy")
    with pytest.raises(Refused, match="told to nobody"):
        searches.log_trial(
            people.settings, search.tracked, number=1, candidate="deep", changes={}, metric="m", score=1.0, seconds=1.0
        )
    with pytest.raises(ContractBroken, match="Only a release opens"):
        stage.fit_floor(people, "toy")
    with pytest.raises(Misconfigured, match="stop by time"):
        stage.asked(people, "toy", seconds=10)


@pytest.mark.parametrize("failing", [0, 1, 3])
def test_a_trial_that_fails_is_the_worst_of_all_and_its_stack_stays_in_the_trusted_zone(
    people: Run, failing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, original = [], Toy.fit

    def fit(self: Toy, *args: Any, **options: Any) -> Any:
        calls.append(self.name)
        if self.personal and len([name for name in calls if name != "common"]) <= failing:
            raise ZeroDivisionError("a row of somebody")
        return original(self, *args, **options)

    monkeypatch.setattr(Toy, "fit", fit)
    monkeypatch.setattr(tuning, "number", lambda trials: 3)
    found = searched(people)
    assert (found.candidate == "") == (failing == 3)
    assert (found.score is None) == (failing == 3)
    pages = list((people.reports / "faults").glob("*.txt"))
    assert len(pages) == failing
    assert "somebody" not in json.dumps(found.body())


@pytest.mark.parametrize("extreme", [1e9, -1e9, math.nan, math.inf])
def test_one_judge_moves_the_sum_of_gains_by_no_more_than_the_search_declares(
    people: Run, extreme: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums = list[tuple[float, float, float]]()

    def record(vector: Any, sensitivity: float, noise_multiplier: float) -> Any:
        sums.append((float(vector[0]), sensitivity, noise_multiplier))
        return vector

    values = {"floor": np.array([0.2, 0.4, 0.1, 0.3]), "bundle": np.array([0.3, 0.9, 0.1, extreme])}
    scoring = replace(SERVICE, score=lambda bundle, judges, seed: values[bundle.name][:judges][:, None])
    scoring = replace(scoring, candidates={**SERVICE.candidates, "linear": Unfitted("linear", True)})
    judged = Division(order=8, stated=1e-5, delta=1e-6, floor=0.0, trial=0.25)
    choice = Choice("linear", ())
    trial = searching._Trial(
        people, scoring, None, stage.asked(people, "toy"), {choice: None}, people.root / "floor", judged, 4
    )
    monkeypatch.setattr(mechanisms, "noised_sum", record)
    for judges in (3, 4):
        trial._score(choice, None, judges, values["floor"][:judges], people.root / "bundle")
    assert abs(sums[1][0] - sums[0][0]) <= sums[0][1] * (1 + 1e-9)
    assert {(sensitivity, noise) for _, sensitivity, noise in sums} == {(0.5, 4.0)}


class Unfitted(Toy):
    def fit(self, *args: Any, **options: Any) -> Any:
        return None


def test_where_the_law_gives_no_trial_nothing_is_found_and_all_is_charged(
    people: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "number", lambda trials: 0)
    found = searched(people)
    assert (found.candidate, found.changes, found.score) == ("", {}, None)
    assert rows(people)[-1] == ("search", "validation")


def test_the_best_by_noised_scores_is_what_is_kept_with_its_bundle(
    people: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, float]] = []
    original = searching._Trial._score

    def score(self: Any, choice: Choice, *args: Any) -> float:
        told.append((choice.candidate, original(self, choice, *args)))
        return told[-1][1]

    monkeypatch.setattr(searching._Trial, "_score", score)
    monkeypatch.setattr(tuning, "number", lambda trials: 6)
    found = searched(people)
    assert (found.candidate, found.score) == max(told, key=lambda one: one[1])
    [hold] = [
        one for one in people.ledger().holds() if one.release.mechanism == "search" and one.release.split == "train"
    ]
    kept = people.ledger().settled(hold.key)
    assert kept is not None
    assert kept.folder is not None
    assert sorted(path.name for path in kept.folder.iterdir()) == ["bundle", "tuned.json"]


@pytest.mark.slow
def test_a_sampled_trial_has_the_noise_that_keeps_it_below_its_gaussian_where_it_counts() -> None:
    candidate = Descent()
    trials, mu = Trials(expected=10, shape=0.0), 0.4
    plan = candidate.plan(mu=mu, delta=1e-6, population=1500, params=None, floor=None)
    orders = {4, 12, *tuning.held_to(12, trials, mu), *tuning.held_to(4, trials, mu)}
    size = Division(order=12, stated=1e-5, delta=1e-6, floor=0.0, trial=mu)
    fitted = held(candidate, plan, orders, size)
    assert fitted.event.noise_multiplier >= plan.event.noise_multiplier
    for order in orders:
        assert accounting.rdp(fitted.event, order) <= order * mu**2 / 2 * (1 + 1e-6)
    cost = accounting.rdp(BestOf(choices=((fitted.event,),), trials=trials), 12)
    assert cost <= tuning.best_of(trials, 12, lambda at: at * mu**2 / 2, lambda: math.nan) + 1e-9


@pytest.mark.slow
def test_a_candidate_that_samples_its_users_is_searched_and_kept_within(
    people: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    descending = replace(SERVICE, candidates={"common": SERVICE.floor, "descent": Descent()})
    monkeypatch.setattr(service, "find", lambda name: descending)
    monkeypatch.setattr(tuning, "number", lambda trials: 1)
    tuning_of = people.params.tuning.model_copy(update={"grids": {"toy": {"descent": {"scale": [1.0, 2.0]}}}})
    run = replace(people, params=people.params.model_copy(update={"tuning": tuning_of}))  # instead of the other grid
    found = searched(run, trials=5)
    [search] = [h.release.event for h in run.ledger().holds() if h.release.mechanism == "search"][:1]
    assert isinstance(search, BestOf)
    assert [[one.type for one in choice] for choice in search.choices] == [["sampled_gaussian"]]
    assert found.epsilon["train"] == 3.0
