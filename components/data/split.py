"""Train, validation and test by a hash of the user, never by row.

The hash is of the pseudonym, which is keyed with the shop's secret; it knows nothing of the window, so the same user
falls into the same split for ever and the splits' privacy accounts compose in parallel.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import ibis
import ibis.expr.types as ir

from components.core import digest
from components.core.errors import ContractBroken
from components.core.files import atomic_path
from components.core.params import Split
from components.core.private import Private
from components.core.progress import Progress, no_progress
from components.core.records import SPLITS
from components.data import backend
from components.data.tables import INTERACTIONS

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
    """Write train, validation and test.parquet and the items into the folder `out`; return the tables by split.

    The tables are disjoint by user and together hold every row of `prepared`, in its order.

    Args:
        prepared: what `prepare` wrote.
        shares: of the users.
        out: the folder, replaced.
        blocks: only rows of these calendar blocks; by default of all.
        progress: called with the splits that are written.

    Raises:
        ContractBroken: a split is empty; there are too few users to learn from and to test on.
    """
    with atomic_path(out) as part:
        part.mkdir()
        shutil.copyfile(prepared / "items.parquet", part / "items.parquet")
        with backend.duckdb(part) as connection:
            rows = connection.read_parquet(prepared / "interactions.parquet")
            rows = rows if blocks is None else rows.filter(rows.block.isin(blocks))
            for done, name in enumerate(SPLITS):
                progress(done, len(SPLITS))
                mine = rows.filter(split_of(rows.user, shares) == name).order_by("user", "item", "block")
                if not backend.write(connection, mine, part / f"{name}.parquet", INTERACTIONS):
                    raise ContractBroken(
                        f"The {name} split has no user",
                        value="0 users",
                        limit="at least 1",
                        next_step="Widen the window, or its share in params.yaml: split.",
                    )
        progress(len(SPLITS), len(SPLITS))
    return {name: out / f"{name}.parquet" for name in SPLITS}


def private_tables(folder: Path, blocks: tuple[str, ...], public: bool, key: bytes) -> dict[str, Private[Path]]:
    """Return the split tables in `folder` as private values that only a release opens.

    One that is opened is the one that was named: a file that changed in between is refused then (`ContractBroken`).

    Args:
        folder: what `split` wrote.
        blocks: the calendar blocks whose rows may be in them (`Collected.blocks`).
        public: the source is declared public.
        key: the key of digests of private data (`digest_key`): their names are published in content keys.
    """
    return {name: _private(folder / f"{name}.parquet", blocks, name, public, key) for name in SPLITS}


def _private(path: Path, blocks: tuple[str, ...], name: str, public: bool, key: bytes) -> Private[Path]:
    named = _digest(path, key)

    def load() -> Path:
        # The account that is charged, and the bundle that is found again, are those of the digest.
        found = _digest(path, key)
        if found != named:
            raise ContractBroken(
                f"The table {path} changed since it was named",
                value=found[:12],
                limit=named[:12],
                next_step="Let the run that makes the data end, then run the same command again.",
            )
        return path

    return Private(_load=load, digest=named, blocks=blocks, split=name, public=public)


def _digest(path: Path, key: bytes) -> str:
    if not path.is_file():  # the digest of a path that is not there is that of an empty folder
        raise ContractBroken(f"The table {path} is missing", next_step="Run the step that makes it.")
    return digest.keyed(key, digest.of_path(path))


def _threshold(share: float) -> str:
    # A share of 1 lies beyond every hash.
    return f"{min(round(share * 16**_DIGITS), 16**_DIGITS - 1):0{_DIGITS}x}" if share < 1 else "g"
