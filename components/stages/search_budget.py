"""What a search on people's rows may spend, and whether its accounts carry it, before and after the users are counted.

Pure but for reading balances. All of a split is kept within one Rényi order, which follows from the parameters alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.core.errors import BudgetExhausted, Refused
from components.core.service import Candidate, Service
from components.privacy import accounting, tuning
from components.privacy.accounts import LIFETIME, Account, open_account
from components.privacy.adaptive import stated_delta
from components.privacy.release import BestOf, Event, Gaussian, Trials
from components.stages.dataset import dataset_of
from components.stages.rows import count_event, kept_within, left_after_count
from components.stages.run import Run

_ROUNDING = 1e-4
"""Part of what is left for the trials that is kept back, for what a sampled trial costs beyond its Gaussian."""
_SIZES = tuple(10**power for power in range(2, 9))
"""Numbers of users for which a search must fit into the accounts before the users are counted."""


@dataclass(frozen=True)
class Division:
    """What a split may spend once it is counted, all at one order that was fixed before."""

    order: int
    stated: float
    delta: float
    floor: float
    """Gaussian-DP μ of the floor; 0 for the validation users, who are not in it."""
    trial: float
    """The same of a trial."""


def order_of(run: Run, which: str, trials: Trials) -> int:
    """Return the order at which a split's releases are kept; it follows from the parameters alone."""
    epsilon = _epsilon(run, which)
    delta = kept_within(run, run.params.training.max_delta)
    count = count_event(run)
    return tuning.planned_order(
        trials, lambda order: accounting.rdp_budget_at(order, epsilon, delta) - accounting.rdp(count, order)
    )


def divided(run: Run, tuned: Service, catalogue: Any, trials: Trials, order: int, which: str, users: int) -> Division:
    """Return what a split with at least so many users may spend: all grows as their number falls (see the proof).

    Raises:
        BudgetExhausted: the count leaves nothing.
        Refused: the floor leaves nothing for a trial.
    """
    epsilon, stated = _epsilon(run, which), stated_delta(users, run.params.training.max_delta)
    delta = kept_within(run, stated)
    left = accounting.rdp_budget_at(order, epsilon, delta) - accounting.rdp(count_event(run), order)
    floor = 0.0
    if which == "train":
        mu = left_after_count(run, epsilon, delta)
        floor = mu * math.sqrt(tuned.shares(mu, users, catalogue)[tuned.floor.name])
        left -= order * floor**2 / 2
    trial = tuning.trial_mu(trials, order, left * (1 - _ROUNDING)) if left > 0 else 0.0
    if trial == 0:
        raise Refused(
            f"A search with so many trials leaves nothing to any of them on the {which} users",
            value=f"{trials.expected:g} trials expected at ε = {epsilon:g}",
            next_step="Raise --epsilon, or lower --trials.",
        )
    return Division(order, stated, delta, floor, trial)


def require_room(run: Run, tuned: Service, catalogue: Any, trials: Trials, orders: Mapping[str, int]) -> None:
    """Refuse a search that its accounts cannot carry, whatever the counts will say, before anybody is counted."""
    for which, order in orders.items():
        sizes = _possible(run, tuned, catalogue, trials, order, which)
        for account in accounts_of(run, which):
            asked = max(_cost(run, trials, size, account.order) for size in sizes)
            if asked > account.rdp_left:
                raise BudgetExhausted(
                    f"The search for {tuned.name} does not fit into the account {account.block}/{account.split}",
                    value=f"asked {asked / account.rdp_cap:.1%} of the cap, "
                    f"left {account.rdp_left / account.rdp_cap:.1%}",
                    limit=f"ε = {account.cap.epsilon:g} at δ = {account.cap.delta:g}",
                    next_step="Lower --epsilon or --trials, or wait for a new block; nothing was read or spent.",
                )


def _possible(run: Run, tuned: Service, catalogue: Any, trials: Trials, order: int, which: str) -> list[Division]:
    """Return what may be spent, for each number of users for which something is left to a trial."""
    found, refusal = list[Division](), None
    for users in _SIZES:
        try:
            found.append(divided(run, tuned, catalogue, trials, order, which, users))
        except Refused as nothing:  # δ of so many users is so small
            refusal = refusal or nothing
    if not found and refusal:
        raise refusal
    return found


def _cost(run: Run, trials: Trials, size: Division, order: int) -> float:
    """Return what a search costs at an account's order, with trials that are Gaussians."""
    one = BestOf(choices=((Gaussian(noise_multiplier=1 / size.trial),),), trials=trials)
    floor = order * size.floor**2 / 2
    return accounting.rdp(count_event(run), order) + floor + accounting.rdp(one, order) * (1 + _ROUNDING)


def accounts_of(run: Run, which: str) -> list[Account]:
    """Return the accounts that a release of a split charges, with their balances; new ones as they would open."""
    privacy, blocks = run.params.privacy, dataset_of(run).blocks
    known = {account.block: account for account in run.ledger().accounts() if account.split == which}
    found = [known.get(block) or open_account(block, which, privacy.cap) for block in blocks]
    if LIFETIME in known or privacy.lifetime_cap:
        found.append(known.get(LIFETIME) or open_account(LIFETIME, which, privacy.lifetime_cap or privacy.cap))
    return found


def held(candidate: Candidate, plan: Any, orders: set[int], size: Division) -> Any:
    """Return `plan` with so much noise that it costs no more than its Gaussian at all of `orders`."""

    def within(one: Any) -> bool:
        return all(accounting.rdp(one.event, order) <= order * size.trial**2 / 2 * (1 + 1e-9) for order in orders)

    low = high = plan.event.noise_multiplier
    if within(plan):
        return plan
    while not within(candidate.at_noise(plan, high)):
        low, high = high, high * 1.5
    while high / low > 1.0005:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if within(candidate.at_noise(plan, middle)) else (middle, high)
    return candidate.at_noise(plan, high)


def require_within(run: Run, which: str, size: Division, events: list[Event]) -> None:
    """Refuse what would cost a user of the split more than is stated; a check of the plan, which keeps within it."""
    spent = sum(accounting.rdp(event, size.order) for event in events)
    if spent > accounting.rdp_budget_at(size.order, _epsilon(run, which), size.delta):
        raise Refused(
            f"The search would cost the {which} users more than is stated",
            value=f"ε = {accounting.rdp_epsilon(spent, size.order, size.delta):.6g}",
            limit=f"ε = {_epsilon(run, which):g} at δ = {size.delta:.3g}",
            next_step="Lower --trials.",
        )


def _epsilon(run: Run, which: str) -> float:
    training = run.params.training
    return training.epsilon if which == "train" else training.epsilon_of_evaluation
