"""What a training leaves in MLflow: one parent run, and a run for each candidate and each ceiling beside it.

Every run names its metrics, parameters and tags alike, so that ticking them in the UI answers what ε has cost. All
figures are released ones. What only a public source may show (losses, ceilings) is refused for a private one.
A run that was finished is found again by its key; one that was cut off is deleted and written anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from components.core.errors import Refused
from components.core.evidence import Record
from components.core.records import Dataset, Interval, TrainingRequest
from components.core.settings import Settings
from components.registry import runs
from components.registry.store import answering, experiment, prepare_store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_SHARED = ("git_commit", "data_digest", "unit", "service", "source", "public")


@dataclass(frozen=True)
class Training:
    """One training, before it starts.

    Attributes:
        key: the same for the same work, so that a resumed training goes on in its run.
        unit: what the guarantee protects.
        parameters: any tree; it is flattened with dots.
    """

    key: str
    request: TrainingRequest
    dataset: Dataset
    git_commit: str
    started_at: datetime
    parameters: Mapping[str, Any]
    unit: str = "user"


@dataclass(frozen=True)
class CandidateRun:
    """What one candidate left, released figures only.

    Attributes:
        plan: everything that shaped its release.
        metrics: by name, on `split`: the test users where it was tested, else the validation users.
        validation: by name, on the validation users: what the selection saw.
        epsilon_by_step: (step, ε spent so far): one point for a one-shot mechanism.
        losses: by step; public sources only.
    """

    name: str
    personal: bool
    mechanism: str
    epsilon: float
    delta: float
    plan: Mapping[str, Any]
    metrics: Mapping[str, Interval]
    split: str
    validation: Mapping[str, Interval] = field(default_factory=dict)
    epsilon_by_step: Sequence[tuple[int, float]] = ()
    losses: Sequence[float] = ()
    records: Sequence[Record] = ()


@dataclass(frozen=True)
class Outcome:
    """How a training ended: the chosen candidate's figures, so that whole trainings compare as their candidates do."""

    chosen: str
    mechanism: str
    epsilon: float
    delta: float
    split: str
    metrics: Mapping[str, Interval]
    records: Sequence[Record] = ()
    pictures: Sequence[Path] = ()
    summary: str = ""
    """Markdown, shown on the run's page."""


def start_training(settings: Settings, training: Training) -> str:
    """Open the parent run, or find it by the training's key, and return its id."""
    client, where = prepare_store(settings), experiment(settings, training.request.service)
    with answering(settings):
        found = _find(client, where, f"tags.`jali.key` = '{training.key}'")
        if found:
            return str(found.info.run_id)
        dataset, service = training.dataset, training.request.service
        run = client.create_run(
            where,
            run_name=_title(training),
            tags=runs.tags(
                kind="training",
                git_commit=training.git_commit,
                data_digest=dataset.digest_keyed,
                unit=training.unit,
                service=service,
                source=dataset.source,
                public=dataset.public,
                author=training.request.author,
            ),
        )
        run_id = str(run.info.run_id)
        runs.log_parameters(client, run_id, training.parameters)
        runs.log_dataset(client, run_id, dataset)
        runs.log_records(client, run_id, [training.request, dataset])
        runs.set_tags(client, run_id, key=training.key)  # last: a run that was cut off before it is not gone on with
        return run_id


@contextmanager
def measured(settings: Settings, run_id: str, *, every_seconds: float = 2.0) -> Iterator[None]:
    """Log the machine's use (processors, memory, disk, network, GPU) to a run while the block works."""
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    prepare_store(settings)
    monitor: Any = SystemMetricsMonitor(  # type: ignore[no-untyped-call]
        run_id, sampling_interval=every_seconds, resume_logging=True, tracking_uri=settings.mlflow_uri
    )
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()


def log_candidate(settings: Settings, parent: str, candidate: CandidateRun) -> str:
    """Write one candidate's run beneath the training's and return its id.

    Raises:
        Refused: it carries losses and the source is private.
    """
    client = prepare_store(settings)
    with answering(settings):
        training = client.get_run(parent)
        if candidate.losses:
            _require_public(training, "loss curve")
        measured_on = "" if candidate.split == "test" else f" · {candidate.split} users"
        title = f"{candidate.name} · ε={candidate.epsilon:.2g}{measured_on}"
        run_id, finished = _child(client, training, candidate.name, title)
        if finished:
            return run_id
        runs.set_tags(
            client,
            run_id,
            kind="candidate" if candidate.personal else "floor",
            epsilon=candidate.epsilon,
            delta=candidate.delta,
            mechanism=candidate.mechanism,
            split=candidate.split,
        )
        runs.log_parameters(client, run_id, candidate.plan)
        runs.log_intervals(client, run_id, candidate.metrics)
        runs.log_intervals(
            client, run_id, {f"validation_{name}": value for name, value in candidate.validation.items()}
        )
        client.log_metric(run_id, "epsilon", candidate.epsilon)
        runs.log_curve(client, run_id, "epsilon_spent", candidate.epsilon_by_step)
        runs.log_curve(client, run_id, "loss", list(enumerate(candidate.losses, start=1)))
        runs.log_records(client, run_id, candidate.records)
        client.set_terminated(run_id)
        return run_id


def log_ceiling(settings: Settings, parent: str, name: str, metrics: Mapping[str, float]) -> str:
    """Write the run of a model without privacy, for comparison only: its tag keeps it out of the registry.

    Raises:
        Refused: the source is private.
    """
    client = prepare_store(settings)
    with answering(settings):
        training = client.get_run(parent)
        _require_public(training, "ceiling")
        run_id, finished = _child(client, training, f"ceiling: {name}", f"ceiling: {name} (no privacy)")
        if finished:
            return run_id
        runs.set_tags(client, run_id, kind="ceiling", epsilon="none", delta="none", mechanism="none", split="test")
        for metric, value in metrics.items():
            if isfinite(value):
                client.log_metric(run_id, metric, value)
        client.set_terminated(run_id)
        return run_id


def finish_training(settings: Settings, parent: str, outcome: Outcome) -> None:
    """Close the parent run with the chosen candidate's figures, the records and the pictures."""
    client = prepare_store(settings)
    with answering(settings):
        if client.get_run(parent).info.status == "FINISHED":
            return
        runs.set_tags(
            client,
            parent,
            candidate=outcome.chosen,
            epsilon=outcome.epsilon,
            delta=outcome.delta,
            mechanism=outcome.mechanism,
            split=outcome.split,
        )
        if outcome.summary:
            client.set_tag(parent, "mlflow.note.content", outcome.summary)
        runs.log_intervals(client, parent, outcome.metrics)
        client.log_metric(parent, "epsilon", outcome.epsilon)
        runs.log_records(client, parent, outcome.records)
        for picture in outcome.pictures:
            client.log_artifact(parent, str(picture), "plots")
        client.set_terminated(parent)


def comparison(settings: Settings, parent: str) -> str:
    """Return the page of this machine's MLflow UI that shows a training's candidates and ceilings side by side."""
    client = prepare_store(settings)
    with answering(settings):
        where = str(client.get_run(parent).info.experiment_id)
        beneath = client.search_runs([where], f"tags.`mlflow.parentRunId` = '{parent}'", order_by=["start_time ASC"])
    listed = [str(run.info.run_id) for run in beneath]
    query = urlencode({"runs": json.dumps(listed), "experiments": json.dumps([where])}, quote_via=quote)
    return f"http://127.0.0.1:{settings.mlflow_port}/#/compare-runs?{query}&workflowType=machine_learning"


def _title(training: Training) -> str:
    asked = training.request
    started = f"{training.started_at:%Y-%m-%d %H:%M}"
    return f"{asked.service} · {training.dataset.source} · ε={asked.epsilon:g} · {started}"


def _child(client: MlflowClient, training: Run, candidate: str, name: str) -> tuple[str, bool]:
    where, parent = training.info.experiment_id, training.info.run_id
    query = f"tags.`mlflow.parentRunId` = '{parent}' and tags.`jali.candidate` = '{candidate}'"
    found = _find(client, where, query)
    if found and found.info.status == "FINISHED":
        return str(found.info.run_id), True
    if found:
        client.delete_run(found.info.run_id)
    shared = {f"jali.{key}": training.data.tags[f"jali.{key}"] for key in _SHARED}
    tags = {**shared, "mlflow.parentRunId": parent, "jali.candidate": candidate}
    run_id = str(client.create_run(where, run_name=name, tags=tags).info.run_id)
    for given in training.inputs.dataset_inputs if training.inputs else []:
        client.log_inputs(run_id, datasets=[given])
    return run_id, False


def _find(client: MlflowClient, where: str, query: str) -> Run | None:
    return next(iter(client.search_runs([where], query, max_results=1)), None)


def _require_public(training: Run, what: str) -> None:
    if training.data.tags["jali.public"] != "true":
        raise Refused(
            f"A {what} is not shown for a private source",
            value=training.data.tags["jali.source"],
            limit="sources with public: true",
            next_step="Keep it in the trusted zone; log only what was released.",
        )
