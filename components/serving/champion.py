"""Who the champion is: what serving asks, and the answer it gets, without a tracking server at request time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from components.core.records import PrivacyStatement


@dataclass(frozen=True)
class Champion:
    """An approved version and where its bundle lies.

    Attributes:
        service, version: which version of which service.
        bundle: the stored folder; nothing in it has been trusted yet.
        bundle_digest: what the approver signed (`digest.of_path` of the folder).
        statement: what is promised about the version.
        author, approver: who asked for the training, and the second person who let it go.
        since: when it became the champion.
    """

    service: str
    version: int
    bundle: Path
    bundle_digest: str
    statement: PrivacyStatement
    author: str
    approver: str
    since: datetime


class ChampionSource(Protocol):
    """Where champions come from."""

    def revision(self) -> str:
        """Return a text that differs after any promotion or rollback; cheap enough to ask every second."""
        ...

    def current(self, service: str) -> Champion | None:
        """Return the champion of `service` with its approval verified, or None where none was ever promoted.

        Raises:
            ApprovalInvalid: somebody or something moved the champion without a valid approval.
            Unavailable: the history cannot be read just now.
        """
        ...
