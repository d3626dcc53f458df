"""Spent blocks retire: rows of a block that cannot carry the next training are left out of a dataset.

It is decided by the ledger's balances, which are public, before a row is read, and once for each collected window. The
decision is a row of the ledger, so that every machine on it makes the same dataset again, whatever the dataset's own
trainings have spent meanwhile, and finds what was released from it.

The account over a lifetime never retires: it is of all blocks, fresh ones too. Once it cannot carry a training none is
let in, whichever rows it reads, and leaving rows out would not change that.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from components.core.errors import BudgetExhausted, ContractBroken
from components.core.records import SPLITS
from components.stages.run import Run

if TYPE_CHECKING:
    from components.privacy.accounts import Reading
    from components.privacy.ledger import Training
    from components.privacy.outlook import Planned


def blocks_read(run: Run, collected: str, blocks: tuple[str, ...]) -> Reading:
    """Return which of `blocks` a dataset of the window `collected` reads, as it was decided when it was first made.

    Raises:
        BudgetExhausted: none of them can carry one training more.
    """
    reading = run.ledger().reading(collected, blocks, lambda: _next_training(run))
    if not reading.fresh:
        raise BudgetExhausted(
            "Every block of the window is spent",
            value=", ".join(reading.spent),
            limit=f"room for one training more, at ε = {run.params.training.epsilon:g}",
            next_step="Take a window with newer events, ask for less (training.epsilon), or wait for the next block; "
            "`jali ledger plan` says what a training takes and `jali ledger show` what is left.",
        )
    return reading


def _next_training(run: Run) -> Training:
    """Return what the next training of every service charges, as `jali ledger plan` tells it.

    All services train on one dataset: a block with room for one of them alone would keep the others from training.
    Users are counted once for all that read the same tables. A service whose public tables are not there (ads, in a
    shop that has none) is not trained, says so when it is asked to be, and keeps no block from the others.
    """
    from components.stages.planned import Users, counted_before, planned

    least = round(1 / (10 * run.params.training.max_delta))  # of so many, δ is the largest there is
    known = {name: counted_before(run, name) or Users.guessed(run, least) for name in run.params.services}
    trainings: dict[str, list[Planned]] = {}
    for name, users in known.items():
        with suppress(ContractBroken):
            trainings[name] = planned(run, name, users)
    readers = {tuple(sorted(run.service(name)[0].private)): steps for name, steps in trainings.items()}
    counts = [step for steps in readers.values() for step in steps if step.purpose == "count"]
    others = [step for steps in trainings.values() for step in steps if step.purpose != "count"]
    return {split: [step.event for step in (*counts, *others) if step.split == split] for split in SPLITS}
