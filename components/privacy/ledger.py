"""The ledger: no private value is opened before its release is reserved, and no charge is ever lost.

A release goes reserve → start → settle, or reserve → release where nothing was started. Each of these is one
transaction that is durable before it returns. A hold charges its accounts in full from its reservation on, so whatever
happens to the process the charge stands: a hold whose process died settles in full if it had started, and is given
back if it had not. Whether the process lives is told by a file lock that the kernel drops with it, not by its number.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from components.core import digest
from components.core.errors import ContractBroken, Misconfigured, Unavailable
from components.core.params import Cap
from components.core.private import Private
from components.privacy.accounts import LIFETIME, Account, Book, Hold, Partition, open_account
from components.privacy.chain import NOWHERE, Append, Chain, Entry, Head
from components.privacy.holding import Holding, is_held
from components.privacy.journal import Journal, settlement
from components.privacy.opened import Open, Settled
from components.privacy.release import Event, Release
from components.privacy.store import Store

__all__ = ["Account", "Entry", "Head", "Ledger", "Open", "Partition", "Settled", "once", "require_same_ledger"]

T = TypeVar("T")


class Ledger:
    """The accounts of one `JALI_HOME`. Safe to use from several threads and processes at once."""

    def __init__(
        self, home: Path, cap: Cap, lifetime_cap: Cap | None, partition: Partition | None, journal: Journal
    ) -> None:
        self._home, self._cap, self._lifetime_cap, self._journal = home, cap, lifetime_cap, journal
        self._partition = partition
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
        busy_seconds: float = 10.0,
    ) -> Ledger:
        """Open the ledger in `home`, made there with its genesis id if there is none.

        Args:
            cap: that of accounts that are new; an account keeps the cap with which it opened.
            lifetime_cap: the same over all blocks.
            partition: what blocks and splits are, which the first release fixes; without it a ledger can be read.

        Raises:
            ContractBroken: a row was changed or removed, or the file is no ledger.
            Misconfigured: `partition` is another than this ledger's.
            Unavailable: another process holds it.
        """
        journal = Journal(Chain(home / "ledger.db", busy_seconds=busy_seconds))
        if partition is not None:
            _require_same_partition(partition, journal.book())
        return cls(home, cap, lifetime_cap, partition, journal)

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

    def verify(self, anchor: Head | None = None) -> Head:
        """Read every row again, recompute the chain and replay it.

        Raises:
            ContractBroken: a row was changed, removed, or does not follow; or `anchor` is not in the log.
        """
        self._journal.chain.read(anchor or NOWHERE)
        book, head = Book(), self._journal.head()
        for entry in self._journal.chain.read():
            book.apply(entry)
        return head

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
        if of.split != release.split or not set(of.blocks) <= set(release.blocks):
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
                _require_same_partition(self._partition, book)
                hold = self._next_attempt(book, release, key)
                accounts = [self._account(book, block, release.split) for block in release.blocks]
                if self._lifetime_cap is not None or (LIFETIME, release.split) in book.terms:
                    accounts.append(self._account(book, LIFETIME, release.split))
                book.admit(release, accounts)
                if book.partition is None and self._partition is not None:
                    append("partition", {"partition": self._partition.model_dump(mode="json")})
                for account in accounts:
                    if (account.block, account.split) not in book.terms:
                        terms = {"cap": account.cap.model_dump(), "order": account.order}
                        append("open", {"block": account.block, "split": account.split, **terms})
                holding = Holding(self._lock_path(hold))
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
            if is_held(self._lock_path(hold)):
                continue
            if hold.stage == "started":
                append("settle", settlement(hold, hold.release.event, ran=None, output=None))
            else:
                append("release", {"key": hold.key, "attempt": hold.attempt})

    def _account(self, book: Book, block: str, split: str) -> Account:
        known = book.terms.get((block, split))
        cap = self._lifetime_cap if block == LIFETIME and self._lifetime_cap else self._cap
        return known or open_account(block, split, cap)

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

    def _lock_path(self, hold: Hold) -> Path:
        return self._home / "holds" / f"{digest.of_bytes(hold.key.encode())[:32]}-{hold.attempt}.lock"


def once(
    ledger: Ledger,
    release: Release,
    key: str,
    of: Private[T],
    mechanism: Callable[[T, Callable[[int], None], Path], Event],
) -> Settled:
    """Return the settled release of `key` with its output; only where there is none, run `mechanism` and charge it.

    Args:
        mechanism: `(value, intend, out) -> event`: writes its output into the folder `out`, says what really ran.
    """
    done = ledger.settled(key)
    if done is not None and done.folder is not None:
        return done
    try:
        with ledger.release(release, key=key, of=of) as opened, tempfile.TemporaryDirectory() as scratch:
            out = Path(scratch) / "output"
            out.mkdir()
            opened.ran(mechanism(opened.value, opened.intend, out))
            return opened.keep(out)
    except ContractBroken:
        done = ledger.settled(key)  # another process may have settled it since we looked
        if done is not None and done.folder is not None:
            return done
        raise


def _require_same_partition(partition: Partition | None, book: Book) -> None:
    if book.partition is not None and partition != book.partition:
        raise Misconfigured(
            "This ledger's accounts are of other blocks or splits, and another cut is no fresh budget over its people",
            value=partition or "no blocks and splits",
            limit=book.partition,
            next_step="Set them back in params.yaml; other people may have another ledger, in another JALI_HOME.",
        )


def require_same_ledger(genesis: str, ledger: Ledger) -> None:
    """Refuse evidence that was charged elsewhere: its budget is not this one.

    Raises:
        ContractBroken: `genesis`, from the evidence, is not that of `ledger`.
    """
    if genesis != ledger.genesis:
        raise ContractBroken(
            "The evidence was charged to another ledger",
            value=genesis[:12],
            limit=ledger.genesis[:12],
            next_step="Run the steps again with this JALI_HOME, or set JALI_HOME to the ledger that was charged.",
        )
