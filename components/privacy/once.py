"""What is released once is found again: a mechanism runs only where its settled output is not there."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from components.core.errors import ContractBroken
from components.core.private import Private
from components.privacy.opened import Settled
from components.privacy.release import Event, Release

if TYPE_CHECKING:
    from components.privacy.ledger import Ledger

T = TypeVar("T")


def once(
    ledger: Ledger,
    release: Release,
    key: str,
    of: Private[T],
    mechanism: Callable[[T, Callable[[int], None], Path], Event],
) -> Settled:
    """Return the settled release of `key` with its output; only where there is none, run `mechanism` and charge it.

    Args:
        mechanism: `(value, intend, out) -> event`: writes its output into the folder `out`, says what really ran.
    """
    done = ledger.settled(key)
    if done is not None and done.folder is not None:
        return done
    try:
        with ledger.release(release, key=key, of=of) as opened, tempfile.TemporaryDirectory() as scratch:
            out = Path(scratch) / "output"
            out.mkdir()
            opened.ran(mechanism(opened.value, opened.intend, out))
            return opened.keep(out)
    except ContractBroken:
        done = ledger.settled(key)  # another process may have settled it since we looked
        if done is not None and done.folder is not None:
            return done
        raise
