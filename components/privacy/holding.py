"""Whether the process behind a hold still lives: a file lock, which the kernel drops when the process ends.

A process number would do worse: numbers are used again, and mean nothing in another container or on another machine.
A child that was forked while the lock was held keeps it; then the hold counts as alive, and its charge as held.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from components.core.errors import Unavailable


class FileLock:
    """An exclusive lock on `path`, held until `drop` or the end of the process.

    Raises:
        Unavailable: the file cannot be made (a full disk, a folder that may not be written).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise Unavailable(
                f"The ledger cannot make the lock of a hold ({error})",
                next_step="Free some space or fix the folder's permissions, and run the same command again.",
            ) from error
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def drop(self) -> None:
        """Let go; the hold must have ended, or it will be ended by the next release."""
        self._path.unlink(missing_ok=True)
        os.close(self._file)


def is_locked(path: Path) -> bool:
    """Return whether a process holds the lock on `path`."""
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(file)
