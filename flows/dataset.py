"""From a source to a versioned dataset."""

from datetime import datetime
from typing import Annotated

from prefect import flow
from pydantic import Field

from components.core.records import Dataset
from components.stages import workspace
from flows import artifacts
from flows.tasks import step, verdicts

SourceName = Annotated[str | None, Field(description="A source of params.yaml; empty takes the one that it chooses.")]


@flow(name="dataset", description="Collect, check, prepare and split a source's window, versioned by DVC.")
@verdicts
def dataset(
    source: SourceName = None,
    start: Annotated[datetime | None, Field(description="First moment of the window; empty is params.yaml's.")] = None,
    end: Annotated[datetime | None, Field(description="First moment after it; empty is params.yaml's.")] = None,
) -> Dataset:
    """A window that was processed is not processed again; one whose rows have changed is refused."""
    run = step(workspace.open_workspace)(source, start, end)
    made = step(workspace.version)(run)
    artifacts.of_dataset(run, made)
    return made
