"""A training that was killed and resumed, through the stages: both attempts are charged, and it is audited as one."""

from __future__ import annotations

import multiprocessing

import pytest

from components.core import service
from components.core.records import Evaluation, Trained
from components.privacy.lower_bounds import largest_noise
from components.stages import gate
from components.stages.audit import audit
from components.stages.evaluate import evaluate
from components.stages.run import Run
from components.stages.train import observed, telemetry, train
from tests.unit.stages.conftest import but
from tests.unit.stages.descent import SERVICE, STEPS


class Killed(BaseException):
    """Ends a process as a signal does: nobody catches it."""


def killed_and_resumed(run: Run, monkeypatch: pytest.MonkeyPatch) -> Trained:
    """Train until the eighth step, then again, and look at charges, checkpoints and canaries."""
    monkeypatch.setattr(service, "find", lambda name: SERVICE)

    def kill(done: int, total: int | None = None) -> None:
        if (done, total) == (8, STEPS):
            raise Killed

    with pytest.raises(Killed):
        train(run, "toy", progress=kill)
    assert not multiprocessing.active_children()
    _, trained = train(run, "toy")
    assert trained.steps == STEPS - 6  # from the checkpoint of the sixth step on
    assert not (telemetry(run, "toy", trained.key) / "checkpoints").exists()
    first, second = (hold for hold in run.ledger().holds() if hold.release.mechanism == "descent")
    assert (first.attempt, second.attempt) == (1, 2)
    assert (first.charged.steps, second.charged.steps) == (STEPS, STEPS - 6)  # what was killed in full
    seen = observed(run, trained)
    assert seen is not None
    assert seen.steps == STEPS
    assert largest_noise(seen, first.charged) < 4 * first.charged.noise_multiplier  # each weighs what a user may
    return trained


@pytest.mark.slow
def test_a_training_that_is_killed_and_resumed_is_charged_twice_and_passes_its_audit(
    divided: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = but(divided, training={"ceiling": False})
    killed_and_resumed(run, monkeypatch)
    evaluate(run, "toy")
    assert Evaluation.read(run.evidence("toy", "evaluate") / "test.json").chosen == "descent"
    record = audit(run, "toy")["descent"]
    assert record.canaries == run.params.training.canaries
    assert record.epsilon_lower_bound < record.epsilon_claimed * 1.1  # beyond the claim once in a thousand runs
    assert {one.gate: one.passed for one in gate.gate(run, "toy").gates}["audit"]


@pytest.mark.slow
def test_on_two_devices_it_is_killed_resumed_charged_and_watched_alike(
    divided: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = but(divided, performance={"devices": 2, "accelerator": "cpu"}, training={"ceiling": False})
    killed_and_resumed(run, monkeypatch)
