"""What a training leaves in MLflow: a run for each candidate and each ceiling, below the training's own."""

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
from components.stages import gate, train
from components.stages.budget import Budget
from components.stages.dataset import dataset_of
from components.stages.evaluate import ceilings_of, evaluation_of
from components.stages.request import request_of, training_key
from components.stages.run import Run

if TYPE_CHECKING:
    from components.registry.tracking import CandidateRun

T = TypeVar("T")


class Logged(Record):
    """Where a training is in MLflow: its own run, and that of the candidate the verdict is on."""

    kind: ClassVar[str] = "logged"
    training: str
    candidate: str


def open_tracking(run: Run, name: str) -> str:
    """Open the training's run in MLflow, or find it, and return its id."""
    from components.registry import tracking

    asked = request_of(run, name)
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


def train_measured(run: Run, name: str, tracked: str, progress: Progress = no_progress) -> tuple[Trained, ...]:
    """Train every candidate while the run `tracked` records what the machine does."""
    from components.registry import tracking

    with tracking.measured(run.settings, tracked):
        return train.train(run, name, progress)


def log_training(run: Run, name: str, tracked: str, progress: Progress = no_progress) -> Logged:
    """Write each candidate and each ceiling below the run `tracked`, and the outcome into it."""
    from components.registry import tracking

    verdict, statement = gate.verdict_of(run, name), gate.statement_of(run, name)
    evaluation = evaluation_of(run, name, verdict.candidate)
    budget = Budget.read(run.evidence(name, "train") / "budget.json")
    candidates, ceilings, runs = _candidates(run, name, budget, evaluation), ceilings_of(run, name), dict[str, str]()
    for candidate in candidates:
        runs[candidate.name] = tracking.log_candidate(run.settings, tracked, candidate)
        progress(len(runs), len(candidates) + len(ceilings))
    for done, (ceiling, metrics) in enumerate(ceilings.items(), start=len(runs) + 1):
        tracking.log_ceiling(run.settings, tracked, ceiling, _named(metrics))
        progress(done, len(candidates) + len(ceilings))
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


def git_commit(root: Path) -> str:
    """Return the commit of the checkout, with "+" where files differ from it, or "none" outside git."""
    commit = _git(root, "rev-parse", "HEAD")
    return commit + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "") if commit else "none"


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


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
                # A run without a figure is NaN in MLflow's comparison, and a test figure of it was never released.
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
    path = train.telemetry(run, name, trained.key) / "loss.json"
    return json.loads(path.read_text()) if dataset.public and path.exists() else []
