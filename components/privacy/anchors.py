"""A ledger's head, kept where the ledger does not lie: on each version and in each approval.

A log that was cut at its end is a valid older log, and one whose hashes were all computed anew is a valid other log.
Both show by a head that somebody kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from components.core.errors import ContractBroken
from components.privacy.chain import Chain, Head
from components.privacy.journal import Journal


@dataclass(frozen=True)
class Anchor:
    """The last row of a ledger at some time. As text it is `genesis:seq:hash`."""

    genesis: str
    head: Head

    def __str__(self) -> str:
        return f"{self.genesis}:{self.head}"

    @classmethod
    def parse(cls, text: str) -> Anchor:
        """Read what `str` wrote.

        Raises:
            Misconfigured: it is something else.
        """
        genesis, _, head = text.partition(":")
        return cls(genesis, Head.parse(head))


def anchor_now(home: Path, url: str | None) -> str:
    """Return the anchor of the ledger of `home` as text, with every row checked; empty where nothing was ever charged.

    Raises:
        ContractBroken: a row was changed or removed, or it is another ledger than `home` has charged.
        Unavailable: another process holds it, or the server does not answer.
    """
    marker = home / "genesis"
    if not marker.exists():
        return ""
    known = marker.read_text().strip()
    journal = Journal(Chain.open(home, url, busy_seconds=10.0, known=known))
    book = journal.book()
    if book.genesis != known:
        raise ContractBroken(
            f"The ledger {journal.chain.name} is another one than this JALI_HOME has charged",
            value=f"genesis {book.genesis[:12]}",
            limit=f"genesis {known[:12]}",
            next_step="Set JALI_LEDGER_URL back, or restore the ledger.",
        )
    return str(Anchor(book.genesis, journal.head()))
