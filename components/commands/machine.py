"""`jali up`, `jali down`, `jali status`: what runs on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from http.client import HTTPException
from typing import Any

import click

from components.core import settings as environment
from components.core.errors import Unavailable
from components.core.processes import Process
from components.core.settings import Settings


def processes(settings: Settings) -> dict[str, Process]:
    """Return the processes of this checkout by name, in the order in which they start."""
    python, folder = sys.executable, settings.var
    prefect_page = f"http://127.0.0.1:{settings.prefect_port}"
    mlflow_page = f"http://127.0.0.1:{settings.mlflow_port}"
    serving_page = f"http://127.0.0.1:{settings.serving_port}"
    all_of_them = (
        Process(
            name="prefect",
            command=(
                python,
                "-m",
                "prefect",
                "server",
                "start",
                "--host",
                "127.0.0.1",
                "--port",
                str(settings.prefect_port),
            ),
            folder=folder,
            port=settings.prefect_port,
            health=f"{settings.prefect_url}/health",
            page=f"{prefect_page}/deployments",
            environment=settings.prefect_environment,
        ),
        Process(
            name="mlflow",
            command=(
                *(python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(settings.mlflow_port)),
                *("--backend-store-uri", settings.mlflow_uri, "--workers", "1"),
                *("--default-artifact-root", settings.artifacts.as_uri()),
            ),
            folder=folder,
            port=settings.mlflow_port,
            health=f"{mlflow_page}/health",
            page=f"{mlflow_page}/#/experiments?workflowType=machine_learning",
            # Its job runners are for language models: ten processes and two gigabytes that nobody here asks for.
            environment={"PYTHONWARNINGS": "ignore", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        ),
        Process(
            name="worker",
            command=(python, "-m", "prefect", "worker", "start", "--pool", "jali", "--type", "process", "--limit", "1"),
            folder=folder,
            environment=settings.prefect_environment,
        ),
        Process(
            name="serving",
            command=(python, "-m", "components.cli", "serve"),
            folder=folder,
            port=settings.serving_port,
            health=f"{serving_page}/healthz",
            page=f"{serving_page}/docs",
        ),
    )
    return {process.name: process for process in all_of_them}


def start(settings: Settings, names: tuple[str, ...]) -> None:
    """Start the named processes, wait until each answers, and give the Prefect server its deployments."""
    from components.core.progress import bar
    from components.registry.store import prepare_store

    settings.var.mkdir(parents=True, exist_ok=True)
    chosen = [process for name, process in processes(settings).items() if name in names]
    servers = [process for process in chosen if process.port is not None]
    fresh = any(process.name == "prefect" and not process.ready() for process in servers)
    with bar("Starting the servers") as show:
        show(0, len(chosen) + 1)
        prepare_store(settings)  # once, before two programs migrate one database at the same time
        for process in servers:
            process.start()
        for done, process in enumerate(servers, start=1):
            process.wait()
            show(done, len(chosen) + 1)
        if fresh or "worker" in names:
            _deploy(settings)
        for process in chosen:
            process.start()  # the worker, which needs the server; the others run already
            process.wait()
        show(len(chosen) + 1, len(chosen) + 1)


def _deploy(settings: Settings) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flows.setup"],
        cwd=settings.root,
        env={**os.environ, **settings.prefect_environment},
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        log = settings.var / "logs" / "deployments.log"
        log.write_text(done.stdout + done.stderr)
        raise Unavailable("The deployments could not be made", next_step=f"Read {log}, then run `jali up` again.")


@click.command()
def up() -> None:
    """Start Prefect, MLflow, a worker with the deployments, and serving in the background."""
    settings = environment.load()
    start(settings, tuple(processes(settings)))
    _print_status(settings)


@click.command()
def down() -> None:
    """Stop what `jali up` started; nothing else on the machine is touched."""
    settings = environment.load()
    for name, process in reversed(processes(settings).items()):
        click.echo(f"{name:8} {'stopped' if process.stop() else 'was not running'}")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def status(as_json: bool) -> None:
    """Say what runs where, and which version each service answers with."""
    settings = environment.load()
    if as_json:
        click.echo(json.dumps(_facts(settings)))
    else:
        _print_status(settings)


def served(settings: Settings) -> dict[str, int]:
    """Return the version that each service answers with, as the serving process says; none where it does not say."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{settings.serving_port}/v1/models", timeout=2) as answer:
            return {model["service"]: model["version"] for model in json.load(answer)}
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        return {}


def _facts(settings: Settings) -> dict[str, dict[str, Any]]:
    facts = {name: _state(process) for name, process in processes(settings).items()}
    serving = facts["serving"]
    serving["versions"] = served(settings) if serving["state"] == "ready" else {}
    return facts


def _state(process: Process) -> dict[str, Any]:
    running = process.running()
    state = "stopped" if running is None else "ready" if process.ready() else "not answering"
    return {"state": state, "pid": running.pid if running else None, "page": process.page, "log": str(process.log)}


def _print_status(settings: Settings) -> None:
    colours = {"ready": "green", "stopped": "yellow", "not answering": "red"}
    facts = _facts(settings)
    for name, one in facts.items():
        state = click.style(f"{one['state']:13}", fg=colours[one["state"]])
        click.echo(f"{name:8} {state} {one['pid'] or '-':>7}  {one['page'] or one['log']}")
    if facts["serving"]["state"] == "ready":
        versions = [f"{service} version {version}" for service, version in facts["serving"]["versions"].items()]
        for line in versions or ["no version answers yet"]:
            click.echo(f"{'':8} {line}")
