"""The registry's own copy of a version's privacy statement: tags, the record, the document and the page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from components.core.errors import ContractBroken
from components.core.records import PrivacyStatement
from components.core.settings import Settings
from components.registry.evidence import VersionEvidence
from components.registry.store import answering

if TYPE_CHECKING:
    from mlflow import MlflowClient


def statement_tags(stated: PrivacyStatement) -> dict[str, str]:
    """Return what a version's tags say of its promise, so that versions compare by it."""
    audited = stated.audited
    bounds = {"audit_bound": audited.epsilon_lower_bound, "audit_ceiling": audited.epsilon_ceiling} if audited else {}
    return {
        "unit": stated.unit,
        "lifetime": stated.lifetime,
        "mechanism": stated.mechanism,
        "ledger": stated.ledger,
        "audit": stated.audit,
        **{name: f"{figure:.6g}" for name, figure in bounds.items() if figure is not None},
    }


def log_statement(client: MlflowClient, run_id: str, service: str, version: int, evidence: VersionEvidence) -> None:
    """Keep the statement with the version's run: the record, the document for programs, and the page for people."""
    from components.privacy.statement_page import as_html
    from components.registry.statements import of_evidence

    stated, document = evidence.statement, of_evidence(service, version, evidence)
    record = {"kind": stated.kind, "digest": stated.digest, "body": stated.body()}
    client.log_dict(run_id, record, _path(version, "record.json"))
    client.log_dict(run_id, document.model_dump(mode="json"), _path(version, "statement.json"))
    client.log_text(run_id, as_html(document), _path(version, "statement.html"))


def stored_statement(settings: Settings, run_id: str, version: int) -> PrivacyStatement:
    """Return the statement from that copy, for whoever has no home with the evidence.

    Raises:
        ContractBroken: there is none, or it was changed.
    """
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        with answering(settings):
            copy = download_artifacts(run_id=run_id, artifact_path=_path(version, "record.json"))
    except (MlflowException, OSError) as error:
        raise ContractBroken(
            f"MLflow holds no privacy statement of version {version}",
            value=f"run {run_id[:12]}",
            next_step="Ask on a machine that holds the evidence (JALI_HOME), or register the version again.",
        ) from error
    return PrivacyStatement.read(Path(copy))


def _path(version: int, name: str) -> str:
    return f"statement/version-{version}/{name}"
