"""The rows of a ledger and what they mean so far, kept in step: every reader and every writer goes through here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from components.core.errors import ContractBroken
from components.privacy.accounts import Book, Hold, steps_of
from components.privacy.chain import NOWHERE, Append, Chain, Head
from components.privacy.release import Event


class Journal:
    """A chain and the book that its rows lead to; only rows that are new since the last look are read."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self._book, self._head = Book(), NOWHERE

    def book(self) -> Book:
        """Return the state after the last row, as a copy: other threads go on writing."""
        with self.chain.lock:
            for entry in self.chain.read(self._head):
                self._book.apply(entry)
                self._head = Head(entry.seq, entry.hash)
            return replace(self._book, terms=dict(self._book.terms), holds=dict(self._book.holds))

    def head(self) -> Head:
        """Return the last row's number and hash."""
        with self.chain.lock:
            self.book()
            return self._head

    @contextmanager
    def write(self) -> Iterator[Append]:
        """Hold the ledger's lock and yield what appends rows to it: all of them, or none."""
        with self.chain.lock:
            try:
                with self.chain.write() as append:
                    yield append
            except BaseException:
                self._book, self._head = Book(), NOWHERE  # they may hold rows that were rolled back
                raise

    def current(self, hold: Hold) -> Hold:
        """Return `hold` as its rows say; what is appended because of it must be appended under the same lock.

        Raises:
            ContractBroken: it has ended, perhaps by another process that took this one for dead.
        """
        current = self.book().holds[hold.key, hold.attempt]
        if not current.open:
            raise ContractBroken(
                "This release has ended; nothing further may be drawn from it",
                value=f"{current.stage}, key {hold.key[:12]}",
            )
        return current


def settlement(hold: Hold, event: Event, *, ran: Event | None, output: str | None) -> dict[str, Any]:
    """Return the body of the row that settles `hold` at `event`, with what the mechanism said it ran and left."""
    return {
        "key": hold.key,
        "attempt": hold.attempt,
        "steps": steps_of(event),
        "ran": steps_of(ran) if ran else None,
        "output": output,
    }
