"""A checkout, a home and ports of its own, in which a person's commands are typed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.core import params

ROOT = Path(__file__).parents[2]

SMALL: dict[str, Any] = {
    "source": "shop",
    "sources": {"shop": {"users": 1500, "items": 200}},
    # Gates that a model of so few users passes whatever the noise, on however busy a machine.
    "gates": {
        "epsilon": 10,
        "gain_over_floor": -1.0,
        "regression_tolerance": 1.0,
        "latency_milliseconds": 60_000,
    },
    "privacy": {"cap": {"epsilon": 60}},
    "training": {"ceiling": False},
}

RECOMMEND: dict[str, Any] = {
    "recommend": {"candidates": ["popularity", "gram", "autoencoder"], "autoencoder": {"steps": 5}}
}


@dataclass(frozen=True)
class Checkout:
    """One checkout and the environment of whoever works in it."""

    root: Path
    environment: Mapping[str, str]

    @classmethod
    def make(cls, folder: Path, *, services: Mapping[str, Any] = RECOMMEND, ledger_url: str | None = None) -> Checkout:
        """Copy what git would clone of this checkout into `folder`, with the small shop in its `params.yaml`.

        Args:
            folder: where the checkout and its home will lie.
            services: the services of its `params.yaml`, instead of all that this checkout has.
            ledger_url: where the ledger lies; by default in the home.
        """
        root = folder / "checkout"
        listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split("\0")
        for name in filter(None, names):
            if not name.startswith("tests/") and (ROOT / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, root / name)
        tree = params.load(root / "params.yaml").but(**SMALL)
        tree.model_copy(update={"services": dict(services)}).write(root / "params.yaml")
        ports = dict(zip(("PREFECT", "MLFLOW", "SERVING"), free_ports(3), strict=True))
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "JALI_"))}
        own = {f"JALI_{name}_PORT": str(port) for name, port in ports.items()}
        own |= {"JALI_ROOT": str(root), "JALI_HOME": str(folder / "home"), "PYTHONPATH": str(root)}
        own |= {"JALI_IDENTITIES": str(folder / "identities.yaml")}
        own |= {"JALI_LEDGER_URL": ledger_url} if ledger_url else {}
        return cls(root, {**inherited, **own})

    @property
    def home(self) -> Path:
        """Ledger, keys and records."""
        return Path(self.environment["JALI_HOME"])

    def port(self, name: str) -> int:
        """Return a port by the name of its process."""
        return int(self.environment[f"JALI_{name.upper()}_PORT"])

    def url(self, name: str, path: str = "") -> str:
        """Return a URL on one of the processes."""
        return f"http://127.0.0.1:{self.port(name)}{path}"

    def start(self, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
        """Start a `jali` command that goes on in the background."""
        with log.open("wb") as told:
            return subprocess.Popen(
                [sys.executable, "-m", "components.cli", *arguments],
                cwd=self.root,
                env=self.environment,
                stdout=told,
                stderr=told,
                start_new_session=True,
            )

    def run(self, *arguments: str, within: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a `jali` command to its end, in this checkout or in a workspace."""
        return subprocess.run(
            [sys.executable, "-m", "components.cli", *arguments],
            cwd=within or self.root,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=280,
        )

    def jali(self, *arguments: str) -> str:
        """Run a `jali` command that succeeds, and return what it says."""
        ended = self.run(*arguments)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def status(self) -> dict[str, Any]:
        """Return what runs here."""
        found: dict[str, Any] = json.loads(self.jali("status", "--json"))
        return found

    def ledger(self) -> dict[str, Any]:
        """Return the accounts and the releases, as `jali ledger show` does."""
        found: dict[str, Any] = json.loads(self.jali("ledger", "show", "--json"))
        return found

    def releases(self) -> Counter[str]:
        """Return how often each release was charged."""
        return Counter(json.dumps(release, sort_keys=True) for release in self.ledger()["releases"])

    def prefect(self, path: str, **body: object) -> Any:
        """Ask the Prefect server; what only reads is asked again where a busy server does not answer."""
        ask = patiently if path.endswith("/filter") else call
        return ask(self.url("prefect", f"/api{path}"), body)

    def runs(self, flow: str) -> list[dict[str, Any]]:
        """Return the runs of a flow, the newest first; not those that a schedule has waiting for their hour."""
        found: list[dict[str, Any]] = self.prefect(
            "/flow_runs/filter", flows={"name": {"any_": [flow]}}, sort="EXPECTED_START_TIME_DESC", limit=200
        )
        return [one for one in found if not (one["auto_scheduled"] and one["state_type"] == "SCHEDULED")]

    def deployment(self, name: str) -> str:
        """Return the id of a deployment."""
        [found] = self.prefect("/deployments/filter", deployments={"name": {"any_": [name]}})
        return str(found["id"])

    def recommend(self, history: list[str]) -> dict[str, Any]:
        """Ask the serving process for items."""
        return dict(call(self.url("serving", "/v1/recommend"), {"history": history, "k": 5}))

    def kill(self, process: str) -> None:
        """Kill a process of this checkout, and what it started, without a word."""
        os.killpg(self.status()[process]["pid"], signal.SIGKILL)


def refused(ended: subprocess.CompletedProcess[str], code: int) -> str:
    """Return the one sentence that a command has ended with."""
    assert ended.returncode == code, ended.stdout + ended.stderr
    sentences = ended.stderr.strip().splitlines()
    assert len(sentences) == 1, ended.stderr
    return sentences[0]


def call(url: str, body: Mapping[str, object]) -> Any:
    """Post `body` as JSON and return the answer."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def patiently(url: str, body: Mapping[str, object], *, tries: int = 5) -> Any:
    """Do that until an answer comes: no connection and HTTP 503 say that the server is busy, and are not the answer.

    Raises:
        OSError: it was asked `tries` times, over some seconds; or it answered with another error, which stands.
    """
    for pause in range(1, tries):
        try:
            return call(url, body)
        except OSError as busy:
            if getattr(busy, "code", 503) != 503:
                raise
            time.sleep(pause)
    return call(url, body)


def until(happened: Callable[[], Any], *, seconds: float = 180) -> Any:
    """Wait until `happened` returns something true, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < deadline, f"it did not happen within {seconds} s"
        time.sleep(0.1)
    return found


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on now."""
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in held]
    for one in held:
        one.close()
    return ports
