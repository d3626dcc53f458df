"""The version that a training ends in: registered once, and found again."""

from __future__ import annotations

from typing import ClassVar

from components.core.errors import Refused
from components.core.evidence import Record
from components.core.progress import Progress, no_progress
from components.core.records import Audit, Population, Trained
from components.stages import gate
from components.stages.budget import Budget
from components.stages.dataset import data_checks, dataset_of
from components.stages.evaluate import evaluation_of
from components.stages.request import request_of, training_key
from components.stages.run import Run
from components.stages.tracking import Logged


class Registered(Record):
    """A training that ended in a version, so that asking for it again finds it."""

    kind: ClassVar[str] = "registered"
    service: str
    version: int
    verdict: str


def find_version(run: Run, name: str) -> int | None:
    """Return the version that this very training led to, or None where it was not done, or this MLflow lacks it."""
    from components.registry import models

    found = run.records().find(Registered, training_key(run, name))
    if found is None:
        return None
    try:
        evidence = models.evidence_of(run.settings, name, found.version)
    except Refused:
        return None
    return found.version if evidence.verdict.digest == found.verdict else None


def register(run: Run, name: str, logged: Logged, progress: Progress = no_progress) -> int:
    """Register the bundle that the verdict is on as the challenger, and return its version.

    Raises:
        GateNotMet: the verdict did not pass.
    """
    from components.data.versioning import hashes
    from components.registry import models
    from components.registry.evidence import VersionEvidence

    service, verdict = run.service(name)[0], gate.verdict_of(run, name)
    evidence = VersionEvidence(
        dataset=dataset_of(run),
        training=request_of(run, name),
        statement=gate.statement_of(run, name),
        evaluation=evaluation_of(run, name, verdict.candidate),
        verdict=verdict,
    )
    for record in _what_the_verdict_read(run, name, verdict.candidate):
        run.records().keep(record.digest, record)
    progress(1, 2)
    data = {path: md5 for path, md5 in hashes(run.root).items() if path.startswith("data/")}
    bundle = run.models(name) / verdict.candidate
    version = models.register(run.settings, service, evidence, bundle, logged.candidate, data)
    run.records().keep(training_key(run, name), Registered(service=name, version=version, verdict=verdict.digest))
    progress(2, 2)
    return version


def _what_the_verdict_read(run: Run, name: str, candidate: str) -> list[Record]:
    """Return the records that outlive the workspace beside the version's own evidence."""
    trained = run.evidence(name, "train")
    return [
        Trained.read(trained / f"{candidate}.json"),
        Population.read(trained / "population.json"),
        Budget.read(trained / "budget.json"),
        Audit.read(run.evidence(name, "audit") / f"{candidate}.json"),
        *data_checks(run),
    ]
