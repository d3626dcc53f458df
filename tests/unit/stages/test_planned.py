"""A training that is planned releases what a training that runs does."""

from __future__ import annotations

import pytest

from components.core.errors import Misconfigured
from components.stages import workspace
from components.stages.evaluate import evaluate
from components.stages.planned import Users, counted_before, known_dataset, planned, require_caps, require_delta
from components.stages.run import Run
from components.stages.train import train
from tests.unit.stages.conftest import but


@pytest.mark.parametrize("epsilon", [0.7, 3.0])
def test_what_is_planned_is_what_the_ledger_is_charged_release_by_release(divided: Run, epsilon: float) -> None:
    run = but(divided, training={"epsilon": epsilon})
    train(run, "toy")
    evaluate(run, "toy")
    users = counted_before(run, "toy")
    assert users is not None
    charged = [(hold.release.mechanism, hold.release.split, hold.release.event) for hold in run.ledger().holds()]
    assert [(one.mechanism, one.split, one.event) for one in planned(run, "toy", users)] == charged
    assert all(hold.charged == hold.release.event for hold in run.ledger().holds())


def test_users_that_were_never_counted_are_not_known(divided: Run) -> None:
    assert counted_before(divided, "toy") is None
    assert Users.guessed(divided, 800).by_split == {"train": 800, "validation": 100, "test": 100}


def test_the_dataset_of_the_source_is_found_and_that_of_another_is_not(divided: Run) -> None:
    found = known_dataset(divided)
    assert found is not None
    assert found[1].blocks == ("2024Q1",)
    assert known_dataset(but(divided, source="ta-feng")) is None


def test_a_delta_that_no_gate_lets_through_is_refused_before_anything_is_spent(divided: Run) -> None:
    with pytest.raises(Misconfigured, match=r"training\.max_delta is above .*found δ = 0\.001, limit gates\.delta"):
        require_delta(but(divided, training={"max_delta": 1e-3}))


def test_a_cap_below_what_the_dataset_has_spent_is_refused_before_anything_is_spent(divided: Run) -> None:
    train(divided, "toy")
    before = divided.ledger().head
    for key in ("cap", "lifetime_cap"):
        with pytest.raises(Misconfigured, match=rf"privacy\.{key} is below what the account"):
            require_caps(but(divided, privacy={key: {"epsilon": 1, "delta": 1e-6}}))
    require_caps(divided)
    assert divided.ledger().head == before


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"privacy": {"cap": {"epsilon": 1, "delta": 1e-6}}}, r"privacy\.cap is below what the account"),
        ({"privacy": {"lifetime_cap": {"epsilon": 1, "delta": 1e-6}}}, r"privacy\.lifetime_cap is below what"),
        ({"training": {"max_delta": 1e-3}}, r"training\.max_delta is above what the gate lets through"),
    ],
)
def test_a_flow_refuses_such_parameters_before_it_trains(
    divided: Run, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], sentence: str
) -> None:
    train(divided, "toy")
    before = divided.ledger().head
    monkeypatch.setattr(workspace, "_opened", lambda _: but(divided, **changes))
    with pytest.raises(Misconfigured, match=sentence):
        workspace.open_training("shop")
    assert divided.ledger().head == before
