"""Where MLflow keeps runs and versions: one explicit URI, made once, quiet on the console."""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from components.core.errors import Misconfigured, Unavailable
from components.core.settings import Settings, silence_telemetry

if TYPE_CHECKING:
    from mlflow import MlflowClient

_TALKATIVE = ("mlflow", "alembic")


def prepare_store(settings: Settings) -> MlflowClient:
    """Make MLflow's database and artifact folder where they are missing, point MLflow at them, and return a client.

    The migration runs under a file lock: two processes that make one SQLite database at the same time break it.

    Raises:
        Misconfigured: `mlruns/` holds runs of MLflow's old file store, which flips its default back.
        Unavailable: the database or the tracking server does not answer.
    """
    silence_telemetry()
    runs = settings.artifacts.parent
    _refuse_leftovers(runs)
    import mlflow

    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    mlflow.set_tracking_uri(settings.mlflow_uri)
    mlflow.set_registry_uri(settings.mlflow_uri)
    with answering(settings), _locked(runs / ".lock"):
        client = mlflow.MlflowClient(tracking_uri=settings.mlflow_uri, registry_uri=settings.mlflow_uri)
        client.search_experiments(max_results=1)
    return client


def experiment(settings: Settings, service: str) -> str:
    """Return the id of the experiment of `service`, made where it is missing: its trainings lie in one comparison."""
    client = prepare_store(settings)
    with answering(settings), _locked(settings.artifacts.parent / ".lock"):
        found = client.get_experiment_by_name(service)
        if found is not None:
            return str(found.experiment_id)
        # A tracking server keeps artifacts where its operator said; a local database has no such place of its own.
        remote = settings.mlflow_uri.startswith(("http://", "https://"))
        location = None if remote else (settings.artifacts / service).as_uri()
        # So that the UI opens it as model training; by default it shows the tools for language models.
        kind = {"mlflow.experimentKind": "custom_model_development"}
        return str(client.create_experiment(service, artifact_location=location, tags=kind))


@contextmanager
def answering(settings: Settings) -> Iterator[None]:
    """Turn an outage of MLflow's store into `Unavailable`, and leave its other errors as they are."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import ConnectionError as NotReached
    from sqlalchemy.exc import OperationalError

    try:
        yield
    except (MlflowException, OperationalError, NotReached) as error:
        if isinstance(error, MlflowException) and not _is_outage(error):
            raise
        raise Unavailable(
            f"MLflow's store does not answer: {str(error).splitlines()[0][:200]}",
            value=settings.mlflow_uri,
            next_step="Run the same command again; if it stays, see JALI_MLFLOW_URI.",
        ) from error


def _is_outage(error: BaseException) -> bool:
    code = str(getattr(error, "error_code", ""))
    return code == "TEMPORARILY_UNAVAILABLE" or "OperationalError" in str(error) or "Max retries" in str(error)


def _refuse_leftovers(runs: Path) -> None:
    leftover = next((path for path in sorted(runs.glob("*/meta.yaml")) if path.parent.name.isdigit()), None)
    if leftover:
        raise Misconfigured(
            f"{leftover.parent} holds runs of MLflow's old file store, which would make every tool read that instead",
            value=leftover,
            limit="mlflow.db and artifacts/",
            next_step=f"Move that folder out of {runs}; the database does not know what is in it.",
        )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
