"""What a search for parameters leaves in MLflow: one run, and below it one for each trial of a public source.

Of people's rows nothing but the best trial is released, and not how many there were: such a search has one run below
it, that of the best, and a trial is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from math import isfinite
from typing import Any

from components.core.errors import Refused
from components.core.evidence import Record
from components.core.records import Dataset
from components.core.settings import Settings
from components.registry import runs
from components.registry.store import answering, experiment, prepare_store

_SHARED = ("git_commit", "data_digest", "unit", "service", "source", "public")


def start_search(
    settings: Settings,
    *,
    service: str,
    dataset: Dataset,
    epsilon: float | None,
    git_commit: str,
    started_at: datetime,
    parameters: Mapping[str, Any],
    unit: str = "user",
) -> str:
    """Open the run of a search and return its id.

    Args:
        epsilon: what the train users are charged; None where it is free.
        parameters: any tree; it is flattened with dots.
    """
    client, where = prepare_store(settings), experiment(settings, service)
    price = "free" if epsilon is None else f"ε={epsilon:g}"
    with answering(settings):
        run = client.create_run(
            where,
            run_name=f"tune {service} · {dataset.source} · {price} · {started_at:%Y-%m-%d %H:%M}",
            tags=runs.tags(
                kind="search",
                git_commit=git_commit,
                data_digest=dataset.digest_keyed,
                unit=unit,
                service=service,
                source=dataset.source,
                public=dataset.public,
            ),
        )
        run_id = str(run.info.run_id)
        runs.log_parameters(client, run_id, parameters)
        runs.log_dataset(client, run_id, dataset)
        return run_id


def log_trial(
    settings: Settings,
    parent: str,
    *,
    number: int,
    candidate: str,
    changes: Mapping[str, Any],
    metric: str,
    score: float,
    seconds: float,
) -> str:
    """Write one trial's run below the search's and return its id.

    Raises:
        Refused: the source is private; its trials are told to nobody.
    """
    client = prepare_store(settings)
    with answering(settings):
        search = client.get_run(parent)
        if search.data.tags["jali.public"] != "true":
            raise Refused(
                "A trial on people's rows is told to nobody but as the best of all",
                value=search.data.tags["jali.source"],
                limit="sources with public: true",
                next_step="Log the best of the search alone.",
            )
        run_id = _child(client, search, "trial", f"trial {number}: {candidate}", candidate, changes)
        _metric(client, run_id, metric, score)
        _metric(client, run_id, "seconds", seconds)
        client.set_terminated(run_id)
        return run_id


def finish_search(
    settings: Settings,
    parent: str,
    *,
    record: Record,
    candidate: str,
    changes: Mapping[str, Any],
    metric: str,
    score: float | None,
    epsilon: float | None,
    delta: float | None,
) -> None:
    """Close a search's run with what it found; where it was charged, with the best trial's run below it."""
    client = prepare_store(settings)
    with answering(settings):
        search = client.get_run(parent)
        if search.info.status == "FINISHED":
            return
        charged = search.data.tags["jali.public"] != "true"
        told = {"candidate": candidate or "none", "epsilon": epsilon, "delta": delta, "split": "validation"}
        runs.set_tags(client, parent, **{key: "none" if value is None else value for key, value in told.items()})
        runs.log_records(client, parent, [record])
        for run_id in [parent, *([_child(client, search, "best", "best", candidate, changes)] if charged else [])]:
            if score is not None:
                _metric(client, run_id, metric, score)
            if epsilon is not None:
                client.log_metric(run_id, "epsilon", epsilon)
            client.set_terminated(run_id)


def _child(client: Any, search: Any, kind: str, name: str, candidate: str, changes: Mapping[str, Any]) -> str:
    shared = {f"jali.{key}": search.data.tags[f"jali.{key}"] for key in _SHARED}
    tags = {**shared, **runs.tags(kind=kind, candidate=candidate or "none"), "mlflow.parentRunId": search.info.run_id}
    run_id = str(client.create_run(search.info.experiment_id, run_name=name, tags=tags).info.run_id)
    runs.log_parameters(client, run_id, {"candidate": candidate, **changes})
    return run_id


def _metric(client: Any, run_id: str, name: str, value: float) -> None:
    if isfinite(value):
        client.log_metric(run_id, name.replace("@", "_at_"), value)
