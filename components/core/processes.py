"""Background processes of one machine: started once, found again, stopped by their own process group."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from components.core.errors import Unavailable
from components.core.files import write_bytes


@dataclass(frozen=True)
class Process:
    """One process by name: how it starts, and the URL that answers once it is ready.

    Attributes:
        port: the loopback port that it listens on; None for a process that listens on none.
        health: the URL that answers 200 when it is ready; None where running is ready.
        page: the URL that a person opens; empty where there is none.
        folder: `var/`, for its process id (`run/`) and its log (`logs/`).
    """

    name: str
    command: tuple[str, ...]
    folder: Path
    port: int | None = None
    health: str | None = None
    page: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.folder / "logs" / f"{self.name}.log"

    @property
    def _pid_file(self) -> Path:
        return self.folder / "run" / f"{self.name}.json"

    def running(self) -> psutil.Process | None:
        """Return the live process that `start` started, or None. A recycled process id is not taken for it."""
        try:
            known = json.loads(self._pid_file.read_text())
            process = psutil.Process(known["pid"])
            alive = process.create_time() == known["created"] and process.status() != psutil.STATUS_ZOMBIE
        except (FileNotFoundError, ValueError, KeyError, psutil.NoSuchProcess):
            return None
        return process if alive else None

    def ready(self) -> bool:
        """Tell whether it runs and answers."""
        return self.running() is not None and (self.health is None or _answers(self.health))

    def start(self) -> None:
        """Start it in the background unless it runs already; does not wait.

        Raises:
            Unavailable: another program listens on its port.
        """
        if self.running():
            return
        if self.port is not None and _listening(self.port):
            raise Unavailable(
                f"Port {self.port} for {self.name} is in use by another program",
                next_step=f"Stop that program, or choose another port with JALI_{self.name.upper()}_PORT.",
            )
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                self.command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self.environment},
                start_new_session=True,  # its own group, so that stopping it stops its children and nothing else
            )
        identity = {"pid": child.pid, "created": psutil.Process(child.pid).create_time()}
        write_bytes(self._pid_file, json.dumps(identity).encode())

    def wait(self, seconds: float = 60) -> None:
        """Wait until it is ready.

        Raises:
            Unavailable: it ended, or does not answer in time; the message ends with where its log lies.
        """
        deadline = time.monotonic() + seconds
        while not self.ready():
            if self.running() is None:
                raise Unavailable(
                    f"{self.name} ended while starting",
                    value=_last_line(self.log),
                    next_step=f"Read {self.log}, then start it again.",
                )
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"{self.name} does not answer",
                    value=f"{seconds:g} s",
                    next_step=f"Read {self.log}, then start it again.",
                )
            time.sleep(0.2)

    def stop(self, seconds: float = 10) -> bool:
        """Stop it and the rest of its group, by force what still runs after `seconds`; return whether it ran."""
        process = self.running()
        if process is not None:
            group = _group(process)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            _, deaf = psutil.wait_procs(group, timeout=seconds)
            for one in deaf:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
        self._pid_file.unlink(missing_ok=True)
        return process is not None


def _group(leader: psutil.Process) -> list[psutil.Process]:
    """Return `leader` and those of its descendants that did not leave its group for one of their own."""
    found = [leader]
    for child in leader.children(recursive=True):
        with suppress(ProcessLookupError):
            if os.getpgid(child.pid) == leader.pid:
                found.append(child)
    return found


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1][:200] if lines else "no output"
