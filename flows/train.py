"""From a dataset to a registered challenger."""

from typing import Annotated

from prefect import flow
from prefect.concurrency.sync import concurrency
from prefect.states import Completed, State
from pydantic import Field

from components.stages import flow_steps
from flows import artifacts
from flows.dataset import SourceName
from flows.setup import TRAININGS
from flows.tasks import step, verdicts

Service = Annotated[str, Field(description="A service of params.yaml.")]
Author = Annotated[str, Field(description="Whose key on this machine signs the request; they may not approve it.")]
Epsilon = Annotated[
    float | None, Field(gt=0, le=100, description="What the training may spend; empty is params.yaml's.")
]


@flow(name="train", description="Train all candidates under the privacy budget; register the best that passes.")
@verdicts
def train(
    service: Service = "recommend", source: SourceName = None, epsilon: Epsilon = None, author: Author = "scheduler"
) -> int | State[int]:
    """Returns the version. The same training of the same dataset is done once: asked again, it does nothing."""
    workspace = step(flow_steps.open_training)(source, epsilon)
    known = step(flow_steps.find_version)(workspace, service)
    if known is not None:
        return Completed(message=f"This dataset was trained on already: version {known} of {service}", data=known)
    with concurrency(TRAININGS):
        step(flow_steps.request_training)(workspace, service, author)
        step(flow_steps.train)(workspace, service)
        step(flow_steps.evaluate)(workspace, service)
        step(flow_steps.audit)(workspace, service)
        verdict = step(flow_steps.gate)(workspace, service)
        run = step(flow_steps.log_training)(workspace, service)
    artifacts.of_training(workspace, service, run)
    step(flow_steps.require_passed)(verdict)
    return step(flow_steps.register)(workspace, service, run)
