"""The ledger: no private value is opened before its release is reserved, and no charge is ever lost.

A release goes reserve → start → settle, or reserve → release where nothing was started. Each of these is one
transaction that is durable before it returns. A hold charges its accounts in full from its reservation on, so whatever
happens to the process the charge stands: a hold whose process died settles in full if it had started, and is given
back if it had not. Whether the process lives is told by a lock that ends with it: a file's, which the kernel drops, or
a database session's.

Outputs stay in this machine's store. To a second machine on the same ledger an output that it does not have is gone:
doing the release again is charged again, and copying the folder over (its name is its digest) is free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from components.core import digest
from components.core.errors import ContractBroken, Unavailable
from components.core.files import write_bytes
from components.core.params import Cap
from components.core.private import Private
from components.privacy import refusals
from components.privacy.accounts import LIFETIME, Account, Book, Hold, Partition, Reading, open_account, with_room
from components.privacy.backends import Holding
from components.privacy.chain import Append, Chain, Entry, Head
from components.privacy.journal import Journal, settlement
from components.privacy.once import once
from components.privacy.opened import Open, Settled
from components.privacy.refusals import require_same_ledger
from components.privacy.release import Event, Release
from components.privacy.store import Store

__all__ = ["Account", "Entry", "Head", "Ledger", "Open", "Partition", "Settled", "once", "require_same_ledger"]

T = TypeVar("T")

Training = Mapping[str, Sequence[Event]]
"""What one training reads from a user of each split."""


class Ledger:
    """The accounts of one `JALI_HOME`. Safe to use from several threads and processes at once."""

    def __init__(
        self,
        home: Path,
        cap: Cap,
        lifetime_cap: Cap | None,
        partition: Partition | None,
        people: str | None,
        journal: Journal,
    ) -> None:
        self._home, self._cap, self._lifetime_cap, self._journal = home, cap, lifetime_cap, journal
        self._partition, self._people = partition, people
        self._store = Store(home / "store")
        self.genesis = journal.book().genesis
        """The id that was drawn when the ledger was made; evidence carries it."""

    @classmethod
    def open(
        cls,
        home: Path,
        cap: Cap,
        lifetime_cap: Cap | None = None,
        *,
        partition: Partition | None = None,
        people: str | None = None,
        url: str | None = None,
        busy_seconds: float = 10.0,
    ) -> Ledger:
        """Open the ledger of `home`, made with its genesis id if there is none; `home/genesis` names it for ever.

        Args:
            home: where this machine keeps outputs, and the ledger too where there is no `url`.
            cap: that of accounts that are new; an account keeps the cap with which it opened.
            lifetime_cap: the same over all blocks.
            partition: what blocks and splits are, which the first release fixes; without it a ledger can be read.
            people: names the key that users are named and split by, which the first release fixes too.
            url: where the rows lie (`settings.ledger_url`), for several machines a PostgreSQL database.
            busy_seconds: how long to wait for another writer.

        Raises:
            ContractBroken: a row was changed or removed, it is no ledger, or another one than `home` has used.
            Misconfigured: `partition`, `people` or `url` is another than this ledger's, or it is of a later version.
            Unavailable: another process holds it, or the server does not answer.
        """
        marker = home / "genesis"
        known = marker.read_text().strip() if marker.exists() else None
        journal = Journal(Chain.open(home, url, busy_seconds=busy_seconds, known=known))
        book = journal.book()
        if known is None:
            write_bytes(marker, f"{book.genesis}\n".encode())
        elif known != book.genesis:
            raise refusals.second_genesis(journal.chain.name, book.genesis, known)
        if partition is not None:
            refusals.require_same_partition(partition, book)
        if people is not None:
            refusals.require_same_people(people, book)
        return cls(home, cap, lifetime_cap, partition, people, journal)

    @property
    def head(self) -> Head:
        """The last row. Kept elsewhere, it lets `verify` find a log that was cut."""
        return self._journal.head()

    @property
    def partition(self) -> Partition | None:
        """What blocks and splits are, or None before a release fixed it."""
        return self._journal.book().partition

    def accounts(self) -> list[Account]:
        """Return every account that was ever charged, with its balances."""
        return self._journal.book().accounts()

    def holds(self) -> list[Hold]:
        """Return every attempt at a release, in the order of its reservation."""
        return list(self._journal.book().holds.values())

    def entries(self) -> list[Entry]:
        """Return all rows, in order."""
        return self._journal.chain.read()

    def verify(self, *anchors: Head) -> Head:
        """Read every row again, recompute the chain and replay it; return the last row.

        Args:
            anchors: heads that were kept elsewhere (on versions, in approvals); each must be in the log.

        Raises:
            ContractBroken: a row was changed, removed, moved or added, or does not follow; or an anchor is not there.
        """
        book, entries = Book(), self._journal.chain.read()
        for entry in entries:
            book.apply(entry)
        hashes = {entry.seq: entry.hash for entry in entries}
        for anchor in sorted({*anchors, self._journal.head()}, key=lambda anchor: anchor.seq):
            found = hashes.get(anchor.seq)
            if found != anchor.hash:
                raise self._journal.chain.cut(
                    f"row {anchor.seq} with hash {found[:12]}" if found else f"no row {anchor.seq}",
                    f"row {anchor.seq} with hash {anchor.hash[:12]}, which was kept elsewhere",
                )
        return Head(entries[-1].seq, entries[-1].hash)

    def reading(self, window: str, blocks: Sequence[str], planned: Callable[[], Training]) -> Reading:
        """Return which of `blocks` a dataset of `window` reads: those that could carry a training when first asked.

        It is decided once, by balances alone, which are public, and kept as a row: a dataset stays what it was, on
        every machine, whatever its own trainings spend. Where all are spent nothing is kept, as less may be asked for.

        Args:
            window: names what was collected.
            planned: says what one training reads from a user of each split; called only where something was charged.
        """
        if known := self._journal.book().readings.get(window):
            return known
        charged = {account.block for account in self.accounts()}
        events = planned() if charged.intersection(blocks) else {}
        with self._journal.write() as append:
            if known := self._journal.book().readings.get(window):
                return known
            self._end_dead_holds(append)
            fresh = with_room(self._journal.book().accounts(), blocks, events)
            reading = Reading(fresh, tuple(block for block in blocks if block not in fresh))
            if fresh:
                append("read", {"window": window, "fresh": list(fresh), "spent": list(reading.spent)})
            return reading

    def settled(self, key: str) -> Settled | None:
        """Return the newest settled attempt of `key` whose output is there, else the newest settled one, else None.

        Raises:
            ContractBroken: the stored output was changed.
        """
        return self._settled(self._journal.book(), key)

    @contextmanager
    def release(self, release: Release, *, key: str, of: Private[T]) -> Iterator[Open[T]]:
        """Reserve `release`, and yield what opens the private value `of`.

        Leaving the block settles: with what `keep` was told; in full where something was started and nothing kept,
        by an exception or not (even the failure was computed from private rows); with nothing where `value` was never
        read. A `release` over several blocks charges all of them, or none.

        Args:
            release: what is to be charged.
            key: content key (`release.content_key`). A settled key whose output is gone is a new charge.
            of: what it reads; its blocks and its split must be those of `release`.

        Raises:
            BudgetExhausted: it does not fit; nothing was read.
            Misconfigured: blocks or splits are cut otherwise than this ledger's.
            ContractBroken: `of` is not what `release` charges, or `key` is settled and its output is there.
            Unavailable: another process is at work on the same key, or the ledger cannot be written.
        """
        if of.split != release.split or set(of.blocks) != set(release.blocks):
            raise ContractBroken(
                "The release charges other accounts than the value is from",
                value=f"{', '.join(of.blocks)}/{of.split}",
                limit=f"{', '.join(release.blocks)}/{release.split}",
                next_step="Make the release from the value's own blocks and split.",
            )
        opened = Open(self._journal, self._store, *self._reserve(release, key), of)
        try:
            yield opened
        finally:
            opened.close()

    def _reserve(self, release: Release, key: str) -> tuple[Hold, Holding]:
        with ExitStack() as undo:
            with self._journal.write() as append:
                self._end_dead_holds(append)
                book = self._journal.book()
                refusals.require_same_partition(self._partition, book)
                refusals.require_same_people(self._people, book)
                refusals.require_blocks(release, self._partition)
                hold = self._next_attempt(book, release, key)
                accounts = [self._account(book, block, release.split) for block in release.blocks]
                if self._lifetime_cap is not None or (LIFETIME, release.split) in book.terms:
                    accounts.append(self._account(book, LIFETIME, release.split))
                book.admit(release, accounts)
                if book.partition is None and self._partition is not None:
                    append("partition", {"partition": self._partition.model_dump(mode="json")})
                if book.people is None and self._people is not None:
                    append("people", {"people": self._people})
                for account in accounts:
                    if (account.block, account.split) not in book.terms:
                        terms = {"cap": account.cap.model_dump(), "order": account.order}
                        append("open", {"block": account.block, "split": account.split, **terms})
                holding = self._journal.chain.backend.hold(_name_of(hold))
                undo.callback(holding.drop)
                append("reserve", {"key": key, "attempt": hold.attempt, "release": release.body()})
            undo.pop_all()  # the row is durable: the lock stays until the release ends
        return hold, holding

    def _next_attempt(self, book: Book, release: Release, key: str) -> Hold:
        done = self._settled(book, key)
        if done is not None and done.folder is not None:
            raise ContractBroken(
                "This release is settled and its output is in the store",
                value=f"key {key[:12]}",
                next_step="Use that output (Ledger.settled); it costs nothing.",
            )
        attempts = book.attempts(key)
        if any(hold.open for hold in attempts):
            raise Unavailable(
                "Another process is at work on this release",
                value=f"key {key[:12]}, attempt {attempts[-1].attempt}",
                next_step="Wait for it to end; its result will be found under the same key.",
            )
        return Hold(key, len(attempts) + 1, release)

    def _end_dead_holds(self, append: Append) -> None:
        for hold in [hold for hold in self._journal.book().holds.values() if hold.open]:
            if self._journal.chain.backend.is_held(_name_of(hold)):
                continue
            if hold.stage == "started":
                append("settle", settlement(hold, hold.release.event, ran=None, output=None))
            else:
                append("release", {"key": hold.key, "attempt": hold.attempt})

    def _account(self, book: Book, block: str, split: str) -> Account:
        known = book.terms.get((block, split))
        cap = self._lifetime_cap if block == LIFETIME and self._lifetime_cap else self._cap
        if known is None:
            return open_account(block, split, cap)
        book.require_above_spent(known, cap)
        return known

    def _settled(self, book: Book, key: str) -> Settled | None:
        found = [
            Settled(
                key=hold.key,
                attempt=hold.attempt,
                event=hold.settled,
                intended=hold.intended,
                ran=hold.ran,
                output=hold.output,
                folder=self._store.find(hold.output),
            )
            for hold in reversed(book.attempts(key))
            if hold.settled is not None
        ]
        return next((settled for settled in found if settled.folder is not None), found[0] if found else None)


def _name_of(hold: Hold) -> str:
    return f"{digest.of_bytes(hold.key.encode())[:32]}-{hold.attempt}"
