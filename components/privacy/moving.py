"""A ledger moves from its file to a server, row by row with its hashes: the same genesis, the same budget, one place.

Two copies that are both charged would be two budgets. So under one lock the rows are copied, and a last one is added to
the file that says where they went: whoever opens the file from then on, or had it open, is refused.
"""

from __future__ import annotations

from pathlib import Path

from components.core.errors import ContractBroken, Misconfigured, Unavailable
from components.privacy import backends
from components.privacy.chain import Chain, Head
from components.privacy.journal import Journal


def move(home: Path, url: str, *, busy_seconds: float = 10.0) -> Head:
    """Copy the ledger of `home/ledger.db` to the empty place at `url`, close the file, and return the last row.

    What was cut off in the middle is finished by running it again.

    Raises:
        Misconfigured: there is no file to move, or `url` is no PostgreSQL database.
        ContractBroken: a row was changed or removed, or another ledger lies at `url`.
        Unavailable: a release is under way, or the server does not answer.
    """
    path = home / "ledger.db"
    if not path.exists() or not url.startswith("postgres"):
        raise Misconfigured(
            "Only a ledger in its file moves, and only to a PostgreSQL database",
            value=f"{path}{'' if path.exists() else ', which is not there'}; {backends.without_password(url)}",
            limit="JALI_HOME/ledger.db to postgresql://user@host/database",
            next_step="Name the database; nothing was changed.",
        )
    known = (home / "genesis").read_text().strip() if (home / "genesis").exists() else None
    source = Chain.open(home, None, busy_seconds=busy_seconds, known=known)
    with source.write() as append:  # nobody reserves, starts or settles meanwhile
        book = Journal(source).book()
        if open_holds := [hold for hold in book.holds.values() if hold.open]:
            raise Unavailable(
                "The ledger has releases under way",
                value=f"{open_holds[0].release.mechanism} of {open_holds[0].release.service}",
                next_step="Wait for them to end; one whose process died ends with the next release.",
            )
        source.read()
        rows = source.backend.rows(backends.FIRST)
        target = backends.connect(home, url, lambda: rows[0], busy_seconds=busy_seconds, known=None)
        with target.transaction():
            there = target.rows(backends.FIRST)
            if there != rows[: len(there)] or not there:
                raise ContractBroken(
                    f"Another ledger lies at {target.name}",
                    value=f"{len(there)} rows",
                    limit="an empty database or schema",
                    next_step="Name another database or schema; nothing was changed.",
                )
            for row in rows[len(there) :]:
                target.insert(row)
        head = Head(rows[-1][0], rows[-1][3])
        Chain(target).read(head)
        append("moved", {"to": target.name})
    return head
