"""From a source to a versioned dataset."""

from datetime import datetime

from prefect import flow
from prefect.runtime import flow_run

from components.core.params import Block
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
def dataset(
    source: str | None = None,
    last: Block | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> Dataset:
    """A window that was processed is not processed again; one whose rows have changed is refused.

    Args:
        source: A source of params.yaml; None takes the one that it chooses.
        last: The window is the last whole one of these before the run was due; a late run meets the same one.
        start: First moment of the window; None takes that of params.yaml.
        end: First moment after the window; None takes that of params.yaml.
    """
    run = step(workspace.open_workspace)(source, start, end, last, flow_run.scheduled_start_time)
    try:
        made = step(workspace.version)(run)
    finally:
        artifacts.of_reports(run)
    artifacts.of_dataset(run, made)
    return made
