"""What a ledger refuses before it charges: other blocks, other people, another ledger. Pure: no files, no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from components.core.errors import ContractBroken, Misconfigured
from components.core.params import Block
from components.data.blocks import is_name
from components.privacy.accounts import LIFETIME, Book, Partition
from components.privacy.release import Release

if TYPE_CHECKING:
    from components.privacy.ledger import Ledger


def require_blocks(release: Release, partition: Partition | None) -> None:
    """Refuse a charge of what is no period of the ledger's calendar: it would be an account over nobody.

    Raises:
        ContractBroken: see above.
    """
    unknown = [
        block
        for block in release.blocks
        if block == LIFETIME or (partition is not None and not is_name(block, cast(Block, partition.block)))
    ]
    if unknown:
        raise ContractBroken(
            f"The release {release.mechanism} of {release.service} charges a block that no calendar has",
            value=", ".join(unknown),
            limit=f"periods of privacy.block: {partition.block}" if partition else "periods",
            next_step="Take the blocks from the dataset's record; nothing was read or spent.",
        )


def require_same_partition(partition: Partition | None, book: Book) -> None:
    """Refuse another cut of time or users than that which the ledger's first release fixed.

    Raises:
        Misconfigured: see above.
    """
    if book.partition is not None and partition != book.partition:
        raise Misconfigured(
            "This ledger's accounts are of other blocks or splits, and another cut is no fresh budget over its people",
            value=partition or "no blocks and splits",
            limit=book.partition,
            next_step="Set them back in params.yaml; other people may have another ledger, in another JALI_HOME.",
        )


def require_same_people(people: str | None, book: Book) -> None:
    """Refuse users who are named and split by another key than the ledger's first release's.

    Raises:
        Misconfigured: see above.
    """
    if book.people is not None and people != book.people:
        raise Misconfigured(
            "This ledger's users are named and split by another key, by which the same person may be in another split",
            value=people[:12] if people else "no key",
            limit=book.people[:12],
            next_step="Copy pseudonym.key from the JALI_HOME of the machine that made the ledger; nothing was spent.",
        )


def second_genesis(name: str, found: str, known: str) -> ContractBroken:
    """Return the refusal of a ledger that is another one than its home has charged."""
    return ContractBroken(
        f"The ledger {name} is another one than this JALI_HOME has charged: a second budget over the same people",
        value=f"genesis {found[:12]}",
        limit=f"genesis {known[:12]}",
        next_step="Set JALI_LEDGER_URL back, or restore the ledger; other people may have another JALI_HOME.",
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
