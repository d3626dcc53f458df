"""Who asked, decided and moved what, when: one append-only log for all services, hash-chained, in SQLite.

A registry's alias has no author, no time and no past, and anyone may overwrite it. This log is therefore what counts;
the alias follows it. Every row's hash covers the row before, so a changed, removed or inserted row is found at the next
read. A log that was cut at its end is a valid older log: it shows when the alias points to a version that the log does
not name.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from pydantic import AwareDatetime, Field, ValidationError

from components.core import digest as digests
from components.core.errors import ContractBroken, Unavailable
from components.core.evidence import Record
from components.registry.approvals import Decision, PromotionRequest

_TABLE = """
create table if not exists entries (
    position integer primary key, kind text not null, body text not null, hash text not null
) strict;
create trigger if not exists entries_stay before update on entries begin select raise(abort, 'append only'); end;
create trigger if not exists entries_remain before delete on entries begin select raise(abort, 'append only'); end;
"""


class Promotion(Record):
    """A version became the champion, by an approved request."""

    kind: ClassVar[str] = "promotion"
    service: str
    version: int
    sequence: int = Field(ge=1)
    previous_champion: int | None
    request: str
    """Digest of the request; its decision is in the same log."""
    moved_at: AwareDatetime


class Rollback(Record):
    """The previous champion came back."""

    kind: ClassVar[str] = "rollback"
    service: str
    version: int
    """The version that is champion again."""
    sequence: int = Field(ge=1)
    previous_champion: int
    reason: str
    rolled_back_by: str
    moved_at: AwareDatetime
    signature: str = ""


Entry = PromotionRequest | Decision | Promotion | Rollback
_KINDS: dict[str, type[Entry]] = {kind.kind: kind for kind in (PromotionRequest, Decision, Promotion, Rollback)}


@dataclass(frozen=True)
class Standing:
    """Who is champion: the promotion that made it so, and the last move, which differs after a rollback."""

    promotion: Promotion
    move: Promotion | Rollback

    @property
    def version(self) -> int:
        """The champion's version number."""
        return self.promotion.version

    @property
    def since(self) -> datetime:
        """When it became the champion, or came back."""
        return self.move.moved_at


class History:
    """The log in `home/promotions.db`. Reading takes no lock; there is one lock for writing."""

    def __init__(self, home: Path, *, patience: float = 10.0) -> None:
        """Name the log; `patience` is how many seconds to wait for a process that holds the lock."""
        self.path = home / "promotions.db"
        self.patience = patience

    def entries(self, service: str | None = None) -> list[Entry]:
        """Return every entry, or those of one service, oldest first, with the chain verified.

        Raises:
            ContractBroken: an entry was changed, removed or inserted.
            Unavailable: another process holds the lock.
        """
        read = []
        last = ""
        for expected, (position, kind, body, stored) in enumerate(self._rows(), start=1):
            last = _hash(last, kind, body)
            try:
                read.append(_KINDS[kind].model_validate_json(body))
            except (KeyError, ValidationError) as error:
                raise self._broken(position) from error
            if (position, stored) != (expected, last):
                raise self._broken(position)
        return [entry for entry in read if service in (None, entry.service)]

    def revision(self) -> str:
        """Return a text that differs after any entry; one indexed read, cheap enough to ask every second."""
        if not self.path.exists():
            return "0"
        with self._connect() as connection:
            row = connection.execute("select position, hash from entries order by position desc limit 1").fetchone()
        return f"{row[0]}-{row[1][:16]}" if row else "0"

    def sequence(self, service: str) -> int:
        """Return how many times the champion of `service` has moved."""
        return len(self._moves(service))

    def champion(self, service: str) -> Standing | None:
        """Return who is champion of `service` by this log, or None where nothing was ever promoted.

        A promotion goes on top, a rollback takes the top off: rolling back twice goes two champions back.

        Raises:
            ContractBroken: the moves do not follow from each other.
        """
        stack, moves = self._replay(service)
        return Standing(promotion=stack[-1], move=moves[-1]) if stack else None

    def predecessor(self, service: str) -> Promotion | None:
        """Return the promotion that a rollback would return to, or None."""
        stack, _ = self._replay(service)
        return stack[-2] if len(stack) > 1 else None

    def request(self, digest: str) -> PromotionRequest | None:
        """Return the request with this digest."""
        return next((e for e in self.entries() if isinstance(e, PromotionRequest) and e.digest == digest), None)

    def last_request(self, service: str) -> PromotionRequest | None:
        """Return the newest request for `service`; it supersedes older ones."""
        return next((e for e in reversed(self.entries(service)) if isinstance(e, PromotionRequest)), None)

    def decision(self, request: str) -> Decision | None:
        """Return the decision over the request with this digest."""
        return next((e for e in self.entries() if isinstance(e, Decision) and e.request == request), None)

    def promotion(self, request: str) -> Promotion | None:
        """Return the promotion that the request with this digest led to."""
        return next((e for e in self.entries() if isinstance(e, Promotion) and e.request == request), None)

    @contextmanager
    def writing(self) -> Iterator[Callable[[Entry], None]]:
        """Hold the one lock and yield the function that appends; all of it is committed at the end, or nothing.

        What is read inside is what stands until the commit: nobody else can append meanwhile.

        Raises:
            Unavailable: another process holds the lock, or the disk is full; nothing was written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._connect() as connection:
            connection.execute("begin immediate")
            try:
                yield lambda entry: self._append(connection, entry)
                connection.execute("commit")
            finally:
                if connection.in_transaction:
                    connection.execute("rollback")

    def _replay(self, service: str) -> tuple[list[Promotion], list[Promotion | Rollback]]:
        stack: list[Promotion] = []
        moves = self._moves(service)
        for sequence, move in enumerate(moves, start=1):
            before = stack[-1].version if stack else None
            if isinstance(move, Promotion):
                stack.append(move)
            elif stack:
                stack.pop()
            after = stack[-1].version if stack else None
            if (move.sequence, move.previous_champion, move.version) != (sequence, before, after):
                raise ContractBroken(
                    f"Move {sequence} of {service} in {self.path} does not follow from the moves before it",
                    value=f"move {move.sequence} from {move.previous_champion} to {move.version}",
                    limit=f"move {sequence} from {before} to {after}",
                    next_step="Restore the history from its backup.",
                )
        return stack, moves

    def _moves(self, service: str) -> list[Promotion | Rollback]:
        return [entry for entry in self.entries(service) if isinstance(entry, Promotion | Rollback)]

    def _rows(self) -> list[tuple[int, str, str, str]]:
        if not self.path.exists():
            return []
        with self._connect() as connection:
            return connection.execute("select position, kind, body, hash from entries order by position").fetchall()

    def _append(self, connection: sqlite3.Connection, entry: Entry) -> None:
        row = connection.execute("select position, hash from entries order by position desc limit 1").fetchone()
        position, last = row or (0, "")
        body = digests.canonical_json(entry.body()).decode()
        connection.execute(
            "insert into entries values (?, ?, ?, ?)",
            (position + 1, entry.kind, body, _hash(last, entry.kind, body)),
        )

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, timeout=self.patience, isolation_level=None)) as connection:
                connection.executescript("pragma synchronous=full;" + _TABLE)
                yield connection
        except sqlite3.OperationalError as error:
            raise Unavailable(
                f"The promotion history {self.path} cannot be used: {error}",
                value=f"waited {self.patience:g} s",
                next_step="Run the same command again when the other process has ended, or the disk has room.",
            ) from error
        except sqlite3.DatabaseError as error:
            raise ContractBroken(
                f"The promotion history {self.path} cannot be read: {error}", next_step="Restore it from its backup."
            ) from error

    def _broken(self, position: int) -> ContractBroken:
        return ContractBroken(
            f"The promotion history {self.path} was changed after it was written",
            value=f"entry {position}",
            next_step="Restore it from its backup; nothing is promoted or served from it meanwhile.",
        )


def _hash(last: str, kind: str, body: str) -> str:
    return digests.of_bytes(json.dumps([last, kind, body]).encode())
