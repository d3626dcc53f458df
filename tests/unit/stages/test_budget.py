"""What a training and an evaluation may spend, and how it is divided."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from components.core import service
from components.core.errors import Misconfigured
from components.core.records import Evaluation, Population
from components.data.collect import Collected
from components.privacy import accounting, adaptive, mechanisms
from components.privacy.release import Gaussian
from components.services.support import SERVICE as SUPPORT
from components.services.support.params import SupportParams
from components.stages.budget import Budget
from components.stages.evaluate import evaluate
from components.stages.rows import count_event, counted, kept_within, left_after_count
from components.stages.run import Run
from components.stages.split import split
from components.stages.train import train
from tests.unit.stages.conftest import USERS, but
from tests.unit.stages.toy import SERVICE

SPLITS = {"train": 3.0, "validation": 6.0, "test": 6.0}


@pytest.mark.parametrize("epsilon", [0.3, 1.0, 3.0, 8.0])
def test_count_floor_and_candidates_together_cost_at_most_epsilon_and_use_most_of_it(
    divided: Run, epsilon: float
) -> None:
    trained = train(but(divided, training={"epsilon": epsilon}), "toy")
    budget = Budget.read(divided.evidence("toy", "train") / "budget.json")
    assert [one.candidate for one in trained] == ["common", "linear", "deep"]
    assert len(budget.events) == 1 + len(trained)
    assert 0.99 * epsilon < accounting.epsilon_of(budget.events, budget.delta) <= epsilon
    assert budget.epsilon == epsilon  # fixed beforehand: what is composed above follows the count, and is less
    kept = kept_within(divided, budget.delta)
    assert 0.99 * epsilon < adaptive.epsilon_of(budget.events, kept) <= epsilon * (1 + 1e-9)


def test_candidates_share_the_budget_as_they_declare(divided: Run) -> None:
    train(divided, "toy")
    plans = Budget.read(divided.evidence("toy", "train") / "budget.json").plans
    noise = {name: plan.event.noise_multiplier for name, plan in plans.items()}
    assert (noise["linear"] / noise["deep"]) ** 2 == pytest.approx(2.0)  # μ² is 1/σ²
    assert (noise["common"] / noise["linear"]) ** 2 == pytest.approx(5.0, rel=0.05)


def test_a_second_training_finds_what_was_settled_and_charges_nothing(divided: Run) -> None:
    first = train(divided, "toy")
    before = divided.ledger().head
    assert train(divided, "toy") == first
    assert divided.ledger().head == before


def test_the_ledger_is_charged_what_the_budget_says(divided: Run) -> None:
    trained = train(divided, "toy")
    budget = Budget.read(divided.evidence("toy", "train") / "budget.json")
    settled = {one.candidate: divided.ledger().settled(one.key) for one in trained}
    assert {name: found and found.event for name, found in settled.items()} == {
        name: plan.event for name, plan in budget.plans.items()
    }


@pytest.mark.parametrize(
    ("lower_bound", "delta"), [(1, 1e-5), (10_000, 1e-5), (10_001, 1 / 100_010), (1_000_000, 1e-7)]
)
def test_delta_follows_from_the_lower_bound_of_the_count_and_is_never_above_its_limit(
    divided: Run, monkeypatch: pytest.MonkeyPatch, lower_bound: int, delta: float
) -> None:
    def noised(ledger: object, of: object, noise_multiplier: float) -> Population:
        return Population(split="train", noised=0.0, lower_bound=lower_bound, release="r", ledger="l")

    monkeypatch.setattr(mechanisms, "population", noised)
    count, found = counted(divided, "train", "toy")
    assert count.lower_bound == lower_bound
    assert found == pytest.approx(delta)


@pytest.mark.parametrize("delta", [1e-5, 1e-7, 1e-9])
@pytest.mark.parametrize("epsilon", [0.5, 2.0, 8.0])
def test_an_evaluation_and_its_count_cost_at_most_epsilon_whatever_delta_came_out(
    run: Run, epsilon: float, delta: float
) -> None:
    mu = left_after_count(run, epsilon, delta)
    events = [count_event(run), Gaussian(noise_multiplier=1 / mu)]
    assert accounting.gaussian_mu(epsilon, delta) == pytest.approx(
        math.hypot(*(1 / event.noise_multiplier for event in events))
    )
    assert accounting.epsilon_of(events, delta) == pytest.approx(epsilon, rel=0.01)


def test_the_count_is_near_the_number_of_users_and_below_it_at_the_bound(divided: Run) -> None:
    found = {which: counted(divided, which, "toy")[0] for which in SPLITS}
    assert sum(count.noised for count in found.values()) == pytest.approx(USERS, abs=300)
    assert all(count.lower_bound < max(count.noised, 2) for count in found.values())


def test_evaluating_costs_the_training_account_nothing(divided: Run) -> None:
    train(divided, "toy")
    before = [account for account in divided.ledger().accounts() if account.split == "train"]
    found = evaluate(divided, "toy")
    after = [account for account in divided.ledger().accounts() if account.split == "train"]
    assert before == after
    assert Evaluation.read(divided.evidence("toy", "evaluate") / "test.json") == found


def test_on_peoples_rows_nothing_is_trained_that_would_tell_them_what_the_simulated_shop_says(
    prepared: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "find", lambda name: replace(SERVICE, made_up=SUPPORT.made_up))
    monkeypatch.setattr(Run, "service", lambda self, name: (service.find(name), SupportParams()))
    people = Collected(source="shop", public=False, start=None, end=None, blocks=("2024Q1",), digest_keyed="a" * 64)
    people.write(prepared.data / "raw" / "collected.json")
    split(prepared)
    with pytest.raises(Misconfigured, match=r"policies is not set.*services\.toy\.policies"):
        train(prepared, "toy")
    assert prepared.ledger().accounts() == []
    assert SUPPORT.made_up(SupportParams(policies="/srv/policies")) == []
