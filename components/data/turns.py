"""Turns in a workspace: who is in it works alone, and who comes waits."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.core.errors import Unavailable

PATIENCE = 600.0
"""Seconds that a run waits for the one before it."""


@contextmanager
def turn(workspace: Path, name: str, *, patience: float = PATIENCE) -> Iterator[int]:
    """Wait for the turn `name` in `workspace` and yield the descriptor that holds it.

    A child process that inherits the descriptor holds the turn too: it outlives a parent that was killed, and ends with
    the last of them, so that no lock is ever stale.

    Raises:
        Unavailable: another process holds it for longer than `patience`, in seconds.
    """
    lock = workspace / ".dvc" / "tmp" / f"{name}.turn"
    lock.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + patience
    with lock.open("a") as handle:
        while not _taken(handle.fileno()):
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"Another run works in {workspace}",
                    value=f"still after {patience:g} s",
                    next_step="Wait for it, or end it, and run again.",
                )
            time.sleep(0.1)
        yield handle.fileno()


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
