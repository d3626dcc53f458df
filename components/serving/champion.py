"""Who the champion is: what serving asks, and the answer that it trusts. No tracking server has a part in it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Protocol

from components.core.errors import Misconfigured
from components.core.records import PrivacyStatement
from components.registry import approvals, champions, identities


class Champion(Protocol):
    """An approved version and where its bundle lies; two that are equal need not be loaded twice."""

    @property
    def service(self) -> str:
        """The service's name."""
        ...

    @property
    def version(self) -> int:
        """The registry's version number."""
        ...

    @property
    def bundle(self) -> Path:
        """The stored folder; nothing in it has been trusted yet."""
        ...

    @property
    def bundle_digest(self) -> str:
        """What the approver signed (`digest.of_path` of the folder)."""
        ...

    @property
    def statement(self) -> PrivacyStatement:
        """What is promised about the version."""
        ...

    @property
    def author(self) -> str:
        """Who asked for the training."""
        ...

    @property
    def approver(self) -> str:
        """The second person, who let it go."""
        ...

    @property
    def since(self) -> datetime:
        """When it became the champion, or came back."""
        ...


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

    def verify(self, champion: Champion) -> None:
        """Check that the approval of a champion that `current` once returned still holds.

        Raises:
            ApprovalInvalid: it was withdrawn.
        """
        ...


class ApprovedChampions(champions.ApprovedChampions):
    """Champions as the history at home, the signed decisions and the reviewed file of identities prove them."""

    def verify(self, champion: Champion) -> None:
        """Check the signatures again, by the reviewed file as it is now.

        Raises:
            ApprovalInvalid: a person who signed was taken out of the reviewed file, or has another key.
            Misconfigured: the reviewed file is not there, which withdraws nothing from what is already being served.
        """
        assert isinstance(champion, champions.Champion)  # only these come out of `current`
        if not self.identities.exists():
            raise Misconfigured(
                f"The reviewed file of identities {self.identities} is missing",
                next_step="Restore it, or set JALI_IDENTITIES.",
            )
        people = identities.load(self.identities)
        approvals.require_signed(champion.decision, champion.request, champion.evidence, people)
