"""From a source to a versioned dataset."""

from datetime import datetime

from prefect import flow

from components.core.records import Dataset
from components.stages import workspace
from flows import artifacts
from flows.names import run_name
from flows.tasks import step, verdicts


@flow(
    name="dataset",
    flow_run_name=run_name,
    description="Collect, check, prepare and split a source's window, versioned by DVC.",
)
@verdicts
def dataset(source: str | None = None, start: datetime | None = None, end: datetime | None = None) -> Dataset:
    """A window that was processed is not processed again; one whose rows have changed is refused.

    Args:
        source: A source of params.yaml; None takes the one that it chooses.
        start: First moment of the window; None takes that of params.yaml.
        end: First moment after the window; None takes that of params.yaml.
    """
    run = step(workspace.open_workspace)(source, start, end)
    made = step(workspace.version)(run)
    artifacts.of_dataset(run, made)
    return made
