"""What a promotion needs: a request, and a decision by a second person over exactly what that request names.

Both are signed records. A request binds the version to its evidence; a decision repeats every bound field, so that it
means the same thing to whoever reads it alone.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import AwareDatetime, Field

from components.core.errors import ApprovalInvalid
from components.core.evidence import Record
from components.registry import identities as keys
from components.registry.identities import Identities

if TYPE_CHECKING:
    from components.registry.evidence import VersionEvidence
    from components.registry.history import History

BOUND = ("service", "version", "sequence", "previous_champion", "model", "evidence")
"""What a decision repeats from its request."""

DEMONSTRATION = "demo-"
"""How the names of demonstration keys begin. Both lie on one machine: they are nobody's."""


class PromotionRequest(Record):
    """Somebody asks that a version become the champion of its service."""

    kind: ClassVar[str] = "promotion-request"
    service: str
    version: int = Field(ge=1)
    sequence: int = Field(ge=1)
    """The number that the move will have in the service's history: an approval is good for one move only."""
    previous_champion: int | None
    model: str
    """Digest of the bundle."""
    evidence: str
    """Digest of the verdict, which names all other evidence."""
    author: str
    """Whose key signed the training request."""
    requested_by: str
    requested_at: AwareDatetime
    signature: str = ""


class Decision(Record):
    """A second person says yes or no to one request."""

    kind: ClassVar[str] = "promotion-decision"
    outcome: Literal["approve", "reject"]
    request: str
    """Digest of the request, its signature included."""
    service: str
    version: int
    sequence: int
    previous_champion: int | None
    model: str
    evidence: str
    reason: str = Field(min_length=1)
    expires_at: AwareDatetime
    """Until when the promotion may be done; serving does not expire."""
    approver: str
    decided_at: AwareDatetime
    ledger_head: str = ""
    """The ledger's last row when it was decided (`privacy.anchors`): a ledger that is cut later is found out by it."""
    signature: str = ""


def require_signed(
    decision: Decision, request: PromotionRequest, evidence: VersionEvidence, identities: Identities
) -> None:
    """Check all of an approval that does not depend on time: it holds when promoting and whenever serving loads.

    The author is read from the training request that the verdict names, never from what the requester claims.
    Neither the author nor the requester may approve, under whatever name their key is listed.

    Raises:
        ApprovalInvalid: an unknown person, a signature or field that does not fit, other evidence or another model,
            a rejection, or an approver who is not a second person.
    """
    training, verdict = evidence.training, evidence.verdict
    keys.verify(training, training.author, identities)
    keys.verify(request, request.requested_by, identities)
    keys.verify(decision, decision.approver, identities)
    require_same("the request", decision.request, request.digest)
    for field in BOUND:
        require_same(field.replace("_", " "), getattr(decision, field), getattr(request, field))
    require_same("the service", request.service, verdict.service)
    require_same("the model's digest", request.model, verdict.bundle)
    require_same("the evidence's digest", request.evidence, verdict.digest)
    require_same("the training request", verdict.request, training.digest)
    require_same("the author", request.author, training.author)
    if not evidence.dataset.public and decision.approver.startswith(DEMONSTRATION):
        raise ApprovalInvalid(
            "A demonstration key does not approve what was trained on a private source",
            value=decision.approver,
            limit="a person's own key",
            next_step="Make one with `jali keys new NAME`; take the demonstration's names out of the reviewed file.",
        )
    for person in (request.author, request.requested_by):
        if identities[person] == identities[decision.approver]:
            raise ApprovalInvalid(
                "The author of a version, or who asks for its promotion, cannot approve it",
                value=decision.approver if decision.approver == person else f"{decision.approver} with {person}'s key",
                limit=f"anybody but {' and '.join(dict.fromkeys((request.author, request.requested_by)))}",
                next_step="Ask a second person.",
            )
    if decision.outcome != "approve" or not verdict.passed:
        raise ApprovalInvalid(
            f"Version {request.version} of {request.service} was not approved",
            value=f"{decision.outcome} by {decision.approver}: {decision.reason}" if verdict.passed else "failed gates",
            next_step="Train another version, or ask again.",
        )


def require_current(request: PromotionRequest, history: History) -> None:
    """Check that a request still speaks of the service's next move.

    Raises:
        ApprovalInvalid: it was used already, or the champion moved meanwhile.
    """
    standing = history.champion(request.service)
    found = (request.sequence, request.previous_champion)
    limit = (history.sequence(request.service) + 1, standing.version if standing else None)
    if found != limit:
        raise ApprovalInvalid(
            f"The champion of {request.service} moved after version {request.version} was asked for",
            value=f"move {found[0]} from champion {found[1]}",
            limit=f"move {limit[0]} from champion {limit[1]}",
            next_step=f"Run `jali promote request {request.service}` again.",
        )


def require_valid(
    decision: Decision,
    request: PromotionRequest,
    evidence: VersionEvidence,
    identities: Identities,
    history: History,
    now: datetime,
) -> None:
    """Check that `decision` allows the promotion that `request` asks for, at the time `now`.

    Raises:
        ApprovalInvalid: as `require_signed` and `require_current`, or the approval has expired.
    """
    require_signed(decision, request, evidence, identities)
    require_current(request, history)
    if now > decision.expires_at:
        raise ApprovalInvalid(
            f"The approval of version {request.version} of {request.service} has expired",
            value=now.isoformat(timespec="minutes"),
            limit=decision.expires_at.isoformat(timespec="minutes"),
            next_step=f"Run `jali promote request {request.service}` again.",
        )


def require_same(what: str, found: object, limit: object) -> None:
    """Check one bound field.

    Raises:
        ApprovalInvalid: it differs from what was signed.
    """
    if found != limit:
        raise ApprovalInvalid(
            f"The approval does not fit: {what} differs",
            value=found,
            limit=limit,
            next_step="Ask for the promotion again and have that request approved.",
        )
