"""Where the promotions of a service stand, for people and for scripts."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from components.core.settings import Settings
from components.registry import models
from components.registry.approvals import Decision, PromotionRequest
from components.registry.champions import ApprovedChampions
from components.registry.history import History, Promotion, Rollback


class Waiting(BaseModel):
    """The newest request, while it may still lead to a promotion or waits for somebody."""

    model_config = ConfigDict(frozen=True)
    request: str
    version: int
    requested_by: str
    author: str
    state: Literal["undecided", "approved", "expired", "rejected", "void", "promoted"]


class Status(BaseModel):
    """One service's standing."""

    model_config = ConfigDict(frozen=True)
    service: str
    champion: int | None
    since: datetime | None
    author: str | None
    approver: str | None
    alias: int | None
    """What MLflow's alias `champion` says; anything but `champion` was not approved."""
    challenger: int | None
    request: Waiting | None
    moves: tuple[str, ...]
    """Who moved what when, oldest first."""


def status(settings: Settings, service: str, *, now: datetime) -> Status:
    """Return where `service` stands.

    Raises:
        ApprovalInvalid, ContractBroken: the champion's approval does not hold.
    """
    history = History(settings.home)
    champion = ApprovedChampions(settings.home, settings.identities).current(service)
    return Status(
        service=service,
        champion=champion.version if champion else None,
        since=champion.since if champion else None,
        author=champion.author if champion else None,
        approver=champion.approver if champion else None,
        alias=models.alias(settings, service, models.CHAMPION),
        challenger=models.alias(settings, service, models.CHALLENGER),
        request=_waiting(history, service, now),
        moves=tuple(_said(entry) for entry in history.entries(service)),
    )


def _waiting(history: History, service: str, now: datetime) -> Waiting | None:
    asked = history.last_request(service)
    if asked is None:
        return None
    return Waiting(
        request=asked.digest,
        version=asked.version,
        requested_by=asked.requested_by,
        author=asked.author,
        state=_state(history, asked, now),
    )


def _state(history: History, asked: PromotionRequest, now: datetime) -> Any:
    decision = history.decision(asked.digest)
    if history.promotion(asked.digest):
        return "promoted"
    if decision and decision.outcome == "reject":
        return "rejected"
    if asked.sequence != history.sequence(asked.service) + 1:
        return "void"
    if decision:
        return "expired" if now > decision.expires_at else "approved"
    return "undecided"


def _said(entry: PromotionRequest | Decision | Promotion | Rollback) -> str:
    match entry:
        case PromotionRequest():
            when, what = entry.requested_at, f"{entry.requested_by} asked for version {entry.version}"
        case Decision():
            verb = "approved" if entry.outcome == "approve" else "rejected"
            when, what = entry.decided_at, f"{entry.approver} {verb} version {entry.version}: {entry.reason}"
        case Promotion():
            when, what = (
                entry.moved_at,
                f"version {entry.version} became champion after {entry.previous_champion or 'none'}",
            )
        case Rollback():
            what = f"{entry.rolled_back_by} went back from version {entry.previous_champion} to {entry.version}"
            when, what = entry.moved_at, f"{what}: {entry.reason}"
    return f"{when:%Y-%m-%d %H:%M} {what}"
