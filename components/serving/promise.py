"""What a served version promises: its statement for programs and for people, from the version's own evidence alone.

The ledger is no business of the process that answers the shop: what the accounts have spent by now is told by
`jali statement`, on the machine that holds the ledger.
"""

from __future__ import annotations

from components.privacy.statement import candidate_of
from components.privacy.statement_document import Standing, VersionStatement
from components.serving.champion import Champion


def promise_of(champion: Champion) -> VersionStatement:
    """Return the statement of the version that answers."""
    return VersionStatement(
        service=champion.service,
        version=champion.version,
        alias="champion",
        model=champion.bundle_digest,
        candidate=candidate_of(champion.statement),
        personal=None,
        source=None,
        public=None,
        standing=Standing(author=champion.author, approver=champion.approver, champion_since=champion.since),
        statement=champion.statement.digest,
        verdict=None,
        privacy=champion.statement,
        ledger=None,
        notes=("What the blocks have spent by now is told by `jali statement`, where the ledger is.",),
    )
