"""From a source to a served answer, as two people type it; the tests of this module follow each other."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from jsonschema import Draft202012Validator

from .checkout import Checkout, refused, until

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(600)]

HISTORY_OF_NOBODY: list[str] = []


@pytest.fixture(scope="module")
def requested(machine: Checkout) -> str:
    """What the pipeline said at its end."""
    return machine.jali("run", "pipeline", "--author", "ana")


@pytest.fixture(scope="module")
def promoted(machine: Checkout, requested: str) -> dict[str, Any]:
    """What serving answers once a second person has approved."""
    by_its_author = machine.run("promote", "approve", "recommend", "1", "--by", "ana", "--reason", "mine")
    assert "cannot approve it (found ana" in refused(by_its_author, 24)
    machine.jali("promote", "approve", "recommend", "1", "--by", "ben", "--reason", "the gates passed")
    until(lambda: _served(machine) == 1)
    return machine.recommend(HISTORY_OF_NOBODY)


def test_everything_is_up(machine: Checkout) -> None:
    assert {name: facts["state"] for name, facts in machine.status().items()} == dict.fromkeys(
        ("prefect", "mlflow", "worker", "serving"), "ready"
    )


def test_the_pipeline_ends_with_a_request_and_the_command_of_the_second_person(requested: str) -> None:
    assert "jali promote approve recommend" in requested


def test_an_approved_version_answers_with_its_number_and_its_epsilon(promoted: dict[str, Any]) -> None:
    assert promoted["model_version"] == 1
    assert 0 < promoted["epsilon"] <= 3
    assert len(promoted["items"]) == 5


def test_the_flow_that_promotes_was_run_by_the_worker(machine: Checkout, promoted: dict[str, Any]) -> None:
    run = until(lambda: [one for one in machine.runs("deploy") if one["state_type"] == "COMPLETED"])[0]
    assert run["work_pool_name"] == "jali"


def test_mlflow_loads_the_champion_and_it_answers_the_same(
    machine: Checkout, promoted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    history = [item["item"] for item in promoted["items"][:3]]
    mlflow.set_tracking_uri(f"sqlite:///{machine.root / 'mlruns' / 'mlflow.db'}")
    mlflow.set_registry_uri(f"sqlite:///{machine.root / 'mlruns' / 'mlflow.db'}")
    model = mlflow.pyfunc.load_model("models:/jali-recommend@champion")
    [answer] = model.predict([{"history": history, "k": 5}])
    items = [item["item"] for item in (answer if isinstance(answer, dict) else answer.model_dump())["items"]]
    assert items == [item["item"] for item in machine.recommend(history)["items"]]


def test_the_champions_statement_is_told_alike_by_the_command_the_api_and_the_registry(
    machine: Checkout, promoted: dict[str, Any], tmp_path: Path
) -> None:
    told = json.loads(machine.jali("statement", "recommend@champion", "--json"))
    by_schema = Draft202012Validator(json.loads(machine.jali("statement", "--schema")))
    served = httpx.get(machine.url("serving", "/v1/recommend/statement")).json()
    [copy] = (machine.root / "mlruns" / "artifacts").rglob("statement/version-1/statement.json")
    for one in (told, served, json.loads(copy.read_text())):
        by_schema.validate(one)
        assert one["privacy"] == told["privacy"]
        assert one["statement"] == told["statement"]
    assert told["privacy"]["epsilon"] == promoted["epsilon"]
    charged = [(one["mechanism"], one["split"]) for one in told["privacy"]["charged"]]
    holds = [(one["mechanism"], one["split"]) for one in machine.ledger()["releases"] if one["state"] == "settled"]
    assert sorted(charged) == sorted(holds), "everything that the ledger charged is in the statement"
    assert {account["block"] for account in told["ledger"]["accounts"]} == set(told["privacy"]["blocks"])
    assert told["privacy"]["audited"]["destroyed_by_noise"]
    machine.jali("statement", "recommend@champion", "--html", str(tmp_path / "page.html"))
    assert "Privacy statement: recommend, version 1" in (tmp_path / "page.html").read_text()


def test_the_same_pipeline_again_does_nothing_and_spends_nothing(machine: Checkout, promoted: dict[str, Any]) -> None:
    before = machine.ledger()
    said = machine.jali("run", "pipeline", "--author", "ana")
    assert "done before" in said
    assert machine.ledger() == before
    training, promotion = machine.runs("train")[0], machine.runs("promote")[0]
    assert training["state_type"] == promotion["state_type"] == "COMPLETED"
    assert "version 1 of recommend" in training["state"]["message"]
    assert "champion already" in promotion["state"]["message"]


def test_the_data_of_a_version_comes_back_bit_for_bit(machine: Checkout, promoted: dict[str, Any]) -> None:
    split = machine.root / "var" / "workspaces" / "shop" / "data" / "split"
    machine.jali("data", "get", "1")
    back = machine.root / "var" / "restored" / "recommend-1" / "data" / "split"
    names = sorted(str(path.relative_to(split)) for path in split.rglob("*") if path.is_file())
    assert "train/interactions.parquet" in names
    assert sorted(str(path.relative_to(back)) for path in back.rglob("*") if path.is_file()) == names
    assert all((back / name).read_bytes() == (split / name).read_bytes() for name in names)


def test_a_rollback_serves_the_version_that_was_champion_before(machine: Checkout, promoted: dict[str, Any]) -> None:
    machine.jali("run", "pipeline", "--author", "ana", "--epsilon", "1.5")
    machine.jali("promote", "approve", "recommend", "2", "--by", "ben", "--reason", "it costs less")
    until(lambda: _served(machine) == 2)
    second = machine.recommend(HISTORY_OF_NOBODY)
    assert second["epsilon"] <= 1.5
    machine.jali("rollback", "recommend", "--by", "ana", "--reason", "people complained")
    until(lambda: _served(machine) == 1)
    assert machine.recommend(HISTORY_OF_NOBODY) == promoted
    [standing] = json.loads(machine.jali("promote", "status", "--json"))
    assert standing["champion"] == 1
    assert any("people complained" in str(move) for move in standing["moves"])


def test_late_runs_of_a_window_that_was_processed_do_nothing(machine: Checkout, promoted: dict[str, Any]) -> None:
    before = machine.ledger()
    weekly = machine.deployment("weekly")
    late = [
        machine.prefect(f"/deployments/{weekly}/create_flow_run", parameters={"author": "ana"}, state=_due(day))["id"]
        for day in (3, 2, 1)
    ]

    def ended() -> list[dict[str, Any]]:
        found = machine.prefect("/flow_runs/filter", flow_runs={"id": {"any_": late}})
        return found if all(one["state_type"] == "COMPLETED" for one in found) else []

    runs = sorted(until(ended), key=lambda one: one["start_time"])
    assert all("trained on already" in one["state"]["message"] for one in runs)
    assert all(first["end_time"] <= then["start_time"] for first, then in pairwise(runs))
    assert machine.ledger() == before


def test_a_database_of_mlflow_that_is_locked_says_so_and_changes_nothing(
    machine: Checkout, promoted: dict[str, Any], tmp_path: Path
) -> None:
    with closing(sqlite3.connect(machine.root / "mlruns" / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        said = refused(machine.run("data", "get", "1", "--to", str(tmp_path / "data")), 75)
    assert "database is locked" in said
    machine.jali("data", "get", "1", "--to", str(tmp_path / "data"))


def test_evidence_of_another_ledger_passes_no_gate(machine: Checkout, promoted: dict[str, Any], tmp_path: Path) -> None:
    workspace, other = tmp_path / "workspace", str(tmp_path / "another home")
    shutil.copytree(machine.root / "var" / "workspaces" / "shop", workspace, symlinks=True)
    assert "another ledger" in refused(machine.run("stage", "gate", "recommend", within=workspace, JALI_HOME=other), 21)
    assert not (workspace / "evidence" / "recommend" / "gate").exists(), "an earlier verdict is not of this ledger"
    assert "JALI_HOME" in refused(machine.run("stage", "audit", "recommend", within=workspace, JALI_HOME=other), 21)


def test_down_leaves_no_process(machine: Checkout) -> None:
    machine.jali("down")
    assert {facts["state"] for facts in machine.status().values()} == {"stopped"}
    assert [process.info["cmdline"] for process in _processes_of(machine.root)] == []


def _served(machine: Checkout) -> int:
    try:
        return int(machine.recommend(HISTORY_OF_NOBODY)["model_version"])
    except OSError:
        return 0


def _due(days_ago: int) -> dict[str, Any]:
    when = (datetime.now(UTC) - timedelta(days=7 * days_ago)).isoformat()
    return {"type": "SCHEDULED", "state_details": {"scheduled_time": when}}


def _processes_of(root: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        try:
            if process.pid != psutil.Process().pid and str(root) in str(process.environ().get("JALI_ROOT")):
                found.append(process)
        except psutil.Error:
            continue
    return found
