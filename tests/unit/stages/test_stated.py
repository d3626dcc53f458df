"""What the statement of a version says was charged is what the ledger charged."""

from __future__ import annotations

import pytest

from components.core.errors import ContractBroken
from components.core.records import Population
from components.privacy import accounting
from components.stages.evaluate import evaluate
from components.stages.run import Run
from components.stages.stated import charged
from components.stages.train import train


@pytest.fixture
def evaluated(divided: Run) -> Run:
    train(divided, "toy")
    evaluate(divided, "toy")
    return divided


def test_every_release_that_the_ledger_settled_is_in_the_statement_once(evaluated: Run) -> None:
    stated = charged(evaluated, "toy")
    holds = [hold.release.digest for hold in evaluated.ledger().holds()]
    assert sorted(one.release.digest for one in stated) == sorted(holds)
    purposes = [(one.purpose, one.release.split) for one in stated]
    assert purposes[:2] == [("count", "train"), ("floor", "train")]
    assert purposes[-4:] == [
        ("count", "validation"),
        ("choosing", "validation"),
        ("count", "test"),
        ("judging", "test"),
    ]
    within = [one.release.event for one in stated if one.release.split == "train"]
    assert accounting.epsilon_of(within, stated[0].delta) <= evaluated.params.training.epsilon


def test_a_release_that_the_ledger_does_not_hold_is_not_stated(evaluated: Run) -> None:
    path = evaluated.evidence("toy", "evaluate") / "population-test.json"
    Population.read(path).model_copy(update={"release": "f" * 64}).write(path)
    with pytest.raises(ContractBroken, match=r"holds no release that the evidence of toy names .*ffffffffffff"):
        charged(evaluated, "toy")
