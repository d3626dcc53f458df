"""What a ledger's rows mean: accounts, holds, and whether a further release fits. Pure: no files, no clock.

The cap of an account is held by a Rényi filter at one fixed order (Feldman & Zrnic 2021, theorem 4.3): releases may be
chosen adaptively, each after seeing the answers before it, and as long as the sum of their divergences at that order
stays within the budget, all of them together are (order, budget)-RDP, which converts to the cap's (ε, δ). The order is
fixed when the account opens, before anything was released. "Some order still fits" would be more generous and is not
used: which order fits would then depend on what was released, and the theorem is about an order chosen beforehand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from components.core.errors import BudgetExhausted, ContractBroken, Misconfigured
from components.core.params import Cap, Section, Split
from components.privacy import accounting
from components.privacy.chain import GENESIS, VERSION, Entry
from components.privacy.release import Event, Release, SampledGaussian

LIFETIME = "lifetime"
"""The block of the account that every release of a split charges, where a lifetime cap is set."""


class Partition(Section):
    """What accounts are of: how time is cut into blocks, and users into splits.

    Another cut would open new accounts over the same people, so a ledger keeps the first one for ever.
    """

    block: str
    split: Split

    def __str__(self) -> str:
        shares = ", ".join(f"{name}: {share:g}" for name, share in self.split)
        return f"privacy.block: {self.block}, split: {{{shares}}}"


@dataclass(frozen=True)
class Account:
    """One (block, split) and what its releases have cost, in Rényi divergence at its own order.

    `spent`, `held` and `left` are ε at the cap's δ by the filter's conversion, and add up to the cap. The conversion
    adds a constant to any divergence above zero, so the first release of an account, however small, shows it.
    """

    block: str
    split: str
    cap: Cap
    order: int
    rdp_cap: float
    rdp_spent: float = 0.0
    rdp_held: float = 0.0

    @property
    def rdp_left(self) -> float:
        """What a further release may cost."""
        return self.rdp_cap - self.rdp_spent - self.rdp_held

    @property
    def spent(self) -> float:
        """ε of what is settled."""
        return self._epsilon(self.rdp_spent)

    @property
    def held(self) -> float:
        """ε that open holds add to it, should they settle in full."""
        return self._epsilon(self.rdp_spent + self.rdp_held) - self.spent

    @property
    def left(self) -> float:
        """ε between both and the cap."""
        return self.cap.epsilon - self.spent - self.held

    def _epsilon(self, divergence: float) -> float:
        return accounting.rdp_epsilon(divergence, self.order, self.cap.delta) if divergence > 0 else 0.0


@dataclass(frozen=True)
class Hold:
    """One attempt at a release, from its reservation to its end."""

    key: str
    attempt: int
    release: Release
    stage: Literal["reserved", "started", "settled", "released"] = "reserved"
    intended: int = 0
    """Noisy steps whose intent is durable."""
    settled: Event | None = None
    """What it was charged with at its end."""
    ran: int | None = None
    """Noisy steps that the mechanism itself counted."""
    output: str | None = None
    """Digest of what it left in the store."""

    @property
    def open(self) -> bool:
        """Whether it is neither settled nor released."""
        return self.stage in ("reserved", "started")

    @property
    def charged(self) -> Event | None:
        """What its accounts carry for it: the whole reservation until it ends, then what ran."""
        if self.stage == "released":
            return None
        return self.settled or self.release.event

    def touches(self, account: Account) -> bool:
        """Whether it charges `account`."""
        return account.split == self.release.split and account.block in (*self.release.blocks, LIFETIME)


@dataclass(frozen=True)
class Reading:
    """Which blocks of a window a dataset reads, and which were spent when that was decided."""

    fresh: tuple[str, ...]
    spent: tuple[str, ...]


@dataclass
class Book:
    """The state that the rows lead to, in their order."""

    genesis: str = ""
    partition: Partition | None = None
    people: str | None = None
    """Names the key that users are named and split by."""
    terms: dict[tuple[str, str], Account] = field(default_factory=dict)
    holds: dict[tuple[str, int], Hold] = field(default_factory=dict)
    readings: dict[str, Reading] = field(default_factory=dict)
    """Which blocks a dataset of a window reads, by the window."""

    def apply(self, entry: Entry) -> None:
        """Take one row in.

        Raises:
            ContractBroken: the row does not follow from those before it.
        """
        try:
            self._apply(entry)
        except (KeyError, TypeError, ValueError) as error:  # pydantic's errors are ValueErrors
            raise ContractBroken(
                f"Row {entry.seq} of the ledger cannot be understood as {entry.verb!r}",
                next_step="Use the Jali that wrote it, or restore the ledger from its backup; nothing was spent.",
            ) from error

    def _apply(self, entry: Entry) -> None:
        body = entry.body
        if (entry.verb == GENESIS) != (entry.seq == 1):
            raise ContractBroken(
                "The ledger has a second beginning, which would be a second budget over the same people",
                value=f"row {entry.seq} is {entry.verb!r}",
                limit="row 1, and no other, is the genesis",
                next_step="Restore the ledger from its backup; until then nothing may be released.",
            )
        if entry.verb == GENESIS:
            if body["version"] > VERSION:
                raise Misconfigured(
                    "The ledger is from a later version of Jali than this one",
                    value=f"version {body['version']}",
                    limit=f"version {VERSION}",
                    next_step="Install the Jali that made it; nothing was read or spent.",
                )
            self.genesis = body["genesis"]
        elif entry.verb == "partition":
            self.partition = self.partition or Partition.model_validate(body["partition"])
        elif entry.verb == "people":
            self.people = self.people or str(body["people"])
        elif entry.verb == "moved":
            raise Misconfigured(
                "The ledger has moved, and is charged no more where it was",
                value="the file in JALI_HOME",
                limit=body["to"],
                next_step="Set JALI_LEDGER_URL to where it is now.",
            )
        elif entry.verb == "open":
            account = open_account(body["block"], body["split"], Cap(**body["cap"]), order=body["order"])
            self.terms.setdefault((account.block, account.split), account)
        elif entry.verb == "read":
            reading = Reading(tuple(body["fresh"]), tuple(body["spent"]))
            self.readings.setdefault(body["window"], reading)
        elif entry.verb == "reserve":
            hold = Hold(body["key"], body["attempt"], Release.model_validate(body["release"]))
            self.holds[hold.key, hold.attempt] = hold
        else:
            before = self.holds.get((body["key"], body["attempt"]))
            if before is None or not before.open:
                raise ContractBroken(f"Row {entry.seq} of the ledger is a {entry.verb} of no open hold")
            self.holds[before.key, before.attempt] = _step(before, entry.verb, body)

    def accounts(self) -> list[Account]:
        """Return all accounts with their balances."""
        return [self._balance(account) for account in self.terms.values()]

    def attempts(self, key: str) -> list[Hold]:
        """Return the holds of `key`, oldest first."""
        return [hold for hold in self.holds.values() if hold.key == key]

    def admit(self, release: Release, accounts: Iterable[Account]) -> None:
        """Let `release` in only if every one of `accounts` can carry it.

        Raises:
            BudgetExhausted: with what is spent, asked and left.
        """
        for account in map(self._balance, accounts):
            asked = accounting.rdp(release.event, account.order)
            if not asked <= account.rdp_left:
                raise BudgetExhausted(
                    f"The release {release.mechanism} of {release.service} does not fit into the account "
                    f"{account.block}/{account.split}",
                    value=f"spent ε = {account.spent:.3f}, held {account.held:.3f}, left {account.left:.3f}; in shares "
                    f"of the cap spent {account.rdp_spent / account.rdp_cap:.1%}, held "
                    f"{account.rdp_held / account.rdp_cap:.1%}, asked {asked / account.rdp_cap:.1%}, left "
                    f"{account.rdp_left / account.rdp_cap:.1%}",
                    limit=f"ε = {account.cap.epsilon:g} at δ = {account.cap.delta:g}",
                    next_step="Ask for less (training.epsilon, training.evaluation_epsilon), or wait for a new block.",
                )

    def require_above_spent(self, account: Account, cap: Cap) -> None:
        """Let `cap` stand in the parameters only if it is not below what `account` has spent or holds.

        An account keeps the cap with which it opened, so a lower one would promise what was broken already.

        Raises:
            Misconfigured: it is below.
        """
        gone = self._balance(account)
        if gone.rdp_spent + gone.rdp_held > max(0.0, accounting.rdp_budget_at(account.order, cap.epsilon, cap.delta)):
            raise Misconfigured(
                f"The cap in params.yaml is below what the account {account.block}/{account.split} has spent",
                value=f"{'privacy.lifetime_cap' if account.block == LIFETIME else 'privacy.cap'} ε = {cap.epsilon:g} "
                f"at δ = {cap.delta:g}",
                limit=f"spent and held ε = {gone.spent + gone.held:.3f} at δ = {account.cap.delta:g}",
                next_step="Set the cap back, or train on a new block; nothing was spent.",
            )

    def _balance(self, account: Account) -> Account:
        spent = held = 0.0
        for hold in self.holds.values():
            if (event := hold.charged) is not None and hold.touches(account):
                cost = accounting.rdp(event, account.order)
                spent, held = (spent, held + cost) if hold.open else (spent + cost, held)
        return replace(account, rdp_spent=spent, rdp_held=held)


def with_room(
    accounts: Iterable[Account], blocks: Iterable[str], events: Mapping[str, Sequence[Event]]
) -> tuple[str, ...]:
    """Return those of `blocks` of which every account can carry its `events`, in their order; the others are spent.

    An account that was never charged is not spent: what does not even fit into it is refused as it is reserved.

    Args:
        accounts: with their balances.
        events: what one training reads from a user of each split.
    """
    full = {
        account.block
        for account in accounts
        if sum(accounting.rdp(event, account.order) for event in events.get(account.split, ())) > account.rdp_left
    }
    return tuple(block for block in blocks if block not in full)


def open_account(block: str, split: str, cap: Cap, *, order: int | None = None) -> Account:
    """Return a new account at `order`; by default the order that holds the most Gaussian releases within `cap`."""
    if order is None:
        order, budget = accounting.rdp_budget(cap.epsilon, cap.delta)
    else:
        budget = accounting.rdp_budget_at(order, cap.epsilon, cap.delta)
    return Account(block, split, cap, order, budget)


def steps_of(event: Event) -> int:
    """Return how many noisy draws `event` stands for."""
    return event.steps if isinstance(event, SampledGaussian) else event.count


def with_steps(event: Event, steps: int) -> Event:
    """Return `event` with another number of draws."""
    return event.model_copy(update={"steps" if isinstance(event, SampledGaussian) else "count": steps})


def _step(hold: Hold, verb: str, body: dict[str, Any]) -> Hold:
    if verb == "start":
        return replace(hold, stage="started")
    if verb == "intend":
        return replace(hold, intended=hold.intended + body["steps"])
    if verb == "release" and hold.stage == "reserved":
        return replace(hold, stage="released")
    if verb == "settle":
        settled = with_steps(hold.release.event, body["steps"])
        return replace(hold, stage="settled", settled=settled, ran=body["ran"], output=body["output"])
    raise ContractBroken(f"The ledger has a {verb!r} of a hold that is {hold.stage}")
