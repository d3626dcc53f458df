"""One open release: what gives out the private value, and what is told about what was done with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from components.core.errors import BudgetExhausted, ContractBroken
from components.core.evidence import Record
from components.core.private import Private
from components.privacy.accounts import Hold, steps_of, with_steps
from components.privacy.backends import Holding
from components.privacy.journal import Journal, settlement
from components.privacy.release import Event
from components.privacy.store import Store

T = TypeVar("T")
R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Settled:
    """A release that ended: what ran, and where its output lies.

    Attributes:
        key, attempt: whose it is; a release that is done again has the next attempt.
        event: what was charged.
        intended: noisy steps whose intent was durable before their noise was drawn.
        ran: noisy steps that the mechanism itself counted, or None where it did not say.
        output: digest of the output's folder (`digest.of_path`), or None where none was kept.
        folder: the output in the store, or None where it is gone.
    """

    key: str
    attempt: int
    event: Event
    intended: int
    ran: int | None
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


class Open(Generic[T]):
    """A reserved release: the only way to a private value, and what is said about what was done with it."""

    def __init__(self, journal: Journal, store: Store, hold: Hold, holding: Holding, of: Private[T]) -> None:
        self._journal, self._store, self._hold, self._holding, self._of = journal, store, hold, holding, of
        self._ran: Event | None = None
        self._started = False

    @property
    def attempt(self) -> int:
        """1 the first time, n + 1 when it is done again."""
        return self._hold.attempt

    @property
    def value(self) -> T:
        """The private value; the start is durable before it is read."""
        self._start()
        self._journal.current(self._hold)
        return self._of._load()

    def intend(self, steps: int) -> None:
        """Make the intent of `steps` further noisy steps durable; call it before their noise is drawn.

        Raises:
            BudgetExhausted: with these, more steps are intended than are held.
        """
        if steps < 1:
            raise ContractBroken("An intent is of at least one step", value=steps, limit=1)
        self._start()
        with self._journal.write() as append:
            done, held = self._journal.current(self._hold).intended, steps_of(self._hold.release.event)
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
        self._start()
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
        stored = self._store.keep(output)
        with self._journal.write() as append:
            intended = self._journal.current(self._hold).intended
            event = self._ran or self._hold.release.event
            charged = with_steps(event, max(steps_of(event), intended))
            append("settle", settlement(self._hold, charged, ran=self._ran, output=stored))
        return Settled(
            key=self._hold.key,
            attempt=self._hold.attempt,
            event=charged,
            intended=intended,
            ran=steps_of(self._ran) if self._ran else None,
            output=stored,
            folder=self._store.find(stored),
        )

    def _start(self) -> None:
        if not self._started:
            with self._journal.write() as append:
                self._journal.current(self._hold)
                append("start", {"key": self._hold.key, "attempt": self._hold.attempt})
            self._started = True

    def close(self) -> None:
        """End the hold if `keep` has not; should that fail, it stays held, and the next release ends it."""
        try:
            with self._journal.write() as append:
                hold = self._journal.book().holds[self._hold.key, self._hold.attempt]
                if hold.stage == "started":
                    append("settle", settlement(hold, hold.release.event, ran=None, output=None))
                elif hold.stage == "reserved":
                    append("release", {"key": hold.key, "attempt": hold.attempt})
        finally:
            self._holding.drop()
