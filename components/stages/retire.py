"""Spent blocks retire: rows of a block whose budget is gone are left out of a dataset, and training goes on without.

It is decided by the ledger's balances, which are public, before a row is read, and once for each collected window: made
again later, from the same rows, the dataset is the same, whatever its own trainings have spent meanwhile.
"""

from __future__ import annotations

from typing import ClassVar

from components.core import digest
from components.core.errors import BudgetExhausted
from components.core.evidence import Record
from components.stages.run import Run

LEAST = 0.2
"""A block is spent where less than this share of one of its accounts is left. By the default cap (ε = 10 at δ = 1e-6) a
training at ε = 3 takes up to 0.17, so that what stays can carry one."""


class BlocksRead(Record):
    """Which blocks of a window a dataset reads, and which had been spent when it was made."""

    kind: ClassVar[str] = "blocks-read"
    collected: str
    """Digest of the record of the window that was collected."""
    fresh: tuple[str, ...]
    spent: tuple[str, ...]


def blocks_read(run: Run, collected: str, blocks: tuple[str, ...]) -> BlocksRead:
    """Return which of `blocks` a dataset of the window `collected` reads, as it was decided when it was first made.

    Raises:
        BudgetExhausted: all of them are spent.
    """
    key = digest.of_json(["blocks read", collected])
    decided = run.records().find(BlocksRead, key)
    if decided is None:
        spent = _spent(run)
        gone = tuple(block for block in blocks if block in spent)
        decided = BlocksRead(
            collected=collected, fresh=tuple(block for block in blocks if block not in gone), spent=gone
        )
        if not decided.fresh:
            raise BudgetExhausted(
                "Every block of the window is spent",
                value=", ".join(gone),
                limit=f"{LEAST:.0%} of each account left, for one training more",
                next_step="Take a window with newer events, or wait for the next block; `jali ledger show` says what "
                "is left.",
            )
        run.records().keep(key, decided)
    return decided


def _spent(run: Run) -> set[str]:
    if run.settings.ledger_url is None and not (run.settings.home / "ledger.db").exists():
        return set()  # nothing was ever charged, and asking would make a ledger
    return {account.block for account in run.ledger().accounts() if account.rdp_left < LEAST * account.rdp_cap}
