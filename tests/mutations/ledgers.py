"""Detectors of the ledger: what was charged against what must have been, by other formulas. None finds a fault."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.core.errors import BudgetExhausted, Misconfigured
from components.core.params import Cap
from components.privacy import ledger as room
from components.privacy.draws import Fault
from components.privacy.ledger import Ledger
from components.privacy.release import Event, Gaussian, SampledGaussian
from components.privacy.trace import traced
from components.training import fit as training_room
from tests.mutations.trainings import PLAN, Killed, Toy
from tests.unit.privacy.builders import open_ledger, private, release_of
from tests.unit.training.toy import rows_of

ONE = Gaussian(noise_multiplier=4.0)
CAP = Cap(epsilon=5, delta=1e-6)
BLOCKS = ("2000Q3", "2000Q4")


def charges(folder: Path) -> list[Fault]:
    """End releases in every way there is, and compare each account with what was drawn or may have been."""
    (folder / "model").mkdir(parents=True)

    def settled(ledger: Ledger) -> None:
        with ledger.release(release_of(ONE), key="settled", of=private()) as opened:
            opened.intend(1)
            opened.keep(folder / "model")

    def failed(ledger: Ledger) -> None:
        with pytest.raises(ZeroDivisionError), ledger.release(release_of(ONE), key="failed", of=private()) as opened:
            raise ZeroDivisionError(len(opened.value))

    def forgotten(ledger: Ledger) -> None:
        with ledger.release(release_of(ONE), key="forgotten", of=private()) as opened:
            opened.intend(1)

    def died(ledger: Ledger) -> None:
        _in_a_process_that_dies(ledger, folder / "home-died")
        with ledger.release(release_of(ONE), key="next", of=private()):
            """The first to come ends what the dead left; it draws nothing itself."""

    def modest(ledger: Ledger) -> None:
        event = Gaussian(noise_multiplier=4.0, count=5)
        with ledger.release(release_of(event), key="modest", of=private()) as opened:
            opened.intend(4)
            opened.ran(event.model_copy(update={"count": 2}))
            opened.keep(folder / "model")

    def unread(ledger: Ledger) -> None:
        with ledger.release(release_of(ONE), key="unread", of=private()):
            """Nothing is opened."""

    def wide(ledger: Ledger) -> None:
        with ledger.release(release_of(ONE, blocks=BLOCKS), key="wide", of=private(blocks=BLOCKS)) as opened:
            opened.intend(1)
            opened.keep(folder / "model")

    def twice(ledger: Ledger) -> None:
        settled(ledger)
        for output in (folder / "home-twice" / "store").glob("*"):
            output.rename(folder / f"lost-{output.name}")
        settled(ledger)

    def once(ledger: Ledger) -> None:
        def mechanism(value: Any, intend: Callable[[int], None], out: Path) -> Event:
            intend(1)
            return ONE

        room.once(ledger, release_of(ONE), "once", private(), mechanism)

    draws = {once: 1, settled: 1, failed: 1, forgotten: 1, died: 1, modest: 4, unread: 0, wide: 1, twice: 2}
    found = []
    for way, count in draws.items():
        ledger = open_ledger(folder / f"home-{way.__name__}", CAP)
        way(ledger)
        blocks = BLOCKS if way is wide else BLOCKS[1:]
        found += _compared(way.__name__, ledger, {block: [ONE] * count for block in blocks})
    return found


def overdraft(folder: Path) -> list[Fault]:
    """Release until nothing fits, one more held open the while, and add up what was let in."""
    ledger = open_ledger(folder / "home", CAP)
    let_in: list[Event] = []
    with ledger.release(release_of(ONE), key="held", of=private()) as held:
        held.intend(1)
        let_in.append(ONE)
        for number in range(100):
            try:
                with ledger.release(release_of(ONE), key=f"{number}", of=private()) as opened:
                    opened.intend(1)
                    let_in.append(ONE)
            except (BudgetExhausted, Misconfigured):  # a cap that is overspent is refused by another name
                break
    found = [] if ledger.accounts() else [Fault("ledger", "no account", "one")]
    for account in ledger.accounts():
        spent = sum(_divergence(event, account.order) for event in let_in)
        if spent > account.rdp_cap * (1 + 1e-9):
            found.append(Fault("ledger", f"{len(let_in)} releases cost {spent:.4g}", f"at most {account.rdp_cap:.4g}"))
    return found


def training(folder: Path) -> list[Fault]:
    """Charge a training that is killed within its release and taken up again: every step that drew noise is charged."""
    plan, nobody = PLAN.model_copy(update={"steps": 12}), rows_of(5).toarray()[:0]
    ledger = open_ledger(folder / "home")
    drawn = 0
    with ledger.release(release_of(plan.event), key="training", of=private(nobody)) as opened:
        for kill in (8, None):
            intended = 0

            def intend(steps: int, kill: int | None = kill) -> None:
                nonlocal intended
                opened.intend(steps)
                intended += steps
                if intended == kill:
                    raise Killed

            with traced(normaliser=plan.expected_batch_size) as trace:
                try:
                    fitted = training_room.fit(
                        Toy(),
                        opened.value,
                        plan=plan,
                        intend=intend,
                        checkpoints=folder / "checkpoints",
                        checkpoint_every=5,
                    )
                    opened.ran(plan.event.model_copy(update={"steps": fitted.steps}))
                except Killed:
                    pass
            drawn += len(trace.answers)
        (folder / "model").mkdir()
        settled = opened.keep(folder / "model")
    charged = settled.event
    assert isinstance(charged, SampledGaussian)
    if charged.steps < drawn:
        return [Fault("ledger", f"{charged.steps} steps charged", f"{drawn} that drew noise")]
    return _compared("training", ledger, {"2000Q4": [plan.event.model_copy(update={"steps": drawn})]}, exact=False)


def _compared(way: str, ledger: Ledger, drawn: dict[str, list[Gaussian]], *, exact: bool = True) -> list[Fault]:
    found = []
    accounts = {account.block: account for account in ledger.accounts()}
    for block, events in drawn.items():
        if block not in accounts:
            found.append(Fault("ledger", f"{way}: no account of {block}", "charged"))
            continue
        account = accounts[block]
        due = sum(_divergence(event, account.order) for event in events)
        if account.rdp_spent < due * (1 - 1e-9) or (exact and account.rdp_spent > due * (1 + 1e-9)):
            found.append(Fault("ledger", f"{way}: {account.rdp_spent:.6g} charged to {block}", f"{due:.6g}"))
    return found


def _divergence(event: Event, order: int) -> float:
    """Return a Rényi divergence by numerical integration: nothing of the ledger's own formulas is used.

    Of a Gaussian by definition; of a sampled one between the mixture and the Gaussian that it is compared with.
    """
    import numpy as np

    rate = event.sample_rate if isinstance(event, SampledGaussian) else 1.0
    draws = event.steps if isinstance(event, SampledGaussian) else event.count
    sigma = event.noise_multiplier
    x = np.linspace(-20 * sigma, 20 * sigma + 2 * order, 400_001)
    without = -((x / sigma) ** 2) / 2
    included = -(((x - 1) / sigma) ** 2) / 2
    mixture = np.logaddexp(np.log1p(-rate) + without if rate < 1 else np.full_like(x, -np.inf), np.log(rate) + included)
    exponent = order * mixture + (1 - order) * without
    peak = exponent.max()
    total = np.exp(exponent - peak).sum() * (x[1] - x[0]) / (sigma * np.sqrt(2 * np.pi))
    return draws * (np.log(total) + peak) / (order - 1)


def _in_a_process_that_dies(ledger: Ledger, home: Path) -> None:
    """Start a release in a process that ends without a word after it has read the value."""
    child = os.fork()
    if child == 0:
        try:
            with open_ledger(home, CAP).release(release_of(ONE), key="died", of=private()) as opened:
                opened.intend(1)
                os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
