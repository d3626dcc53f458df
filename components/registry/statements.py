"""The privacy statement of a version, by alias or number, with what the ledger adds where it is at hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from components.core import params
from components.core import service as services
from components.core.errors import ContractBroken, JaliError, Refused
from components.core.records import PrivacyStatement
from components.core.settings import Settings
from components.privacy.statement_document import LedgerState, Standing, VersionStatement, ledger_state
from components.registry import models
from components.registry.champions import ApprovedChampions, Champion
from components.registry.evidence import VersionEvidence
from components.registry.history import History
from components.registry.statement_copy import stored_statement

ALIASES: tuple[Literal["champion", "challenger"], ...] = ("champion", "challenger")


@dataclass(frozen=True)
class Named:
    """What was asked for: a service, and which of its versions."""

    service: str
    alias: Literal["champion", "challenger"] | None
    version: int | None


def parse(text: str) -> Named:
    """Return what `recommend`, `recommend@champion` or `recommend@3` asks for.

    Raises:
        Misconfigured: there is no such service.
        Refused: there is no such alias.
    """
    service, _, which = text.partition("@")
    services.find(service)
    if which.isdecimal() and int(which) > 0:
        return Named(service, None, int(which))
    for alias in ALIASES:
        if which in ("", alias):
            return Named(service, alias, None)
    raise Refused(
        f"There is no such alias of {service}",
        value=which,
        limit=f"{', '.join(ALIASES)}, or the number of a version",
        next_step=f"Ask for {service}@champion.",
    )


def statement_of(settings: Settings, text: str, *, now: datetime) -> VersionStatement:
    """Return the privacy statement of the version that `text` names.

    The champion is the one that our history and its signatures prove. Evidence comes from the home's records; where
    this machine holds none, from the copy in the registry, which must have the digest that the version's tag names.

    Raises:
        Misconfigured, Refused: there is no such service, alias, version, or no champion yet.
        ApprovalInvalid, ContractBroken: the approval does not hold, or a statement was changed.
    """
    asked = parse(text)
    champion = _champion(settings, asked.service)
    version = asked.version or _version(settings, asked, champion)
    notes = list[str]()
    if champion is not None and champion.version == version:
        document = _from_evidence(asked, version, champion.evidence, champion)
    elif (settings.home / "records").is_dir():
        document = _from_evidence(asked, version, models.evidence_of(settings, asked.service, version), None)
    else:
        document = _from_registry(settings, asked, version)
        notes.append(
            "This machine holds neither the evidence nor the history of promotions: the statement is the registry's "
            "copy, and who approved it was not verified."
        )
    ledger = _ledger(settings, document.privacy, now, notes)
    return document.model_copy(update={"ledger": ledger, "notes": tuple(notes)})


def of_champion(champion: Champion) -> VersionStatement:
    """Return the statement of a champion from its own evidence, without a ledger: what serving shows."""
    return _from_evidence(Named(champion.service, "champion", None), champion.version, champion.evidence, champion)


def of_evidence(service: str, version: int, evidence: VersionEvidence) -> VersionStatement:
    """Return the statement of a version that nobody promoted yet, from its evidence: what the registry keeps."""
    return _from_evidence(Named(service, None, version), version, evidence, None)


def _champion(settings: Settings, service: str) -> Champion | None:
    if not History(settings.home).path.exists():
        return None
    return ApprovedChampions(settings.home, settings.identities).current(service)


def _version(settings: Settings, asked: Named, champion: Champion | None) -> int:
    if asked.alias == "champion" and (champion or History(settings.home).path.exists()):
        found = champion.version if champion else None
    else:
        found = models.alias(settings, asked.service, asked.alias or models.CHAMPION)
    if found is None:
        raise Refused(
            f"{asked.service} has no {asked.alias} yet",
            value="none",
            next_step="See `jali promote status`; ask for a version by its number, as recommend@1.",
        )
    return found


def _from_evidence(
    asked: Named, version: int, evidence: VersionEvidence, champion: Champion | None
) -> VersionStatement:
    verdict, dataset = evidence.verdict, evidence.dataset
    return VersionStatement(
        service=asked.service,
        version=version,
        alias=asked.alias,
        model=verdict.bundle,
        candidate=verdict.candidate,
        personal=verdict.personal,
        source=dataset.source,
        public=dataset.public,
        standing=Standing(
            author=evidence.training.author,
            approver=champion.approver if champion else None,
            champion_since=champion.since if champion else None,
        ),
        statement=evidence.statement.digest,
        verdict=verdict.digest,
        privacy=evidence.statement,
        ledger=None,
        notes=(),
    )


def _from_registry(settings: Settings, asked: Named, version: int) -> VersionStatement:
    found = models.version_of(settings, asked.service, version)
    tags, stated = dict(found.tags), stored_statement(settings, str(found.run_id), version)
    if stated.digest != tags.get("jali.statement"):
        raise ContractBroken(
            f"The statement of version {version} of {asked.service} is not the one that was registered",
            value=stated.digest[:12],
            limit=tags.get("jali.statement", "none")[:12],
            next_step="Restore MLflow's artifacts from their backup, or ask where JALI_HOME is.",
        )
    return VersionStatement(
        service=asked.service,
        version=version,
        alias=asked.alias,
        model=tags.get("jali.bundle", ""),
        candidate=tags.get("jali.candidate"),
        personal=tags.get("jali.personal") == "true" if "jali.personal" in tags else None,
        source=tags.get("jali.source"),
        public=None,
        standing=None,
        statement=stated.digest,
        verdict=tags.get("jali.verdict"),
        privacy=stated,
        ledger=None,
        notes=(),
    )


def _ledger(settings: Settings, stated: PrivacyStatement, now: datetime, notes: list[str]) -> LedgerState | None:
    """Return what the ledger says, or None with a note where there is none, another one, or it does not answer."""
    from components.privacy.ledger import Ledger

    if not (settings.ledger_url or (settings.home / "ledger.db").exists()):
        notes.append("No ledger is at hand, so what the blocks have spent by now is not shown.")
        return None
    privacy = params.load(settings.root / "params.yaml").privacy
    try:
        ledger = Ledger.open(settings.home, privacy.cap, privacy.lifetime_cap, url=settings.ledger_url)
        if ledger.genesis == stated.ledger:
            return ledger_state(ledger, stated, cap=privacy.cap, lifetime_cap=privacy.lifetime_cap, now=now)
    except JaliError as error:
        notes.append(f"The ledger could not be read: {error}")
        return None
    notes.append("The ledger at hand is another than the one that was charged, so it is not shown.")
    return None
