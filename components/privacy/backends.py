"""Where a ledger's rows lie: a file by SQLite, or a PostgreSQL server by URL. What a row means is no concern of theirs.

Both give the same: rows that are durable once a transaction has ended, one writer at a time, and a way to tell whether
the process behind a hold still lives. Neither tries anything twice that was begun.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from components.core.errors import ContractBroken, Misconfigured

Row = tuple[int, str, str, str]
"""Number, verb, body as canonical JSON, hash."""

FIRST = -(2**63)
"""Below every number: rows that were put before the first one are read too."""

_SQLITE, _POSTGRES = re.compile(r"sqlite:///(?P<path>.+)"), re.compile(r"(postgresql|postgres)(\+psycopg)?://.*")


class Holding(Protocol):
    """Says that the process behind a hold lives, until it is dropped or the process ends."""

    def drop(self) -> None:
        """Let go; never raises."""


class Backend(Protocol):
    """Rows with a lock.

    Raises:
        Unavailable: by all methods: it is locked, full, or does not answer.
        ContractBroken: likewise: it is no ledger.
    """

    name: str
    """What messages call it; without a password."""

    def rows(self, first: int) -> list[Row]:
        """Return the rows from number `first` on, in their order."""

    def last(self) -> tuple[int, str] | None:
        """Return number and hash of the last row."""

    def insert(self, row: Row) -> None:
        """Add a row; only inside of a transaction."""

    def transaction(self) -> AbstractContextManager[None]:
        """Hold the one lock for writing; at its end all rows are durable, or after an exception none is there."""

    def hold(self, name: str) -> Holding:
        """Say that this process works on the hold `name`."""

    def is_held(self, name: str) -> bool:
        """Return whether a living process works on the hold `name`."""


def connect(
    home: Path, url: str | None, genesis: Callable[[], Row], *, busy_seconds: float, known: str | None
) -> Backend:
    """Open the rows at `url`, by default `home/ledger.db`, made with their first row where there are none.

    Args:
        home: the folder of this machine's ledger.
        url: `sqlite:////absolute/path` or `postgresql://user@host/database`.
        genesis: makes the first row.
        busy_seconds: how long to wait for another writer.
        known: the genesis id of the ledger that `home` has used before; then none is made.

    Raises:
        Misconfigured: the URL is of no kind that is known here, or names a server that will not do.
        ContractBroken: nothing is there, and there was.
        Unavailable: it does not answer.
    """
    make = genesis if known is None else _gone(url or str(home / "ledger.db"), known)
    if url is None:
        path = home / "ledger.db"
    elif found := _SQLITE.fullmatch(url):
        path = Path(found["path"])
    elif _POSTGRES.fullmatch(url):
        from components.privacy.postgres import Postgres

        return Postgres(re.sub(r"^postgres(ql)?(\+psycopg)?", "postgresql", url), make, busy_seconds=busy_seconds)
    else:
        raise Misconfigured(
            "JALI_LEDGER_URL is no URL of a ledger",
            value=without_password(url),
            limit="sqlite:////absolute/path or postgresql://user@host/database",
            next_step="Set it to one of these, or unset it for JALI_HOME/ledger.db.",
        )
    if not path.is_absolute():
        raise Misconfigured(
            "JALI_LEDGER_URL is not an absolute path, and would be another ledger in every folder",
            value=url,
            limit="sqlite:////absolute/path, with four slashes",
            next_step="Write the whole path.",
        )
    from components.privacy.sqlite import Sqlite

    return Sqlite(path, make, busy_seconds=busy_seconds)


def without_password(url: str) -> str:
    """Return `url` as it may be shown."""
    return re.sub(r"(password=)[^&\s]*", r"\1***", re.sub(r"//([^/@:]*):[^@]*@", r"//\1:***@", url))


def _gone(where: str, known: str) -> Callable[[], Row]:
    def refuse() -> Row:
        raise ContractBroken(
            "The ledger that was charged from this JALI_HOME is gone, and a new one would be a second budget over "
            "the same people",
            value=f"nothing at {without_password(where)}",
            limit=f"ledger {known[:12]}",
            next_step="Restore it from its backup, or set JALI_LEDGER_URL to where it lies; "
            "other people may have another JALI_HOME.",
        )

    return refuse
