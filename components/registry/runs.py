"""How one MLflow run is written: tags, parameters, metrics with intervals, curves, the dataset and records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import isfinite
from time import time
from typing import TYPE_CHECKING, Any

from components.core.evidence import Record
from components.core.records import Dataset, Interval

if TYPE_CHECKING:
    from mlflow import MlflowClient


def tags(**values: object) -> dict[str, str]:
    """Return the values as MLflow tags under `jali.`."""
    return {
        f"jali.{key}": str(value).lower() if isinstance(value, bool) else str(value) for key, value in values.items()
    }


def set_tags(client: MlflowClient, run_id: str, **values: object) -> None:
    """Set each value as a tag under `jali.`."""
    for key, value in tags(**values).items():
        client.set_tag(run_id, key, value)


def log_parameters(client: MlflowClient, run_id: str, tree: Mapping[str, Any]) -> None:
    """Log a tree as flat parameters; a value beyond MLflow's 6,000 characters is cut."""
    from mlflow.entities import Param

    client.log_batch(run_id, params=[Param(key, value[:6000]) for key, value in flat(tree).items()])


def log_dataset(client: MlflowClient, run_id: str, dataset: Dataset) -> None:
    """Log which dataset was used: its name, window and keyed digest, and none of its data."""
    from mlflow.entities import Dataset as LoggedDataset
    from mlflow.entities import DatasetInput, InputTag

    logged = LoggedDataset(
        name=dataset.source,
        digest=dataset.digest_keyed[:32],  # MLflow holds 36 characters; the whole digest is a tag
        source_type="jali",
        source=json.dumps(dataset.body(), sort_keys=True),
    )
    client.log_inputs(run_id, datasets=[DatasetInput(logged, [InputTag("mlflow.data.context", "training")])])


def log_records(client: MlflowClient, run_id: str, records: Sequence[Record]) -> None:
    """Log records as artifacts, in the form that `Record.read` reads."""
    for number, record in enumerate(records):
        same = [other for other in records[:number] if other.kind == record.kind]
        name = record.kind + (f"-{len(same) + 1}" if same else "")
        client.log_dict(
            run_id, {"kind": record.kind, "digest": record.digest, "body": record.body()}, f"records/{name}.json"
        )


def log_intervals(client: MlflowClient, run_id: str, metrics: Mapping[str, Interval]) -> None:
    """Log each estimate under its name, and its bounds as `_low` and `_high`; what is no number is left out."""
    from mlflow.entities import Metric

    bounds = [
        (name + suffix, value)
        for name, interval in metrics.items()
        for suffix, value in (("", interval.value), ("_low", interval.low), ("_high", interval.high))
    ]
    client.log_batch(run_id, metrics=[Metric(name, value, _now(), 0) for name, value in bounds if isfinite(value)])


def log_curve(client: MlflowClient, run_id: str, name: str, points: Sequence[tuple[int, float]]) -> None:
    """Log (step, value) points of one metric; what is no number is left out."""
    from mlflow.entities import Metric

    for start in range(0, len(points), 1000):  # MLflow's most for one batch
        batch = [Metric(name, value, _now(), step) for step, value in points[start : start + 1000] if isfinite(value)]
        client.log_batch(run_id, metrics=batch)


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return a tree as dotted keys with text values; lists are JSON."""
    leaves: dict[str, str] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            leaves |= flat(value, f"{prefix}{key}.")
        else:
            leaves[f"{prefix}{key}"] = json.dumps(value) if isinstance(value, list | tuple) else str(value)
    return leaves


def _now() -> int:
    return int(time() * 1000)
