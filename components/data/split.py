"""Train, validation and test by a hash of the user, never by row.

The hash is of the pseudonym, which is keyed with the shop's secret; it knows nothing of the window, so the same user
falls into the same split for ever and the splits' privacy accounts compose in parallel.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from components.core import digest
from components.core.errors import ContractBroken
from components.core.files import atomic_path
from components.core.params import Split
from components.core.private import Private
from components.core.progress import Progress, no_progress
from components.core.records import SPLITS
from components.data import backend
from components.data.tables import ACTIVITY, INTERACTIONS, PREPARED_MESSAGES, SHARES, write_table

PRIVATE = {
    "interactions": (INTERACTIONS, ("user", "item", "block")),
    "activity": (ACTIVITY, tuple(ACTIVITY.names)),
    "messages": (PREPARED_MESSAGES, ("user", "ts", "message")),
}
"""Tables of people that prepare leaves, each with its schema and the order of its rows."""
PUBLIC = ("items", "ads", "calendar")
"""Tables that prepare leaves and that are public. `split` puts one of its own beside them: `shares`, of the users."""

_SALT = "jali/split/v1|"
_DIGITS = 8


def split_of(user: ir.StringValue, shares: Split) -> ir.StringValue:
    """Return the split of `user` as an Ibis expression.

    The first 32 bits of the hash are compared as hex text, which orders as numbers do and is the same everywhere.
    """
    lot = (ibis.literal(_SALT) + user).hexdigest("sha256").substr(0, _DIGITS)
    train, validation = _threshold(shares.train), _threshold(shares.train + shares.validation)
    return ibis.ifelse(lot < train, "train", ibis.ifelse(lot < validation, "validation", "test"))


def split(
    prepared: Path,
    shares: Split,
    out: Path,
    *,
    blocks: tuple[str, ...] | None = None,
    progress: Progress = no_progress,
) -> dict[str, Path]:
    """Write a folder of tables for train, validation and test, and one of what is public, into the folder `out`.

    A user is in the same split in every table. Each table of `prepared` (`PRIVATE`) is divided into disjoint ones that
    together hold every row of it, in its order. Return the folders by split.

    Args:
        prepared: what `prepare` and `activity.extend` wrote.
        shares: of the users.
        out: the folder, replaced.
        blocks: only rows of these calendar blocks; by default of all.
        progress: called with the splits that are written.

    Raises:
        ContractBroken: a split is empty; there are too few users to learn from and to test on.
    """
    with atomic_path(out) as part:
        (part / "public").mkdir(parents=True)
        for name in PUBLIC:
            if (table := prepared / f"{name}.parquet").exists():
                shutil.copyfile(table, part / "public" / table.name)
        told = pa.table({"split": SPLITS, "share": [getattr(shares, which) for which in SPLITS]})
        write_table(part / "public" / "shares.parquet", SHARES, [told])
        with backend.duckdb(part) as connection:
            tables = {
                name: connection.read_parquet(prepared / f"{name}.parquet")
                for name in PRIVATE
                if (prepared / f"{name}.parquet").exists()
            }
            for done, which in enumerate(SPLITS):
                progress(done, len(SPLITS))
                (part / which).mkdir()
                written = 0
                for name, rows in tables.items():
                    schema, order = PRIVATE[name]
                    mine = rows if blocks is None else rows.filter(rows.block.isin(blocks))
                    mine = mine.filter(split_of(mine.user, shares) == which).order_by(order)
                    written += backend.write(connection, mine, part / which / f"{name}.parquet", schema)
                if not written:
                    raise ContractBroken(
                        f"The {which} split has no user",
                        value="0 users",
                        limit="at least 1",
                        next_step="Widen the window, or its share in params.yaml: split.",
                    )
        progress(len(SPLITS), len(SPLITS))
    return {which: out / which for which in SPLITS}


def private_tables(
    folder: Path, blocks: tuple[str, ...], public: bool, key: bytes, reads: Collection[str]
) -> dict[str, Private[Path]]:
    """Return the folder of each split's tables as a private value that only a release opens.

    What is opened is what was named: a table that changed in between is refused then (`ContractBroken`). It is named by
    the tables that are read, so that the others may change without making those new.

    Args:
        folder: what `split` wrote.
        blocks: the calendar blocks whose rows may be in them (`Collected.blocks`).
        public: the source is declared public.
        key: the key of digests of private data (`digest_key`): their names are published in content keys.
        reads: names of the tables that are read.
    """
    return {which: _private(folder / which, blocks, which, public, key, sorted(reads)) for which in SPLITS}


def _private(
    folder: Path, blocks: tuple[str, ...], which: str, public: bool, key: bytes, reads: list[str]
) -> Private[Path]:
    named = _digest(folder, reads, key)

    def load() -> Path:
        # The account that is charged, and the bundle that is found again, are those of the digest.
        found = _digest(folder, reads, key)
        if found != named:
            raise ContractBroken(
                f"A table in {folder} changed since it was named",
                value=found[:12],
                limit=named[:12],
                next_step="Let the run that makes the data end, then run the same command again.",
            )
        return folder

    return Private(_load=load, digest=named, blocks=blocks, split=which, public=public)


def _digest(folder: Path, reads: list[str], key: bytes) -> str:
    paths = {name: folder / f"{name}.parquet" for name in reads}
    for path in paths.values():
        if not path.is_file():  # the digest of a path that is not there is that of an empty folder
            raise ContractBroken(f"The table {path} is missing", next_step="Run the step that makes it.")
    return digest.keyed(key, digest.of_json({name: digest.of_path(path) for name, path in paths.items()}))


def _threshold(share: float) -> str:
    # A share of 1 lies beyond every hash.
    return f"{min(round(share * 16**_DIGITS), 16**_DIGITS - 1):0{_DIGITS}x}" if share < 1 else "g"
