"""A pipeline that is killed anywhere and started again: nothing is done twice, and no charge is lost."""

from __future__ import annotations

import os
import signal
from collections import Counter
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


def test_killed_while_it_collects_trains_evaluates_and_registers_it_finishes_and_repeats_nothing(
    machine: Checkout, tmp_path: Path
) -> None:
    kills: dict[str, Callable[[str, Path], None]] = {
        "collect": lambda moment, log: _kill_command_and_server(machine, moment, log),
        "train": lambda moment, log: _kill_worker(machine, moment, log),
        "evaluate": lambda moment, log: _kill_command(machine, moment, log),
        "register": lambda moment, log: _kill_command(machine, moment, log),
    }
    settled, spent = _settled(machine), _spent(machine)
    for moment, kill in kills.items():
        kill(moment, tmp_path / f"{moment}.log")
        assert _settled(machine)[: len(settled)] == settled
        assert _spent(machine) >= spent
        settled, spent = _settled(machine), _spent(machine)

    assert "jali promote approve" in machine.jali(*PIPELINE)
    assert "Running stage" not in _dvc_log(machine)
    assert _settled(machine) == settled, "what was released before the kill was found, not released again"
    assert _spent(machine) == spent
    assert {account["held"] for account in machine.ledger()["accounts"]} == {0}

    # A pipeline and its dataset that died with the server, a pipeline and its training that died with the worker.
    until(lambda: _states(machine)["CRASHED"] >= 4, seconds=280)
    machine.jali("up")
    again = _start_by_hand(machine)
    until(lambda: _state(machine, again) == "COMPLETED")
    assert _settled(machine) == settled


def test_a_server_that_is_killed_in_the_middle_costs_no_release(machine: Checkout, tmp_path: Path) -> None:
    log, another = tmp_path / "log", (*PIPELINE, "--epsilon", "1")
    released = len(_holds(machine))
    running = machine.start(*another, log=log)
    until(lambda: len(_holds(machine)) > released)
    machine.kill("prefect")
    machine.jali("up")
    assert running.wait() in (0, 75)  # it noticed, or the server came back before it had anything to say
    assert "Traceback" not in log.read_text()
    settled = _settled(machine)
    machine.jali(*another)
    assert _settled(machine)[: len(settled)] == settled
    releases = _holds(machine)[released:]
    assert len({hold.key for hold in releases}) == len(releases), "each was released once"


def _kill_command(machine: Checkout, moment: str, log: Path) -> None:
    """Start the pipeline and kill its process at that moment, and nothing that it started."""
    running = machine.start(*PIPELINE, log=log)
    reached = _moment(machine, moment, log)
    until(lambda: reached() or running.poll() is not None)
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL, log.read_text()


def _kill_command_and_server(machine: Checkout, moment: str, log: Path) -> None:
    """Do that while the server dies too, which then has not seen the run end, and start the server again."""
    _kill_command(machine, moment, log)
    machine.kill("prefect")
    machine.jali("up")


def _kill_worker(machine: Checkout, moment: str, log: Path) -> None:
    """Have a worker run the pipeline, and kill both at that moment."""
    begun = _start_by_hand(machine)
    until(_moment(machine, moment, log))
    machine.kill("worker")
    for process in _processes_of(begun):
        process.kill()
    assert _state(machine, begun) == "RUNNING"


def _start_by_hand(machine: Checkout) -> str:
    by_hand = machine.deployment("by-hand")
    started = machine.prefect(f"/deployments/{by_hand}/create_flow_run", parameters={"author": "ana"})
    return str(started["id"])


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


def _states(machine: Checkout) -> Counter[str]:
    return Counter(str(run["state_type"]) for flow in ("pipeline", "dataset", "train") for run in machine.runs(flow))


def _processes_of(run: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if run in process.environ().values():
                found.append(process)
        except psutil.Error:
            continue
    return found
