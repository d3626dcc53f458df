"""An append-only, hash-chained log in one SQLite file: what the ledger believes is what lies here, and nothing else."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.core import digest
from components.core.errors import ContractBroken, Unavailable

GENESIS = "genesis"


@dataclass(frozen=True)
class Entry:
    """One row: its `hash` covers the hash before it, its number, its verb and its body."""

    seq: int
    verb: str
    body: dict[str, Any]
    hash: str


@dataclass(frozen=True)
class Head:
    """The last row that someone saw. Kept elsewhere, it anchors the log: a log cut before it is found out."""

    seq: int
    hash: str


NOWHERE = Head(0, "")

Append = Callable[[str, dict[str, Any]], None]


class Chain:
    """The log at `path`, made with its genesis row when it is opened for the first time.

    Durability: write-ahead log with synchronous=FULL, so a committed row survives a crash of the machine. Every write
    is one `BEGIN IMMEDIATE` transaction; there is no other lock and no retry.

    Raises:
        Unavailable: another process held the lock for longer than `busy_seconds`, or the disk is full.
        ContractBroken: the file is not a ledger, or a row was changed or removed.
    """

    def __init__(self, path: Path, *, busy_seconds: float = 10.0) -> None:
        self.path = path
        self._busy_seconds = busy_seconds
        self.lock = threading.RLock()
        """Threads of this process take turns by it; sqlite3 cannot know."""
        with self._errors():
            if not path.exists():
                _create(path)
            self._connection = _connect(path, busy_seconds)

    def read(self, after: Head = NOWHERE) -> list[Entry]:
        """Return the rows behind `after`, which must still be there; each is checked against the hash before it."""
        with self.lock, self._errors():
            rows = self._connection.execute(
                "SELECT seq, verb, body, hash FROM entries WHERE seq >= ? ORDER BY seq", (after.seq,)
            ).fetchall()
        if after != NOWHERE and (not rows or (rows[0][0], rows[0][3]) != (after.seq, after.hash)):
            raise ContractBroken(
                f"The ledger {self.path} was cut or replaced",
                value=f"row {rows[0][0]} with hash {rows[0][3][:12]}" if rows else f"no row {after.seq}",
                limit=f"row {after.seq} with hash {after.hash[:12]}",
                next_step="Restore it from its backup; until then nothing may be released.",
            )
        entries: list[Entry] = []
        for seq, verb, body, found in rows[0 if after == NOWHERE else 1 :]:
            expected = _hash(after, verb, body)
            if seq != after.seq + 1 or found != expected:
                raise ContractBroken(
                    f"Row {after.seq + 1} of the ledger {self.path} was changed or removed",
                    value=found[:12],
                    limit=expected[:12],
                    next_step="Restore the ledger from its backup; until then nothing may be released.",
                )
            after = Head(seq, found)
            entries.append(Entry(seq, verb, json.loads(body), found))
        return entries

    @contextmanager
    def write(self) -> Iterator[Append]:
        """Hold the lock and yield `append(verb, body)`; all appended rows are durable on return, or none is."""
        with self.lock, self._errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._append
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _append(self, verb: str, body: dict[str, Any]) -> None:
        last = self._connection.execute("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1").fetchone()
        _insert(self._connection, Head(*last), verb, body)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "")
            if name.startswith("SQLITE_BUSY") or name.startswith("SQLITE_LOCKED"):
                raise Unavailable(
                    f"The ledger {self.path} is locked by another process",
                    value=f"waited {self._busy_seconds:g} s",
                    next_step="Wait for the other command to end and run the same one again; nothing was changed.",
                ) from error
            if name.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY")):
                raise Unavailable(
                    f"The ledger {self.path} cannot be written ({error})",
                    next_step="Free some space or fix the folder's permissions, and run the same command again.",
                ) from error
            raise ContractBroken(
                f"The file {self.path} is not a ledger that can be read ({error})",
                next_step="Restore it from its backup; until then nothing may be released.",
            ) from error


def _hash(previous: Head, verb: str, body: str) -> str:
    return digest.of_json([previous.hash, previous.seq + 1, verb, body])


def _insert(connection: sqlite3.Connection, previous: Head, verb: str, body: dict[str, Any]) -> None:
    text = digest.canonical_json({"at": datetime.now(UTC).isoformat(timespec="milliseconds"), **body}).decode()
    row = (previous.seq + 1, verb, text, _hash(previous, verb, text))
    connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?)", row)


def _connect(path: Path, busy_seconds: float) -> sqlite3.Connection:
    uri = f"{path.resolve().as_uri()}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _create(path: Path) -> None:
    """Make the file aside and link it into place, so that of two first users exactly one makes the genesis."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    draft.touch()
    try:
        connection = _connect(draft, 10.0)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(
            "CREATE TABLE entries (seq INTEGER PRIMARY KEY, verb TEXT NOT NULL, body TEXT NOT NULL, hash TEXT NOT NULL)"
        )
        _insert(connection, NOWHERE, GENESIS, {"genesis": secrets.token_hex(16), "version": 1})
        connection.close()
        os.link(draft, path)
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    except FileExistsError:
        pass  # the other one was first
    finally:
        draft.unlink(missing_ok=True)
