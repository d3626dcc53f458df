"""A pipeline that is killed anywhere and started again: nothing is done twice, and no charge is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from components.core.params import Cap
from components.privacy.ledger import Ledger

from .checkout import Checkout, until

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(600)]

PIPELINE = ("run", "pipeline", "--author", "ana")
MOMENTS = ("collect", "train", "evaluate", "register")


def test_killed_while_it_collects_trains_evaluates_and_registers_it_finishes_and_repeats_nothing(
    machine: Checkout, tmp_path: Path
) -> None:
    settled: list[dict[str, Any]] = []
    spent = 0.0
    for moment in MOMENTS:
        log = tmp_path / f"{moment}.log"
        running = machine.start(*PIPELINE, log=log)
        reached = _moment(machine, moment, log)
        until(lambda running=running, reached=reached: reached() or running.poll() is not None)
        os.kill(running.pid, signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL, log.read_text()

        assert _settled(machine)[: len(settled)] == settled
        assert _spent(machine) >= spent
        settled, spent = _settled(machine), _spent(machine)

    assert "jali promote approve" in machine.jali(*PIPELINE)
    assert "Running stage" not in _dvc_log(machine)
    assert _settled(machine) == settled, "what was released before the kill was found, not released again"
    assert _spent(machine) == spent
    assert {account["held"] for account in machine.ledger()["accounts"]} == {0}


def test_a_run_whose_worker_was_killed_is_marked_crashed_and_ends_when_it_is_started_again(machine: Checkout) -> None:
    parameters = {"author": "ana", "epsilon": 1.0}
    by_hand = machine.deployment("by-hand")
    begun = machine.prefect(f"/deployments/{by_hand}/create_flow_run", parameters=parameters)["id"]
    released = len(_holds(machine))
    until(lambda: len(_holds(machine)) > released)
    machine.kill("worker")
    for process in _processes_of(begun):
        process.kill()
    assert _state(machine, begun) == "RUNNING"

    until(lambda: _state(machine, begun) == "CRASHED", seconds=280)
    machine.jali("up")
    again = machine.prefect(f"/deployments/{by_hand}/create_flow_run", parameters=parameters)["id"]
    until(lambda: _state(machine, again) == "COMPLETED")
    assert {hold.open for hold in _holds(machine)} == {False}


def _moment(machine: Checkout, name: str, log: Path) -> Callable[[], bool]:
    """Return what tells that the pipeline which writes `log` is in the middle of a step."""
    return {
        "collect": lambda: "Running stage 'collect'" in _dvc_log(machine),
        "train": lambda: any(hold.release.mechanism == "gram" for hold in _holds(machine)),
        "evaluate": lambda: any(hold.release.mechanism == "metrics" for hold in _holds(machine)),
        "register": lambda: "'require passed" in log.read_text(),
    }[name]


def _dvc_log(machine: Checkout) -> str:
    log = machine.root / "var" / "workspaces" / "shop" / ".dvc" / "tmp" / "repro.log"
    return log.read_text() if log.exists() else ""


def _holds(machine: Checkout) -> list[Any]:
    if not (machine.home / "ledger.db").exists():
        return []
    return Ledger.open(machine.home, Cap(epsilon=60)).holds()


def _settled(machine: Checkout) -> list[dict[str, Any]]:
    return [one for one in machine.ledger()["releases"] if one["state"] == "settled"]


def _spent(machine: Checkout) -> float:
    return sum(float(account["spent"] + account["held"]) for account in machine.ledger()["accounts"])


def _state(machine: Checkout, run: str) -> str:
    [found] = machine.prefect("/flow_runs/filter", flow_runs={"id": {"any_": [run]}})
    return str(found["state_type"])


def _processes_of(run: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if run in process.environ().values():
                found.append(process)
        except psutil.Error:
            continue
    return found
