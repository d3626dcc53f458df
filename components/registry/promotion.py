"""From a request to a champion and back: each verb verifies, appends to the history, and lets the alias follow.

The history's commit is the moment at which a version becomes champion. MLflow's alias is moved after it, from the
history and nothing else, so that a promotion killed in between is completed by running it again, however late.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from components.core.errors import ApprovalInvalid, Misconfigured, Refused
from components.core.settings import Settings
from components.privacy.anchors import anchor_now
from components.registry import approvals, models
from components.registry import identities as keys
from components.registry.approvals import Decision, PromotionRequest
from components.registry.champions import ApprovedChampions, Champion
from components.registry.history import History, Promotion, Rollback
from components.registry.store import answering, prepare_store


def request(
    settings: Settings, service: str, *, by: str, now: datetime, version: int | None = None
) -> PromotionRequest:
    """Ask, in the name of `by`, that a version (by default the challenger) become the champion.

    A newer request for the service supersedes an older one; asked again while it waits for its decision, the same
    request comes back.

    Raises:
        Refused: there is nothing to ask for.
        ApprovalInvalid: the reviewed file does not know `by`.
    """
    number = version or models.alias(settings, service, models.CHALLENGER)
    if number is None:
        raise Refused(f"{service} has no challenger", next_step="Run a training that passes its gates first.")
    evidence = models.evidence_of(settings, service, number)
    people, history = keys.load(settings.identities), History(settings.home)
    with history.writing() as append:
        standing = history.champion(service)
        if standing and _evidence(history, standing.promotion.request) == evidence.verdict.digest:
            raise Refused(
                f"Version {number} of {service} is the champion already", next_step="Name another version by --version."
            )
        asked = PromotionRequest(
            service=service,
            version=number,
            sequence=history.sequence(service) + 1,
            previous_champion=standing.version if standing else None,
            model=evidence.verdict.bundle,
            evidence=evidence.verdict.digest,
            author=evidence.training.author,
            requested_by=by,
            requested_at=now,
        )
        waiting = history.last_request(service)
        if waiting and not history.decision(waiting.digest) and _asks_the_same(waiting, asked):
            return waiting
        asked = keys.sign(asked, settings.home, by)
        keys.verify(asked, by, people)
        append(asked)
    return asked


def _evidence(history: History, request: str) -> str | None:
    asked = history.request(request)
    return asked.evidence if asked else None


def decide(
    settings: Settings,
    service: str,
    version: int,
    *,
    outcome: Literal["approve", "reject"],
    by: str,
    reason: str,
    now: datetime,
    days: int,
) -> Decision:
    """Sign, in the name of `by`, a decision over the newest request for `service`, and record it.

    Whoever decides says which `version` they read about: a request for another one may have come in meanwhile.

    An approval that could not promote (by the author, say) is refused here and leaves no trace. Anybody in the reviewed
    file may reject, the author too. A request is decided once; who decided it gets the same decision again, so that
    what was cut off after it can be run again.

    Args:
        days: how long an approval may be used.

    Raises:
        ApprovalInvalid: see `approvals.require_valid`; or nothing waits for a decision.
    """
    if not reason.strip():
        raise Misconfigured("A decision needs a reason", next_step="Say why with --reason; it is signed and kept.")
    people, history = keys.load(settings.identities), History(settings.home)
    with history.writing() as append:
        asked = history.last_request(service)
        decided = history.decision(asked.digest) if asked else None
        if decided and (decided.outcome, decided.approver) == (outcome, by):
            return decided
        if asked and asked.version != version:
            raise ApprovalInvalid(
                f"The newest request for {service} is for another version than the one you decide on",
                value=f"version {asked.version}, asked for by {asked.requested_by}",
                limit=f"version {version}",
                next_step="Read about that version, or have yours asked for again.",
            )
        if asked is None or decided:
            raise ApprovalInvalid(
                f"No request for {service} waits for a decision",
                value=f"{decided.outcome} by {decided.approver}" if decided else None,
                next_step=f"Run `jali promote request {service}`.",
            )
        decision = Decision(
            outcome=outcome,
            request=asked.digest,
            **{field: getattr(asked, field) for field in approvals.BOUND},
            reason=reason,
            expires_at=now + timedelta(days=days),
            approver=by,
            decided_at=now,
            ledger_head=anchor_now(settings.home, settings.ledger_url),
        )
        decision = keys.sign(decision, settings.home, by)
        keys.verify(decision, by, people)
        if outcome == "approve":
            evidence = models.evidence_of(settings, service, asked.version)
            approvals.require_valid(decision, asked, evidence, people, history, now)
        append(decision)
    return decision


def promote(settings: Settings, request_digest: str, *, now: datetime) -> Champion:
    """Make the version of an approved request the champion; doing it again, or after a crash, ends in the same state.

    Raises:
        ApprovalInvalid: the request is unknown or undecided, or its approval is not valid.
        ContractBroken: MLflow's copy of the bundle, or the evidence, is not what was approved.
        Unavailable: MLflow or the history does not answer; run it again.
    """
    history = History(settings.home)
    with history.writing() as append:
        asked, decision = history.request(request_digest), history.decision(request_digest)
        if asked is None or decision is None:
            raise ApprovalInvalid(
                "There is no decision over that request",
                value=request_digest[:12],
                next_step="Run `jali promote status`, and have it approved.",
            )
        if history.promotion(request_digest) is None:
            evidence = models.evidence_of(settings, asked.service, asked.version)
            people = keys.load(settings.identities)
            approvals.require_valid(decision, asked, evidence, people, history, now)
            models.require_copy(settings, asked.service, asked.version, asked.model)
            append(
                Promotion(
                    service=asked.service,
                    version=asked.version,
                    sequence=asked.sequence,
                    previous_champion=asked.previous_champion,
                    request=request_digest,
                    moved_at=now,
                )
            )
    return align(settings, asked.service)


def rollback(settings: Settings, service: str, *, by: str, reason: str, now: datetime) -> Champion:
    """Put the previous champion back, in the name of `by`.

    One person is enough. The version that comes back was approved by a second person when it was promoted, and that
    approval is verified again; what an outage at night needs is the last good state, not a colleague who is awake.
    The rollback is signed and recorded; requests that were made before it are void.

    Raises:
        Refused: there is no earlier champion.
        ApprovalInvalid: the reviewed file does not know `by`, or the earlier approval no longer holds.
    """
    history = History(settings.home)
    with history.writing() as append:
        standing, earlier = history.champion(service), history.predecessor(service)
        if standing is None or earlier is None:
            raise Refused(
                f"{service} has no earlier champion to return to",
                value=f"version {standing.version}" if standing else "no champion",
                next_step="Promote another version.",
            )
        back = Rollback(
            service=service,
            version=earlier.version,
            sequence=history.sequence(service) + 1,
            previous_champion=standing.version,
            reason=reason,
            rolled_back_by=by,
            moved_at=now,
        )
        back = keys.sign(back, settings.home, by)
        ApprovedChampions(settings.home, settings.identities).prove(earlier, back)
        append(back)
    return align(settings, service)


def align(settings: Settings, service: str) -> Champion:
    """Point MLflow's alias `champion` to the champion by our history. The only function that moves that alias.

    It takes no version: it demands the approval from the history, and verifies it.

    Raises:
        ApprovalInvalid: nothing was ever promoted, or the approval does not hold.
    """
    client = prepare_store(settings)
    # Under the history's lock, so that a slower process cannot put back the alias that a faster one moved on.
    with History(settings.home).writing():
        champion = _current(settings, service)
        with answering(settings):
            name = models.registered_name(service)
            client.set_registered_model_alias(name, models.CHAMPION, str(champion.version))
    return champion


def champion_of(settings: Settings, service: str) -> Champion:
    """Return the champion, once the history, the signatures, the alias and MLflow's copy of the bundle agree.

    Raises:
        ApprovalInvalid: they disagree on who is champion, or there is none.
        ContractBroken: the bundle's copy is not the one that was approved.
    """
    champion = _current(settings, service)
    found = models.alias(settings, service, models.CHAMPION)
    if found != champion.version:
        raise ApprovalInvalid(
            f"MLflow's alias champion of {service} was moved without an approval, or a promotion was cut off",
            value=f"version {found}",
            limit=f"version {champion.version}, approved by {champion.approver}",
            next_step=f"Find out who moved it; `jali promote align {service}` points it back.",
        )
    models.require_copy(settings, service, champion.version, champion.bundle_digest)
    return champion


def _asks_the_same(one: PromotionRequest, other: PromotionRequest) -> bool:
    apart = {"requested_at", "signature"}
    return one.model_dump(exclude=apart) == other.model_dump(exclude=apart)


def _current(settings: Settings, service: str) -> Champion:
    champion = ApprovedChampions(settings.home, settings.identities).current(service)
    if champion is None:
        raise ApprovalInvalid(
            f"{service} has no champion", next_step=f"Run `jali promote request {service}` and have it approved."
        )
    return champion
