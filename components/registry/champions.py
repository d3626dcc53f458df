"""Who is champion by our own history and the signatures, without a tracking server: what serving asks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from components.core.errors import ContractBroken
from components.core.records import PrivacyStatement, Verdict
from components.registry import approvals
from components.registry import identities as keys
from components.registry.approvals import Decision, PromotionRequest
from components.registry.evidence import VersionEvidence
from components.registry.history import History, Promotion, Rollback


@dataclass(frozen=True)
class Champion:
    """A version whose promotion was approved, with all that proves it.

    Attributes:
        service, version: which version of which service.
        bundle: where its folder lies; whoever loads it checks that its digest is `bundle_digest`.
        evidence: from the dataset to the verdict.
        request, decision: who asked for the promotion and who approved it.
        since: when it became the champion, or came back.
    """

    service: str
    version: int
    bundle: Path
    evidence: VersionEvidence
    request: PromotionRequest
    decision: Decision
    since: datetime

    @property
    def bundle_digest(self) -> str:
        """What the approver signed."""
        return self.request.model

    @property
    def verdict(self) -> Verdict:
        """The gates that it passed."""
        return self.evidence.verdict

    @property
    def statement(self) -> PrivacyStatement:
        """What is promised about it."""
        return self.evidence.statement

    @property
    def author(self) -> str:
        """Whose key signed the training request."""
        return self.evidence.training.author

    @property
    def approver(self) -> str:
        """The second person."""
        return self.decision.approver


class ApprovedChampions:
    """Champions as `home` and the reviewed file of identities prove them. Every answer is verified anew."""

    def __init__(self, home: Path, identities: Path) -> None:
        self.home = home
        self.identities = identities
        self.history = History(home)

    def revision(self) -> str:
        """Return a text that differs after any promotion or rollback; cheap enough to ask every second.

        The reviewed file counts too: a name that is taken out of it withdraws what it approved.
        """
        listed = self.identities.stat().st_mtime_ns if self.identities.exists() else 0
        return f"{self.history.revision()}-{listed}"

    def current(self, service: str) -> Champion | None:
        """Return the champion of `service`, or None where nothing was ever promoted.

        Raises:
            ApprovalInvalid: the promotion, or the rollback that brought it back, is not signed as it must be.
            ContractBroken: the history or a record was changed or is missing.
            Unavailable: another process holds the history's lock.
        """
        standing = self.history.champion(service)
        return self.prove(standing.promotion, standing.move) if standing else None

    def prove(self, promotion: Promotion, move: Promotion | Rollback) -> Champion:
        """Return the champion that `promotion` made and `move`, the service's last one, left standing.

        Raises:
            ApprovalInvalid, ContractBroken: as `current`.
        """
        people = keys.load(self.identities)
        request, decision = self.history.request(promotion.request), self.history.decision(promotion.request)
        if request is None or decision is None:
            raise ContractBroken(
                f"The history {self.history.path} lacks the request or the decision for version {promotion.version} of "
                f"{promotion.service}",
                value=promotion.request[:12],
                next_step="Restore the history from its backup.",
            )
        evidence = VersionEvidence.find(self.home, request.evidence)
        approvals.require_signed(decision, request, evidence, people)
        for field in ("service", "version", "sequence", "previous_champion"):
            approvals.require_same(field.replace("_", " "), getattr(promotion, field), getattr(request, field))
        if isinstance(move, Rollback):
            keys.verify(move, move.rolled_back_by, people)
        return Champion(
            service=promotion.service,
            version=promotion.version,
            bundle=self.home / "store" / request.model,
            evidence=evidence,
            request=request,
            decision=decision,
            since=move.moved_at,
        )
