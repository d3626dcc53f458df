"""What the accounts say: by whom and for what they were spent, over a lifetime, and how much further they reach.

Pure: it reads accounts and holds, charges nothing and opens nothing. ε does not add up, Rényi divergence at an
account's own order does; shares of an account are therefore shares of its divergence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from components.core.errors import Misconfigured, Refused
from components.core.params import Cap
from components.core.records import SPLITS
from components.privacy import accounting
from components.privacy.accounts import LIFETIME, Account, Hold, open_account, steps_of, with_steps
from components.privacy.release import Event

MOST = 10_000
"""Trainings beyond which nobody counts."""


@dataclass(frozen=True)
class Use:
    """What one mechanism of one service took of an account.

    `spent` and `held` are shares of the account, 0 to 1; `releases` counts every attempt that is charged.
    """

    service: str
    mechanism: str
    releases: int
    spent: float
    held: float


@dataclass(frozen=True)
class Lifetime:
    """Every release of a split composed over a user who is in all blocks; each release counts once.

    Attributes:
        account: the balance, at one order that was fixed beforehand.
        bounded: whether a cap holds it. Without one the figure is of what was released until now, and nothing bounds
            what comes: a filter needs its budget beforehand (Feldman & Zrnic 2021, section 4).
        opened: whether the ledger holds the cap already; else it does from the next release on.
    """

    account: Account
    bounded: bool
    opened: bool


@dataclass(frozen=True)
class Planned:
    """One release of a training that was not run.

    Attributes:
        purpose: count, floor, candidate or evaluation.
        mechanism: as in `Release`.
        split: whose account it charges.
        delta: at which its ε is told.
        event: what it costs.
    """

    purpose: str
    mechanism: str
    split: str
    delta: float
    event: Event

    @property
    def epsilon(self) -> float:
        """ε of this release alone at `delta`, by PLD."""
        return accounting.epsilon_of([self.event], self.delta)


@dataclass(frozen=True)
class Fit:
    """How many trainings an account still carries.

    Attributes:
        account: with its balance.
        share: of the account, that one training takes.
        by_filter: how many the ledger would let in, one after the other, however each was chosen.
        by_pld: how many would be within the cap by the privacy loss distribution, had everything that the account
            carries and all of them been one schedule fixed beforehand. The ledger does not let these in.
    """

    account: Account
    share: float
    by_filter: int
    by_pld: int


def uses(account: Account, holds: Iterable[Hold]) -> list[Use]:
    """Return who spent what of `account`, the largest first."""
    found = dict[tuple[str, str], Use]()
    for hold in holds:
        if (event := hold.charged) is None or not hold.touches(account):
            continue
        name = hold.release.service, hold.release.mechanism
        share = accounting.rdp(event, account.order) / account.rdp_cap
        known = found.get(name, Use(*name, releases=0, spent=0.0, held=0.0))
        found[name] = replace(
            known,
            releases=known.releases + 1,
            spent=known.spent + (0.0 if hold.open else share),
            held=known.held + (share if hold.open else 0.0),
        )
    return sorted(found.values(), key=lambda use: (-(use.spent + use.held), use.service, use.mechanism))


def lifetimes(
    accounts: Sequence[Account], holds: Sequence[Hold], *, cap: Cap, lifetime_cap: Cap | None
) -> list[Lifetime]:
    """Return the lifetime composition of every split that was charged.

    Args:
        accounts, holds: all of the ledger.
        cap: that of one account; its order and δ tell what is unbounded.
        lifetime_cap: of the parameters; what the ledger opened with comes first.
    """
    held = {account.split: account for account in accounts if account.block == LIFETIME}
    found = []
    for split in sorted({account.split for account in accounts}, key=SPLITS.index):
        opened = split in held
        account = held.get(split) or balanced(open_account(LIFETIME, split, lifetime_cap or cap), holds)
        found.append(Lifetime(account, bounded=opened or lifetime_cap is not None, opened=opened))
    return found


def balanced(account: Account, holds: Iterable[Hold]) -> Account:
    """Return `account` with what `holds` cost at its order."""
    spent = held = 0.0
    for hold in holds:
        if (event := hold.charged) is not None and hold.touches(account):
            cost = accounting.rdp(event, account.order)
            spent, held = (spent, held + cost) if hold.open else (spent + cost, held)
    return replace(account, rdp_spent=spent, rdp_held=held)


def fits(accounts: Iterable[Account], training: Sequence[Planned], holds: Iterable[Hold]) -> list[Fit]:
    """Return how many trainings like `training` fit into each of `accounts`, by the filter and by PLD.

    Args:
        accounts: with their balances.
        training: all releases of one training; an account carries those of its split.
        holds: what the accounts carry already.
    """
    known, carried = dict[object, int](), list(holds)
    found = []
    for account in accounts:
        events = [planned.event for planned in training if planned.split == account.split]
        cost = sum(accounting.rdp(event, account.order) for event in events)
        if cost == 0:
            found.append(Fit(account, 0.0, MOST, MOST))
            continue
        by_filter = min(MOST, max(0, int(account.rdp_left / cost)))
        past = [event for hold in carried if hold.touches(account) and (event := hold.charged) is not None]
        same = (tuple(past), tuple(events), account.cap)
        if same not in known:  # blocks that were always read together differ in nothing
            known[same] = _most(partial(_within, account.cap, past, events), by_filter)
        found.append(Fit(account, cost / account.rdp_cap, by_filter, known[same]))
    return found


def require_caps_above_spent(
    accounts: Sequence[Account], holds: Sequence[Hold], *, blocks: Sequence[str], cap: Cap, lifetime_cap: Cap | None
) -> None:
    """Refuse caps that the accounts of `blocks`, or a lifetime, have already passed.

    An account keeps the cap with which it opened, so that a lower one would seem to be in force and not be.

    Raises:
        Misconfigured: it names the account, the cap and what is spent.
    """
    for account in accounts:
        if account.block in blocks:
            _require_above(account, cap, "privacy.cap")
    if lifetime_cap is not None:
        for split in sorted({account.split for account in accounts}):
            _require_above(
                balanced(open_account(LIFETIME, split, lifetime_cap), holds), lifetime_cap, "privacy.lifetime_cap"
            )


def _require_above(account: Account, cap: Cap, key: str) -> None:
    divergence = account.rdp_spent + account.rdp_held
    spent = accounting.rdp_epsilon(divergence, account.order, cap.delta) if divergence > 0 else 0.0
    if spent > cap.epsilon:
        raise Misconfigured(
            f"params.yaml: {key} is below what the account {account.block}/{account.split} has spent",
            value=f"cap ε = {cap.epsilon:g}, spent ε = {spent:.3f} at δ = {cap.delta:g}",
            limit=f"a cap of at least {spent:.3f}",
            next_step="Raise it, or train on blocks that have spent less; an account keeps the cap it opened with.",
        )


def _within(cap: Cap, past: Sequence[Event], training: Sequence[Event], times: int) -> bool:
    many = [with_steps(event, steps_of(event) * times) for event in training]
    try:
        return accounting.epsilon_of([*past, *many], cap.delta, grid=accounting.COARSE) <= cap.epsilon
    except Refused:  # a loss that is too large for a figure is too large for the cap
        return False


def _most(holds: Callable[[int], bool], guess: int) -> int:
    """Return the largest number up to `MOST` for which the monotone `holds` is true; 0 where not even 1 is."""
    low, high = 0, max(1, guess)
    while holds(high):
        if high >= MOST:
            return MOST
        low, high = high, min(MOST, 2 * high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
