"""The demonstration on a fresh JALI_HOME: seconds of the first and of the second run, and the memory of all it starts.

    python bench/demo.py [--source ta-feng] [--services recommend] [--data FOLDER_WITH_WHEELS]
    python bench/demo.py --source shop --services all

Ours is the first run, the peer is the second, which finds what the first made. Both start the servers. Memory is the
sum of proportional set sizes of the demonstration and of every process that it started, at its highest.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
from machine import machine

ROOT = Path(__file__).parents[1]
PORTS = {"JALI_PREFECT_PORT": "4291", "JALI_MLFLOW_PORT": "5091", "JALI_SERVING_PORT": "8091"}


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as scratch:
        home, root = Path(scratch) / "home", Path(scratch) / "checkout"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(root)], check=True)
        if options.data:
            shutil.copytree(options.data, home / "wheels")
        names = {"JALI_HOME": str(home), "JALI_ROOT": str(root), "PYTHONPATH": str(root)}
        environment = {**os.environ, **PORTS, **names}
        command = [sys.executable, "-m", "components.cli"]
        demo = [*command, "demo", "--source", options.source, "--services", options.services]
        try:
            first, memory = _run(demo, root, environment)
            subprocess.run([*command, "down"], cwd=root, env=environment, check=True, capture_output=True)
            second, _ = _run(demo, root, environment)
        finally:
            subprocess.run([*command, "down"], cwd=root, env=environment, check=False, capture_output=True)
    print(f"{machine()}: {first:.0f} s the first time, {second:.0f} s the second, {memory:.0f} MB at most")
    figures = {
        "name": f"demo of {options.services} on {options.source}",
        "ours": round(first, 1),
        "peer": round(second, 1),
    }
    whole = {
        **figures,
        "ratio": round(first / second, 2),
        "unit": "s",
        "cores": os.cpu_count(),
        "peak_mb": round(memory),
    }
    print(json.dumps(whole))


def _run(command: list[str], root: Path, environment: dict[str, str]) -> tuple[float, float]:
    start, peak = time.monotonic(), [0.0]
    running = subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(str(root), peak, done))
    watcher.start()
    said, _ = running.communicate()
    done.set()
    watcher.join()
    if running.returncode:
        sys.exit(said.decode())
    return time.monotonic() - start, peak[0]


def _watch(root: str, peak: list[float], done: threading.Event) -> None:
    """Add up every process whose environment names this checkout: servers leave the process group, not it."""
    while not done.wait(1.0):
        total = 0.0
        for process in psutil.process_iter():
            try:
                if process.environ().get("JALI_ROOT") == root:
                    total += process.memory_full_info().pss / 1e6
            except (psutil.Error, OSError):
                continue
        peak[0] = max(peak[0], total)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="ta-feng")
    parser.add_argument("--services", default="recommend", help="all, or names with commas between them")
    parser.add_argument("--data", type=Path, help="a folder with the published wheels, to save the download")
    return parser.parse_args()


if __name__ == "__main__":
    main()
