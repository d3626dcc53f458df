"""`jali status`, `jali down`, and what `jali up` would start."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import psutil
import pytest

from components.commands import machine
from components.core.processes import Process
from components.core.settings import Settings

Run = Callable[..., str]


@contextmanager
def serving(port: int, models: bytes, code: int = 200) -> Iterator[None]:
    """Let something answer as the serving process does."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(code if self.path == "/v1/models" else 200)
            self.end_headers()
            self.wfile.write(models)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", port), Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process counts as this one, which runs."""
    monkeypatch.setattr(Process, "running", lambda process: psutil.Process())


def test_each_process_is_on_its_own_port_and_the_worker_on_none(here: Settings) -> None:
    found = machine.processes(here)
    assert list(found) == ["prefect", "mlflow", "worker", "serving"]
    ports = {name: process.port for name, process in found.items()}
    assert ports == {
        "prefect": here.prefect_port,
        "mlflow": here.mlflow_port,
        "worker": None,
        "serving": here.serving_port,
    }
    for process in found.values():
        assert process.folder == here.var
        assert process.port is None or f"127.0.0.1:{process.port}/" in str(process.health)
        assert process.port is None or f"127.0.0.1:{process.port}/" in process.page
        # Without it MLflow opens its tools for language models.
        assert process.name != "mlflow" or process.page.endswith("/#/experiments?workflowType=machine_learning")


def test_nothing_listens_beyond_this_machine(here: Settings) -> None:
    commands = [list(machine.processes(here)[name].command) for name in ("prefect", "mlflow")]
    assert all(command[command.index("--host") + 1] == "127.0.0.1" for command in commands)


def test_what_talks_to_prefect_finds_this_checkouts_server(here: Settings) -> None:
    for name in ("prefect", "worker"):
        assert machine.processes(here)[name].environment["PREFECT_API_URL"] == here.prefect_url


def test_a_machine_on_which_nothing_runs_says_so(run: Run, here: Settings) -> None:
    shown = json.loads(run("status", "--json"))
    assert list(shown) == ["prefect", "mlflow", "worker", "serving"]
    assert {one["state"] for one in shown.values()} == {"stopped"}
    assert {one["pid"] for one in shown.values()} == {None}
    assert shown["serving"]["versions"] == {}
    lines = run("status").splitlines()
    assert [line.split()[:3] for line in lines] == [[name, "stopped", "-"] for name in shown]
    assert lines[2].endswith(str(here.var / "logs" / "worker.log"))


@pytest.mark.usefixtures("runs")
def test_status_names_the_version_that_each_service_answers_with(run: Run, here: Settings) -> None:
    with serving(here.serving_port, json.dumps([{"service": "recommend", "version": 3, "bundle": "b"}]).encode()):
        shown = json.loads(run("status", "--json"))
        lines = run("status").splitlines()
    assert shown["serving"]["state"] == "ready"
    assert shown["serving"]["versions"] == {"recommend": 3}
    assert lines[-1].split() == ["recommend", "version", "3"]
    assert len(lines) == 5


@pytest.mark.usefixtures("runs")
def test_a_serving_process_without_a_champion_names_no_version(run: Run, here: Settings) -> None:
    with serving(here.serving_port, b"[]"):
        assert json.loads(run("status", "--json"))["serving"]["versions"] == {}
        assert run("status").splitlines()[-1].strip() == "no version answers yet"


@pytest.mark.parametrize(("answer", "code"), [(b"half an ans", 200), (b"[]", 500), (b'{"detail": "no"}', 200)])
def test_an_answer_that_is_none_names_no_version(here: Settings, answer: bytes, code: int) -> None:
    with serving(here.serving_port, answer, code):
        assert machine.served(here) == {}
    assert machine.served(here) == {}


def test_stopping_what_does_not_run_harms_nothing(run: Run) -> None:
    assert run("down").splitlines() == [
        f"{name:8} was not running" for name in ("serving", "worker", "mlflow", "prefect")
    ]
