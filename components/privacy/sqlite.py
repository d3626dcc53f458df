"""A ledger's rows in one SQLite file, and its holds as file locks beside it."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.core.errors import ContractBroken, Unavailable
from components.privacy.backends import Row
from components.privacy.holding import FileLock, is_locked


class Sqlite:
    """The file at `path`, made with its first row where there is none.

    Durability: write-ahead log with synchronous=FULL, so a committed row survives a crash of the machine. A transaction
    is one `BEGIN IMMEDIATE`. The file must lie on a disk of this machine; over a network use PostgreSQL.
    """

    def __init__(self, path: Path, genesis: Callable[[], Row], *, busy_seconds: float) -> None:
        self.name = str(path)
        self._path, self._busy_seconds = path, busy_seconds
        with self._errors():
            if not path.exists():
                _create(path, genesis)
            self._connection = _connect(path, busy_seconds)

    def rows(self, first: int) -> list[Row]:
        """Return the rows from number `first` on."""
        with self._errors():
            found = self._execute("SELECT seq, verb, body, hash FROM entries WHERE seq >= ? ORDER BY seq", (first,))
            return list(found.fetchall())

    def last(self) -> tuple[int, str] | None:
        """Return number and hash of the last row."""
        with self._errors():
            found = self._execute("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1").fetchone()
            return (int(found[0]), str(found[1])) if found else None

    def insert(self, row: Row) -> None:
        """Add a row."""
        with self._errors():
            self._execute("INSERT INTO entries VALUES (?, ?, ?, ?)", row)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the lock for writing."""
        with self._errors():
            self._execute("BEGIN IMMEDIATE")
            try:
                yield
                self._execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def hold(self, name: str) -> FileLock:
        """Lock the file of the hold `name`."""
        return FileLock(self._lock(name))

    def is_held(self, name: str) -> bool:
        """Return whether a process has it locked."""
        return is_locked(self._lock(name))

    def _lock(self, name: str) -> Path:
        return self._path.parent / "holds" / f"{name}.lock"

    def _execute(self, statement: str, parameters: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        # The one door for statements: tests count them here, and end the process at each.
        return self._connection.execute(statement, parameters)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "")
            if name.startswith("SQLITE_BUSY") or name.startswith("SQLITE_LOCKED"):
                raise Unavailable(
                    f"The ledger {self.name} is locked by another process",
                    value=f"waited {self._busy_seconds:g} s",
                    next_step="Wait for the other command to end and run the same one again; nothing was changed.",
                ) from error
            if name.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY")):
                raise Unavailable(
                    f"The ledger {self.name} cannot be written ({error})",
                    next_step="Free some space or fix the folder's permissions, and run the same command again.",
                ) from error
            raise ContractBroken(
                f"The file {self.name} is not a ledger that can be read ({error})",
                next_step="Restore it from its backup; until then nothing may be released.",
            ) from error


def _connect(path: Path, busy_seconds: float) -> sqlite3.Connection:
    uri = f"{path.resolve().as_uri()}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _create(path: Path, genesis: Callable[[], Row]) -> None:
    """Make the file aside and link it into place, so that of two first users exactly one makes the genesis."""
    row = genesis()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        draft.touch()
    except OSError as error:
        raise Unavailable(
            f"The ledger {path} cannot be made ({error})",
            next_step="Fix the folder's permissions or free some space, and run the same command again.",
        ) from error
    try:
        connection = _connect(draft, 10.0)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(
            "CREATE TABLE entries (seq INTEGER PRIMARY KEY, verb TEXT NOT NULL, body TEXT NOT NULL, hash TEXT NOT NULL)"
        )
        connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?)", row)
        connection.close()
        os.link(draft, path)
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    except FileExistsError:
        pass  # the other one was first
    finally:
        draft.unlink(missing_ok=True)
