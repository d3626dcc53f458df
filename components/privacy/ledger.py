"""The ledger: no private value is opened before its release is reserved, and no charge is ever lost.

A release goes reserve → start → settle, or reserve → release where nothing was started. Each of these is one
transaction that is durable before it returns. A hold charges its accounts in full from its reservation on, so whatever
happens to the process the charge stands: a hold whose process died settles in full if it had started, and is given
back if it had not. Whether the process lives is told by a file lock that the kernel drops with it, not by its number.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from components.core import digest
from components.core.errors import BudgetExhausted, ContractBroken, Unavailable
from components.core.evidence import Record
from components.core.params import Cap
from components.core.private import Private
from components.privacy.accounts import LIFETIME, Account, Book, Hold, open_account, steps_of, with_steps
from components.privacy.chain import NOWHERE, Append, Chain, Entry, Head
from components.privacy.holding import Holding, is_held
from components.privacy.release import Event, Release
from components.privacy.store import Store

T = TypeVar("T")
R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Settled:
    """A release that ended: what ran, and where its output lies.

    Attributes:
        key, attempt: whose it is; a release that is done again has the next attempt.
        event: what was charged.
        output: digest of the output's folder (`digest.of_path`), or None where none was kept.
        folder: the output in the store, or None where it is gone.
    """

    key: str
    attempt: int
    event: Event
    output: str | None
    folder: Path | None

    def record(self, kind: type[R]) -> R:
        """Read the record that was kept as the output."""
        if self.folder is None:
            raise ContractBroken(
                f"The {kind.kind} of this release is no longer in the store",
                next_step="Release it again; it is charged.",
            )
        return kind.read(self.folder / f"{kind.kind}.json")


class Ledger:
    """The accounts of one `JALI_HOME`. Safe to use from several threads and processes at once."""

    def __init__(self, home: Path, cap: Cap, lifetime_cap: Cap | None, chain: Chain) -> None:
        self._home, self._cap, self._lifetime_cap, self._chain = home, cap, lifetime_cap, chain
        self._store = Store(home / "store")
        self._book, self._head = Book(), NOWHERE
        self.genesis = self._caught_up().genesis
        """The id that was drawn when the ledger was made; evidence carries it."""

    @classmethod
    def open(cls, home: Path, cap: Cap, lifetime_cap: Cap | None = None, *, busy_seconds: float = 10.0) -> Ledger:
        """Open the ledger in `home`, made there with its genesis id if there is none.

        An account keeps the cap with which it opened; `cap` is that of accounts that are new.

        Raises:
            ContractBroken: a row was changed or removed, or the file is no ledger.
            Unavailable: another process holds it.
        """
        return cls(home, cap, lifetime_cap, Chain(home / "ledger.db", busy_seconds=busy_seconds))

    @property
    def head(self) -> Head:
        """The last row. Kept elsewhere, it lets `verify` find a log that was cut."""
        self._caught_up()
        return self._head

    def accounts(self) -> list[Account]:
        """Return every account that was ever charged, with its balances."""
        return self._caught_up().accounts()

    def entries(self) -> list[Entry]:
        """Return all rows, in order."""
        return self._chain.read()

    def verify(self, anchor: Head | None = None) -> Head:
        """Read every row again, recompute the chain and replay it.

        Raises:
            ContractBroken: a row was changed, removed, or does not follow; or `anchor` is not in the log.
        """
        book, head = Book(), NOWHERE
        for entry in self._chain.read():
            book.apply(entry)
            head = Head(entry.seq, entry.hash)
        for known in (self._head, anchor or NOWHERE):
            if known != NOWHERE and self._chain.hash_at(known.seq) != known.hash:
                raise ContractBroken(
                    "The ledger was cut or replaced",
                    value=f"{head.seq} rows",
                    limit=f"row {known.seq} with hash {known.hash[:12]}",
                    next_step="Restore it from its backup; until then nothing may be released.",
                )
        return head

    def settled(self, key: str) -> Settled | None:
        """Return the newest settled attempt of `key` whose output is there, else the newest settled one, else None.

        Raises:
            ContractBroken: the stored output was changed.
        """
        self._caught_up()
        return self._settled(key)

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
        opened = Open(self, *self._reserve(release, key), of)
        try:
            yield opened
        finally:
            opened._close()

    def _reserve(self, release: Release, key: str) -> tuple[Hold, Holding]:
        with self._write() as append:
            self._end_dead_holds(append)
            done = self._settled(key)
            if done is not None and done.folder is not None:
                raise ContractBroken("This release is settled and its output is in the store", value=key[:12])
            attempts = self._book.attempts(key)
            if any(hold.open for hold in attempts):
                raise Unavailable(
                    "Another process is at work on this release",
                    value=f"key {key[:12]}, attempt {attempts[-1].attempt}",
                    next_step="Wait for it to end; its result will be found under the same key.",
                )
            accounts = [self._account(block, release.split) for block in release.blocks]
            if self._lifetime_cap is not None:
                accounts.append(self._account(LIFETIME, release.split))
            self._book.admit(release, accounts)
            for account in accounts:
                if (account.block, account.split) not in self._book.terms:
                    terms = {"cap": account.cap.model_dump(), "order": account.order}
                    append("open", {"block": account.block, "split": account.split, **terms})
            hold = Hold(key, len(attempts) + 1, release)
            holding = Holding(self._lock_path(hold))
            append("reserve", {"key": key, "attempt": hold.attempt, "release": release.body()})
        return hold, holding

    def _account(self, block: str, split: str) -> Account:
        known = self._book.terms.get((block, split))
        cap = self._lifetime_cap if block == LIFETIME and self._lifetime_cap else self._cap
        return known or open_account(block, split, cap)

    def _end_dead_holds(self, append: Append) -> None:
        for hold in [hold for hold in self._book.holds.values() if hold.open]:
            if is_held(self._lock_path(hold)):
                continue
            if hold.stage == "started":
                append("settle", _settlement(hold, hold.release.event, None))
            else:
                append("release", {"key": hold.key, "attempt": hold.attempt})
        self._caught_up()

    def _current(self, hold: Hold) -> Hold:
        current = self._caught_up().holds[hold.key, hold.attempt]
        if not current.open:
            raise ContractBroken(
                "This release has ended; nothing further may be drawn from it",
                value=f"{current.stage}, key {hold.key[:12]}",
            )
        return current

    def _settled(self, key: str) -> Settled | None:
        ended = [hold for hold in reversed(self._book.attempts(key)) if hold.stage == "settled"]
        found = [
            Settled(hold.key, hold.attempt, hold.settled, hold.output, self._store.find(hold.output))
            for hold in ended
            if hold.settled is not None
        ]
        return next((settled for settled in found if settled.folder is not None), found[0] if found else None)

    def _lock_path(self, hold: Hold) -> Path:
        return self._home / "holds" / f"{digest.of_bytes(hold.key.encode())[:32]}-{hold.attempt}.lock"

    def _caught_up(self) -> Book:
        with self._chain.lock:
            for entry in self._chain.read(self._head):
                self._book.apply(entry)
                self._head = Head(entry.seq, entry.hash)
            return self._book

    @contextmanager
    def _write(self) -> Iterator[Append]:
        with self._chain.lock:
            try:
                with self._chain.write() as append:
                    self._caught_up()
                    yield append
            except BaseException:
                self._book, self._head = Book(), NOWHERE  # they may hold rows that were rolled back
                raise


class Open(Generic[T]):
    """A reserved release: the only way to a private value, and what is said about what was done with it."""

    def __init__(self, ledger: Ledger, hold: Hold, holding: Holding, of: Private[T]) -> None:
        self._ledger, self._hold, self._holding, self._of = ledger, hold, holding, of
        self._ran = hold.release.event

    @property
    def attempt(self) -> int:
        """1 the first time, n + 1 when it is done again."""
        return self._hold.attempt

    @property
    def value(self) -> T:
        """The private value; the start is durable before it is read."""
        self._start()
        return self._of._load()

    def intend(self, steps: int) -> None:
        """Make the intent of `steps` further noisy steps durable; call it before their noise is drawn.

        Raises:
            BudgetExhausted: with these, more steps are intended than are held.
        """
        if steps < 1:
            raise ContractBroken("An intent is of at least one step", value=steps, limit=1)
        self._start()
        with self._ledger._write() as append:
            done, held = self._ledger._current(self._hold).intended, steps_of(self._hold.release.event)
            if done + steps > held:
                raise BudgetExhausted(
                    "The release has no further steps",
                    value=f"spent {done}, asked {steps}, left {held - done}",
                    limit=f"{held} steps held",
                    next_step="Stop here, or run it again as a new release.",
                )
            append("intend", {"key": self._hold.key, "attempt": self._hold.attempt, "steps": steps})

    def ran(self, event: Event) -> None:
        """Say what really ran, for `keep` to settle with; without it the whole hold is charged.

        Raises:
            ContractBroken: it is another mechanism than was reserved, or more of it.
        """
        held = self._hold.release.event
        if with_steps(held, steps_of(event)) != event or steps_of(event) > steps_of(held):
            raise ContractBroken(
                "The mechanism ran something else than it reserved",
                value=event,
                limit=held,
                next_step="Reserve the event that will run; this attempt is charged in full.",
            )
        self._ran = event

    def keep(self, output: Path | Record) -> Settled:
        """Store `output` (a folder, or a record) by its content and settle the release.

        The charge is what `ran` was told, and never less than the intended steps.

        Raises:
            Unavailable: the disk is full; the release settles in full without an output.
        """
        self._start()
        stored = self._ledger._store.keep(output)
        with self._ledger._write() as append:
            intended = self._ledger._current(self._hold).intended
            event = with_steps(self._ran, max(steps_of(self._ran), intended))
            append("settle", _settlement(self._hold, event, stored))
        return Settled(self._hold.key, self._hold.attempt, event, stored, self._ledger._store.find(stored))

    def _start(self) -> None:
        if self._ledger._current(self._hold).stage == "reserved":
            with self._ledger._write() as append:
                append("start", {"key": self._hold.key, "attempt": self._hold.attempt})

    def _close(self) -> None:
        """End the hold if `keep` has not; should that fail, it stays held, and the next release ends it."""
        try:
            with self._ledger._write() as append:
                hold = self._ledger._caught_up().holds[self._hold.key, self._hold.attempt]
                if hold.stage == "started":
                    append("settle", _settlement(hold, hold.release.event, None))
                elif hold.stage == "reserved":
                    append("release", {"key": hold.key, "attempt": hold.attempt})
        finally:
            self._holding.drop()


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


def _settlement(hold: Hold, event: Event, output: str | None) -> dict[str, object]:
    return {"key": hold.key, "attempt": hold.attempt, "steps": steps_of(event), "output": output}
