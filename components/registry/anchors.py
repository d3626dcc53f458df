"""Where heads of the ledger were kept: on every version in MLflow, and in every signed decision of the history."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from components.core.errors import ContractBroken
from components.core.settings import Settings
from components.privacy.anchors import Anchor
from components.registry.approvals import Decision
from components.registry.history import History
from components.registry.store import answering, prepare_store

TAG = "jali.ledger_head"


@dataclass(frozen=True)
class Kept:
    """An anchor and who keeps it."""

    where: str
    anchor: Anchor


def kept(settings: Settings, genesis: str) -> tuple[list[Kept], list[Kept]]:
    """Return the anchors of the ledger with this `genesis`, and those of other ledgers on versions in the same MLflow.

    Raises:
        ContractBroken: a decision in this home was signed over another ledger: the home has one for ever.
        Unavailable: MLflow or the history does not answer.
    """
    decided = [
        Kept(f"decision on version {entry.version} of {entry.service}", Anchor.parse(entry.ledger_head))
        for entry in History(settings.home).entries()
        if isinstance(entry, Decision) and entry.ledger_head
    ]
    strange = [one for one in decided if one.anchor.genesis != genesis]
    if strange:
        raise ContractBroken(
            f"The {strange[0].where} was made over another ledger than this JALI_HOME's",
            value=f"genesis {genesis[:12]}",
            limit=f"genesis {strange[0].anchor.genesis[:12]}",
            next_step="Restore the ledger from its backup; until then nothing may be released.",
        )
    versions = _on_versions(settings)
    return (
        [*decided, *(one for one in versions if one.anchor.genesis == genesis)],
        [one for one in versions if one.anchor.genesis != genesis],
    )


def _on_versions(settings: Settings) -> list[Kept]:
    local = settings.mlflow_uri.removeprefix("sqlite:///")
    if local != settings.mlflow_uri and not Path(local).exists():
        return []  # nothing was ever registered, and asking would make the database
    client = prepare_store(settings)
    with answering(settings):
        found = client.search_model_versions("name LIKE 'jali-%'")
    return [
        Kept(f"version {one.version} of {one.name.removeprefix('jali-')}", Anchor.parse(one.tags[TAG]))
        for one in found
        if one.tags.get(TAG)
    ]
