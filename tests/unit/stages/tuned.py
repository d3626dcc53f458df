"""Workspaces in which the toy service is searched."""

from __future__ import annotations

from typing import Any

import mlflow

from components.data.collect import Collected
from components.stages import searching
from components.stages import split as split_stage
from components.stages import tuning as stage
from components.stages.run import Run
from tests.unit.stages.conftest import but

GRID = {"linear": {"scale": [0.5, 1.0, 2.0]}, "deep": {"scale": [1.0, 3.0]}}


def asking(run: Run, **tune: Any) -> Run:
    return but(run, tuning={"grids": {"toy": GRID}, **tune})


def of_people(prepared: Run) -> Run:
    """Return the workspace as one of people's rows, divided."""
    Collected(source="shop", public=False, start=None, end=None, blocks=("2024Q1",), digest_keyed="a" * 64).write(
        prepared.data / "raw" / "collected.json"
    )
    split_stage.split(prepared)
    return asking(prepared)


def rows(run: Run) -> list[tuple[str, str]]:
    entries = run.ledger().entries()
    return [(e.body["release"]["mechanism"], e.body["release"]["split"]) for e in entries if e.verb == "reserve"]


def logged(run: Run, search: stage.Search) -> list[Any]:
    client = mlflow.MlflowClient(run.settings.mlflow_uri)
    where = client.get_run(search.tracked).info.experiment_id
    return list(client.search_runs([where], f"tags.`mlflow.parentRunId` = '{search.tracked}'"))


def searched(run: Run, trials: float | None = None) -> stage.Tuned:
    return searching.search(run, stage.asked(run, "toy", trials))
