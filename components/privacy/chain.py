"""An append-only, hash-chained log: what the ledger believes is what lies here, and nothing else."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.core import digest
from components.core.errors import ContractBroken, Misconfigured
from components.privacy import backends
from components.privacy.backends import Backend, Row

GENESIS = "genesis"

VERSION = 1
"""Of the rows' form; a ledger that was made by a later one is refused."""


@dataclass(frozen=True)
class Entry:
    """One row: its `hash` covers the hash before it, its number, its verb and its body."""

    seq: int
    verb: str
    body: dict[str, Any]
    hash: str


@dataclass(frozen=True)
class Head:
    """The last row that someone saw. Kept elsewhere, it anchors the log: a log cut before it is found out.

    As text, in evidence and approvals, it is `seq:hash`.
    """

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """Read what `str` wrote.

        Raises:
            Misconfigured: it is something else.
        """
        seq, _, found = text.partition(":")
        if not (seq.isdecimal() and len(found) == 64 and set(found) <= set("0123456789abcdef")):
            raise Misconfigured(
                "That is no head of a ledger",
                value=text,
                limit="a row's number and hash, as in 12:5e88…",
                next_step="Copy it as `jali ledger verify` printed it.",
            )
        return cls(int(seq), found)


NOWHERE = Head(0, "")

Append = Callable[[str, dict[str, Any]], None]


class Chain:
    """The log on a backend. Every write is one transaction under its one lock; there is no retry.

    Raises:
        Unavailable: another process held the lock for longer than it waits, the disk is full, the server is away.
        ContractBroken: it is not a ledger, or a row was changed or removed.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.lock = threading.RLock()
        """Threads of this process take turns by it; a backend cannot know."""

    @classmethod
    def open(cls, home: Path, url: str | None, *, busy_seconds: float, known: str | None = None) -> Chain:
        """Open the log at `url`, by default `home/ledger.db`; see `backends.connect`."""
        return cls(backends.connect(home, url, _genesis, busy_seconds=busy_seconds, known=known))

    @property
    def name(self) -> str:
        """Where it lies, for messages."""
        return self.backend.name

    def read(self, after: Head = NOWHERE) -> list[Entry]:
        """Return the rows behind `after`, which must still be there; each is checked against the hash before it."""
        with self.lock:
            rows = self.backend.rows(backends.FIRST if after == NOWHERE else after.seq)
        if after == NOWHERE and not rows:
            raise self.cut("no row", "a first row")
        if after != NOWHERE and (not rows or (rows[0][0], rows[0][3]) != (after.seq, after.hash)):
            found = f"row {rows[0][0]} with hash {rows[0][3][:12]}" if rows else f"no row {after.seq}"
            raise self.cut(found, f"row {after.seq} with hash {after.hash[:12]}")
        entries: list[Entry] = []
        for seq, verb, body, found in rows[0 if after == NOWHERE else 1 :]:
            expected = _hash(after, verb, body)
            if seq != after.seq + 1 or found != expected:
                raise ContractBroken(
                    f"Row {after.seq + 1} of the ledger {self.name} was changed or removed",
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
        with self.lock, self.backend.transaction():
            yield self._append

    def _append(self, verb: str, body: dict[str, Any]) -> None:
        last = self.backend.last()
        if last is None:
            raise self.cut("no row", "a first row")
        self.backend.insert(_row(Head(*last), verb, body))

    def cut(self, found: str, limit: str) -> ContractBroken:
        """Return the refusal of a log that lacks a row which was there."""
        return ContractBroken(
            f"The ledger {self.name} was cut or replaced",
            value=found,
            limit=limit,
            next_step="Restore it from its backup; until then nothing may be released.",
        )


def _genesis() -> Row:
    return _row(NOWHERE, GENESIS, {"genesis": secrets.token_hex(16), "version": VERSION})


def _hash(previous: Head, verb: str, body: str) -> str:
    return digest.of_json([previous.hash, previous.seq + 1, verb, body])


def _row(previous: Head, verb: str, body: dict[str, Any]) -> Row:
    # The time is for people: no rule reads it, so that a clock may go wrong in either direction.
    text = digest.canonical_json({"at": datetime.now(UTC).isoformat(timespec="milliseconds"), **body}).decode()
    return previous.seq + 1, verb, text, _hash(previous, verb, text)
