"""Versions in MLflow's model registry: a bundle and its evidence go in, and are found again.

A version's tags say where it comes from; what they say is believed only where a digest or a signature confirms it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from components.core import digest
from components.core.errors import ContractBroken, GateNotMet, Refused
from components.core.service import Service
from components.core.settings import Settings
from components.privacy.anchors import anchor_now
from components.privacy.store import Store
from components.registry import anchors
from components.registry import identities as keys
from components.registry.card import model_card
from components.registry.evidence import VersionEvidence
from components.registry.statement_copy import log_statement, statement_tags
from components.registry.store import answering, prepare_store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHALLENGER, CHAMPION = "challenger", "champion"
_SCRIPT = Path(__file__).with_name("bundle_model.py")


def registered_name(service: str) -> str:
    """Return the name of a service's model in MLflow."""
    return f"jali-{service}"


def register(
    settings: Settings, service: Service, evidence: VersionEvidence, bundle: Path, run_id: str, data: Mapping[str, str]
) -> int:
    """Register `bundle` as the challenger and return its version; the same bundle and verdict are registered once.

    Args:
        evidence: the whole chain; it is kept at home, and so is the bundle, for serving.
        run_id: the candidate's run in MLflow.
        data: DVC's hash by path of what it was trained on; `jali data get` brings that back.

    Raises:
        GateNotMet: the verdict did not pass.
        Refused: it is a ceiling, or no candidate of the service.
        ApprovalInvalid: the training request is not signed by an author whom the reviewed file knows.
        ContractBroken: the bundle is not the one that was judged, or the ledger was changed.
    """
    client = prepare_store(settings)
    with answering(settings):
        _require_registrable(client, service, evidence, bundle, run_id)
    keys.verify(evidence.training, evidence.training.author, keys.load(settings.identities))
    tags = {anchors.TAG: anchor_now(settings.home, settings.ledger_url)}
    tags |= {f"dvc.{path}": md5 for path, md5 in data.items()}
    evidence.keep(settings.home)
    Store(settings.home / "store").keep(bundle)
    with answering(settings):
        number = _registered(client, service, evidence) or _new_version(client, service, evidence, bundle, run_id, tags)
        challenge(settings, service.name, number)
    return number


def challenge(settings: Settings, service: str, version: int) -> None:
    """Move the alias `challenger`; it has no effect on what is served, so nobody need approve it."""
    client = prepare_store(settings)
    with answering(settings):
        client.set_registered_model_alias(registered_name(service), CHALLENGER, str(version))


def alias(settings: Settings, service: str, name: str) -> int | None:
    """Return the version that an alias points to in MLflow, or None."""
    from mlflow.exceptions import MlflowException

    client = prepare_store(settings)
    with answering(settings):
        try:
            return int(client.get_model_version_by_alias(registered_name(service), name).version)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise


def evidence_of(settings: Settings, service: str, version: int) -> VersionEvidence:
    """Return the evidence of a version from the home's records, by the verdict that its tag names.

    Raises:
        Refused: there is no such version.
        ContractBroken: a record is missing or was changed.
    """
    return VersionEvidence.find(settings.home, _tags(settings, service, version).get("jali.verdict", "none"))


def data_of(settings: Settings, service: str, version: int) -> dict[str, str]:
    """Return DVC's hash by path of the dataset that a version was trained on.

    Raises:
        Refused: there is no such version.
    """
    tags = _tags(settings, service, version)
    return {name.removeprefix("dvc."): value for name, value in tags.items() if name.startswith("dvc.")}


def version_of(settings: Settings, service: str, version: int) -> ModelVersion:
    """Return a version as MLflow holds it; its tags are believed only where a digest or a signature confirms them.

    Raises:
        Refused: there is no such version.
    """
    from mlflow.exceptions import MlflowException

    client = prepare_store(settings)
    with answering(settings):
        try:
            return client.get_model_version(registered_name(service), str(version))
        except MlflowException as error:
            raise Refused(
                f"There is no such version of {service}",
                value=version,
                next_step="Run `jali promote status` to see which there are.",
            ) from error


def require_copy(settings: Settings, service: str, version: int, bundle: str) -> None:
    """Check that MLflow's copy of a version's bundle has the digest `bundle`, byte for byte.

    Raises:
        ContractBroken: it was changed, or is gone.
    """
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        with answering(settings):
            model = Path(download_artifacts(artifact_uri=f"models:/{registered_name(service)}/{version}"))
        found = [digest.of_path(path) for path in (model / "artifacts").iterdir() if path.is_dir()]
    except (MlflowException, OSError):
        found = []
    if found != [bundle]:
        raise ContractBroken(
            f"MLflow's copy of version {version} of {service} is not the bundle that was registered",
            value=", ".join(name[:12] for name in found) or "no bundle",
            limit=bundle[:12],
            next_step="Restore MLflow's artifacts, or register the bundle again.",
        )


def _require_registrable(
    client: MlflowClient, service: Service, evidence: VersionEvidence, bundle: Path, run_id: str
) -> None:
    verdict = evidence.verdict
    kind = client.get_run(run_id).data.tags.get("jali.kind")
    if kind == "ceiling" or verdict.candidate not in service.candidates:
        raise Refused(
            "A model without privacy can be compared, never registered",
            value=verdict.candidate,
            limit=", ".join(service.candidates),
            next_step="Register one of the service's candidates.",
        )
    if not verdict.passed or verdict.service != service.name:
        failed = ", ".join(gate.gate for gate in verdict.gates if not gate.passed)
        raise GateNotMet(
            f"Only a version of {service.name} that passed every gate is registered",
            value=f"{verdict.candidate} of {verdict.service} failed {failed or 'none'}",
            limit="all gates passed",
            next_step="Read the gate table, and train again or review the gates.",
        )
    if (found := digest.of_path(bundle)) != verdict.bundle:
        raise ContractBroken(
            f"The bundle {bundle} is not the one that was judged",
            value=found[:12],
            limit=verdict.bundle[:12],
            next_step="Run the gate on this bundle.",
        )


def _registered(client: MlflowClient, service: Service, evidence: VersionEvidence) -> int | None:
    for version in client.search_model_versions(f"name = '{registered_name(service.name)}'"):
        tags = version.tags
        if (tags.get("jali.bundle"), tags.get("jali.verdict")) == (evidence.verdict.bundle, evidence.verdict.digest):
            return int(version.version)
    return None


def _new_version(
    client: MlflowClient,
    service: Service,
    evidence: VersionEvidence,
    bundle: Path,
    run_id: str,
    tags: dict[str, str],
) -> int:
    import mlflow
    from mlflow.exceptions import MlflowException

    with mlflow.start_run(run_id=run_id, log_system_metrics=False):
        logged = mlflow.pyfunc.log_model(
            name=evidence.verdict.candidate,
            python_model=str(_SCRIPT),
            artifacts={"bundle": str(bundle.resolve())},
            model_config={"service": service.name, "bundle": evidence.verdict.bundle},
            input_example=[dict(service.example)],
            # None: a package called jali on a public index would be somebody else's. Who loads this has the code.
            pip_requirements=[],
        )
    name = registered_name(service.name)
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    created = client.create_model_version(
        name,
        source=logged.model_uri,
        run_id=run_id,
        model_id=logged.model_id,
        tags=_version_tags(evidence) | tags,
        description=model_card(evidence),
    )
    log_statement(client, run_id, service.name, int(created.version), evidence)
    return int(created.version)


def _version_tags(evidence: VersionEvidence) -> dict[str, str]:
    verdict, statement, dataset = evidence.verdict, evidence.statement, evidence.dataset
    tags = {
        "bundle": verdict.bundle,
        "verdict": verdict.digest,
        "statement": statement.digest,
        "epsilon": f"{statement.epsilon:.6g}",
        "delta": f"{statement.delta:.6g}",
        **statement_tags(statement),
        "data_digest": dataset.digest_keyed,
        "request": evidence.training.digest,
        "author": evidence.training.author,
        "source": dataset.source,
        "candidate": verdict.candidate,
        "personal": str(verdict.personal).lower(),
    }
    return {f"jali.{key}": value for key, value in tags.items()}


def _tags(settings: Settings, service: str, version: int) -> dict[str, str]:
    return dict(version_of(settings, service, version).tags)
