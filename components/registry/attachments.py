"""Files that are learnt about a version after it was registered; its evidence and its digests stay what they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from components.core.settings import Settings
from components.registry.models import registered_name
from components.registry.store import answering, prepare_store

_PARENT, _NOTE = "mlflow.parentRunId", "mlflow.note.content"


def attach(settings: Settings, service: str, version: int, *, title: str, report: str, files: Sequence[Path]) -> None:
    """Put `files` among the plots of the version's training in MLflow, and `report` at the end of its summary.

    Args:
        title: the heading that `report` opens with; what was attached under it before goes.

    Raises:
        Unavailable: MLflow's store does not answer.
    """
    client = prepare_store(settings)
    with answering(settings):
        found = client.get_model_version(registered_name(service), str(version))
        run = client.get_run(str(found.run_id))
        for run_id in filter(None, (run.info.run_id, run.data.tags.get(_PARENT))):
            for path in files:
                client.log_artifact(run_id, str(path), "plots")
            before = client.get_run(run_id).data.tags.get(_NOTE, "").split(title)[0].rstrip()
            client.set_tag(run_id, _NOTE, f"{before}\n\n{report}".lstrip())
