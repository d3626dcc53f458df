"""Canaries from the training to the verdict."""

from __future__ import annotations

import pytest

from components.core.errors import ContractBroken
from components.core.records import Evaluation
from components.privacy.canaries import Observed
from components.stages import gate
from components.stages.audit import audit
from components.stages.evaluate import evaluate
from components.stages.run import Run
from components.stages.train import observed, train
from tests.unit.stages import toy
from tests.unit.stages.conftest import but


def canaries_of(run: Run) -> dict[str, Observed]:
    folder = run.evidence("toy", "train")
    return {path.name.split("-")[0]: Observed.read(path) for path in sorted(folder.glob("*-canaries.json"))}


def test_each_release_of_a_training_has_canaries_of_its_own(divided: Run) -> None:
    trained = train(divided, "toy")
    found = canaries_of(divided)
    assert set(found) == {one.candidate for one in trained}
    assert all(sum(one.users) == 1000 for one in found.values())
    assert len({one.inserted for one in found.values()}) == len(found)
    assert found["deep"] == observed(divided, next(one for one in trained if one.candidate == "deep"))


def test_a_training_that_is_found_settled_brings_its_canaries_back(divided: Run) -> None:
    train(divided, "toy")
    before, head = canaries_of(divided), divided.ledger().head
    train(divided, "toy")
    assert canaries_of(divided) == before
    assert divided.ledger().head == head


def test_canaries_cost_nothing_and_a_release_without_any_is_another_one(divided: Run) -> None:
    train(divided, "toy")
    spent = {account.block: account.spent for account in divided.ledger().accounts()}
    train(but(divided, training={"audit": False}), "toy")
    assert canaries_of(divided) == {}
    again = {account.block: account.spent for account in divided.ledger().accounts()}
    assert again != spent


def test_a_mechanism_that_ignores_its_canaries_is_refused(divided: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = toy.Toy.fit

    def deaf(self, rows, plan, catalogue, *, canaries, **options):
        return fit(self, rows, plan, catalogue, **options)

    monkeypatch.setattr(toy.Toy, "fit", deaf)
    with pytest.raises(ContractBroken, match="did not say what it saw"):
        train(divided, "toy")


@pytest.mark.slow
def test_bound_and_ceiling_come_to_the_verdict_and_the_statement(divided: Run) -> None:
    train(divided, "toy")
    evaluate(divided, "toy")
    found = audit(divided, "toy")
    chosen = Evaluation.read(divided.evidence("toy", "evaluate") / "test.json").chosen
    record = found[chosen]
    assert record.canaries == 1000
    assert record.confidence == 0.999
    assert 0 <= record.epsilon_lower_bound < 1.1 * record.epsilon_claimed  # beyond the claim once in a thousand runs
    assert 0 < record.epsilon_ceiling < record.epsilon_claimed
    verdict = gate.gate(divided, "toy")
    judged = next(one for one in verdict.gates if one.gate == "audit")
    assert "1000 canaries prove ε ≥ " in judged.value
    assert "were the claim tight" in judged.value
    assert gate.statement_of(divided, "toy").audited.epsilon_ceiling == record.epsilon_ceiling


@pytest.mark.slow
def test_noise_that_is_half_of_what_was_charged_is_refused_by_the_gate(
    divided: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    noised_sum = toy.noised_sum
    with monkeypatch.context() as patched:
        patched.setattr(
            toy, "noised_sum", lambda vector, sensitivity, noise: noised_sum(vector, sensitivity, noise / 2)
        )
        train(divided, "toy")
    evaluate(divided, "toy")
    audit(divided, "toy")
    judged = {one.gate: one for one in gate.gate(divided, "toy").gates}
    assert not judged["audit"].passed
    assert judged["epsilon"].passed, "accounting alone does not see it"
