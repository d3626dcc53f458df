"""What a training leaves behind: the signed request, the runs to compare, and the registered version."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

from components.core import digest
from components.core.evidence import Record
from components.core.progress import Progress, no_progress
from components.core.records import Audit, Evaluation, Trained
from components.stages import gate, request
from components.stages.budget import Budget
from components.stages.dataset import dataset_of
from components.stages.evaluate import ceilings_of, evaluation_of
from components.stages.run import Run
from components.stages.train import telemetry
from components.stages.train import train as fit

if TYPE_CHECKING:
    from components.registry.tracking import CandidateRun

T = TypeVar("T")


class Registered(Record):
    """A training that ended in a version, so that asking for it again finds it."""

    kind: ClassVar[str] = "registered"
    service: str
    version: int
    verdict: str


class Logged(Record):
    """Where a training is in MLflow: its own run, and that of the candidate the verdict is on."""

    kind: ClassVar[str] = "logged"
    training: str
    candidate: str


def find_version(run: Run, name: str) -> int | None:
    """Return the version that this very training led to, or None where it was not done."""
    found = run.records().find(Registered, training_key(run, name))
    return found.version if found else None


def training_key(run: Run, name: str) -> str:
    """Return the digest of everything that a training's outcome depends on: dataset, parameters and mechanisms."""
    service, params = run.service(name)
    return digest.of_json(
        {
            "dataset": dataset_of(run).digest,
            "params": run.params.model_dump(mode="json", include={"training", "privacy", "gates"}),
            "service": params.model_dump(mode="json"),
            "mechanisms": {key: digest.of_modules(one.modules) for key, one in service.candidates.items()},
        }
    )


def open_tracking(run: Run, name: str) -> str:
    """Open the training's run in MLflow, or find it, and return its id."""
    from components.registry import tracking

    asked = request.request_of(run, name)
    training = tracking.Training(
        key=digest.of_json([training_key(run, name), asked.digest]),
        request=asked,
        dataset=dataset_of(run),
        git_commit=git_commit(run.settings.root),
        started_at=datetime.now(UTC),
        parameters=run.params.model_dump(mode="json", include={"training", "prepare", "split", "gates", "privacy"})
        | {"service": run.service(name)[1].model_dump(mode="json")},
    )
    return tracking.start_training(run.settings, training)


def train(run: Run, name: str, tracked: str, progress: Progress = no_progress) -> tuple[Trained, ...]:
    """Fit every candidate while the run `tracked` records what the machine does."""
    from components.registry import tracking

    with tracking.measured(run.settings, tracked):
        return fit(run, name, progress)


def log_training(run: Run, name: str, tracked: str) -> Logged:
    """Write each candidate, each ceiling and the outcome below and into the run `tracked`."""
    from components.registry import tracking

    verdict, statement = gate.verdict_of(run, name), gate.statement_of(run, name)
    evaluation = evaluation_of(run, name, verdict.candidate)
    budget = Budget.read(run.evidence(name, "train") / "budget.json")
    runs = {
        candidate.name: tracking.log_candidate(run.settings, tracked, candidate)
        for candidate in _candidates(run, name, budget, evaluation)
    }
    for ceiling, metrics in ceilings_of(run, name).items():
        tracking.log_ceiling(run.settings, tracked, ceiling, _named(metrics))
    tracking.finish_training(
        run.settings,
        tracked,
        tracking.Outcome(
            chosen=verdict.candidate,
            mechanism=statement.mechanism,
            epsilon=statement.epsilon,
            delta=statement.delta,
            split="test",
            metrics=_named(evaluation.metrics[verdict.candidate]),
            records=[
                verdict,
                statement,
                evaluation,
                Audit.read(run.evidence(name, "audit") / f"{verdict.candidate}.json"),
            ],
            pictures=sorted(run.plots(name).glob("*.png")),
            summary=gate.summary_of(run, name),
        ),
    )
    return Logged(training=tracked, candidate=runs[verdict.candidate])


def register(run: Run, name: str, logged: Logged) -> int:
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
        training=request.request_of(run, name),
        statement=gate.statement_of(run, name),
        evaluation=evaluation_of(run, name, verdict.candidate),
        verdict=verdict,
    )
    data = {path: md5 for path, md5 in hashes(run.root).items() if path.startswith("data/")}
    bundle = run.models(name) / verdict.candidate
    version = models.register(run.settings, service, evidence, bundle, logged.candidate, data)
    run.records().keep(training_key(run, name), Registered(service=name, version=version, verdict=verdict.digest))
    return version


def git_commit(root: Path) -> str:
    """Return the commit of the checkout, with "+" where files differ from it, or "none" outside git."""
    asked = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty=+"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or "none"


def _candidates(run: Run, name: str, budget: Budget, evaluation: Evaluation) -> list[CandidateRun]:
    from components.registry.tracking import CandidateRun

    validation = Evaluation.read(run.evidence(name, "evaluate") / "validation.json")
    found = []
    for candidate, plan in budget.plans.items():
        tested = candidate in evaluation.metrics
        trained = Trained.read(run.evidence(name, "train") / f"{candidate}.json")
        curve = budget.curve(candidate)
        found.append(
            CandidateRun(
                name=candidate,
                personal=trained.personal,
                mechanism=plan.mechanism,
                epsilon=curve[-1][1],
                delta=budget.delta,
                plan=plan.parameters,
                metrics=_named((evaluation if tested else validation).metrics[candidate]),
                split="test" if tested else "validation",
                validation=_named(validation.metrics[candidate]),
                epsilon_by_step=curve,
                losses=_losses(run, name, trained),
                records=[trained],
            )
        )
    return found


def _named(metrics: Mapping[str, T]) -> dict[str, T]:
    """Return metrics under the names that MLflow takes: `ndcg@100` is `ndcg_at_100`."""
    return {name.replace("@", "_at_"): value for name, value in metrics.items()}


def _losses(run: Run, name: str, trained: Trained) -> list[float]:
    """Return the loss by step where the source is public; a private source's stays where it is."""
    dataset = dataset_of(run)
    path = telemetry(run, name, trained.key) / "loss.json"
    return json.loads(path.read_text()) if dataset.public and path.exists() else []
