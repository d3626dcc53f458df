"""What orchestration costs: the `pipeline` flow against the functions that its steps call, and DVC against the same.

`flow` runs the pipeline on a small simulated shop with a Prefect server that is up already; `script` calls the same
functions of `components/` one after the other. `dvc` brings the data stages up to date by `dvc repro` and pushes what
they made; `in_process` calls the four stages. Every contestant is a process of its own with a checkout, a JALI_HOME
and a workspace of its own, and its whole life is timed, imports included. They take turns, and the fastest run of each
counts. On a busy machine look at the CPU seconds (those of the Prefect server are not among them).

    python bench/orchestration.py [--runs 1]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import machine  # beside this script

CHECKOUT = Path(__file__).parents[1]
COPIED = ("components", "flows", "expectations", ".dvc/config", "dvc.yaml", "prefect.yaml")
SHOP = {"users": 2000, "items": 500}
AUTHOR, SERVICE = "bench", "recommend"
BARS = {"flow": 15.0, "dvc": 20.0}
"""Seconds more than in one process that each may take."""


def main() -> None:
    arguments = _arguments()
    if arguments.run:
        globals()[f"_{arguments.run}"]()
        return
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in ("flow", "script", "dvc", "in_process")}
    for _ in range(arguments.runs):
        for name, found in runs.items():
            with tempfile.TemporaryDirectory() as scratch:
                found.append(_contest(name, Path(scratch)))
    seconds, cpu = ({name: min(run[place] for run in found) for name, found in runs.items()} for place in (0, 1))
    more = {"flow": seconds["flow"] - seconds["script"], "dvc": seconds["dvc"] - seconds["in_process"]}
    for name, peer in (("flow", "script"), ("dvc", "in_process")):
        print(
            f"{name:4} {seconds[name]:6.1f} s (CPU {cpu[name]:5.1f} s), {peer:10} {seconds[peer]:6.1f} s "
            f"(CPU {cpu[peer]:5.1f} s): {more[name]:+.1f} s, at most {BARS[name]:+g} s wanted"
        )
    print(machine())
    result = {
        "name": "orchestration",
        "ours": round(seconds["flow"], 2),
        "peer": round(seconds["script"], 2),
        "ratio": round(seconds["flow"] / seconds["script"], 3),
        "unit": "s",
        "cores": os.cpu_count(),
        "seconds": {name: round(one, 2) for name, one in seconds.items()},
        "cpu": {name: round(one, 2) for name, one in cpu.items()},
        "more": {name: round(one, 2) for name, one in more.items()},
        "bars": BARS,
    }
    print(json.dumps(result))


def _contest(name: str, root: Path) -> tuple[float, float]:
    """Return the seconds and the CPU seconds of one contestant, children included."""
    environment = _checkout(root)
    _run("people", root, environment)
    if name == "flow":
        _run("servers", root, environment)
    try:
        start, cpu = time.perf_counter(), _cpu_of_children()
        _run(name, root, environment)
        return time.perf_counter() - start, _cpu_of_children() - cpu
    finally:
        if name == "flow":
            _run("down", root, environment)


def _cpu_of_children() -> float:
    used = os.times()
    return used.children_user + used.children_system


def _flow() -> None:
    from flows.pipeline import pipeline

    pipeline("shop", SERVICE, None, AUTHOR)


def _script() -> None:
    from components.stages import audit, evaluate, gate, promotion, registration, request, tracking, workspace

    workspace.version(workspace.open_workspace("shop"))
    run = workspace.open_training("shop")
    assert registration.find_version(run, SERVICE) is None, "the workspace is fresh"
    request.request_training(run, SERVICE, AUTHOR)
    tracked = tracking.open_tracking(run, SERVICE)
    tracking.train_measured(run, SERVICE, tracked)
    evaluate.evaluate(run, SERVICE)
    audit.audit(run, SERVICE)
    verdict = gate.gate(run, SERVICE)
    logged = tracking.log_training(run, SERVICE, tracked)
    gate.require_passed(verdict)
    version = registration.register(run, SERVICE, logged)
    promotion.request_promotion(SERVICE, version, AUTHOR)


def _dvc() -> None:
    from components.stages import workspace

    workspace.version(workspace.open_workspace("shop"))


def _in_process() -> None:
    from components.stages.check import check
    from components.stages.collect import collect
    from components.stages.prepare import prepare
    from components.stages.run import Run
    from components.stages.split import split

    run = Run.open(Path.cwd())
    for stage in (collect, check, prepare, split):
        stage(run)


def _people() -> None:
    from components.core import settings
    from components.registry import identities

    here = settings.load()
    identities.add(here.identities, AUTHOR, identities.new_key(here.home, AUTHOR))


def _servers() -> None:
    from components.commands.machine import start
    from components.core import settings

    start(settings.load(), ("prefect",))


def _down() -> None:
    from components.commands.machine import processes
    from components.core import settings

    processes(settings.load())["prefect"].stop()


def _checkout(root: Path) -> dict[str, str]:
    """Copy what runs into `root`, with a small shop as its source, and return the environment of a process there."""
    from components.core import params

    for name in COPIED:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if (CHECKOUT / name).is_dir():
            shutil.copytree(CHECKOUT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(CHECKOUT / name, root / name)
    # The models without privacy would only add the same seconds to both.
    changes = {"source": "shop", "sources": {"shop": SHOP}, "training": {"ceiling": False}}
    params.load(CHECKOUT / "params.yaml").but(**changes).write(root / "params.yaml")
    (root / "mlruns").mkdir()
    own = {name: value for name, value in os.environ.items() if not name.startswith(("JALI_", "PREFECT_", "MLFLOW_"))}
    return {
        **own,
        "PYTHONPATH": str(root),
        "JALI_ROOT": str(root),
        "JALI_HOME": str(root / "home"),
        "JALI_PREFECT_PORT": str(_free_port()),
        "PREFECT_LOGGING_LEVEL": "ERROR",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _run(what: str, root: Path, environment: dict[str, str]) -> None:
    log = root / "bench.log"
    with log.open("a") as told:
        command = [sys.executable, __file__, "--run", what]
        done = subprocess.run(command, cwd=root, env=environment, stdout=told, stderr=told, check=False)
    if done.returncode != 0:
        sys.exit(f"{what} failed:\n{log.read_text()[-3000:]}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    contestants = ["flow", "script", "dvc", "in_process", "people", "servers", "down"]
    parser.add_argument("--runs", type=int, default=1, help="turns that each contestant gets")
    parser.add_argument("--run", choices=contestants, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
