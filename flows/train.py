"""From a dataset to a registered challenger."""

from typing import Annotated

from prefect import flow
from prefect.concurrency.sync import concurrency
from prefect.states import Completed, State
from pydantic import Field

from components.stages import audit, evaluate, gate, registration, request, tracking, workspace
from flows import artifacts
from flows.names import run_name
from flows.tasks import LEASE_SECONDS, TRAININGS, step, verdicts

Epsilon = Annotated[float, Field(gt=0, le=100)]


@flow(
    name="train",
    flow_run_name=run_name,
    description="Train all candidates under the privacy budget; register the best that passes.",
)
@verdicts
def train(
    service: str = "recommend", source: str | None = None, epsilon: Epsilon | None = None, author: str = "scheduler"
) -> int | State[int]:
    """Return the version. The same training of the same dataset is done once: asked again, it does nothing.

    Args:
        service: A service of params.yaml.
        source: The source whose dataset is trained on; None takes the one that params.yaml chooses.
        epsilon: What the training may spend, ε for each user; None takes that of params.yaml.
        author: Whose key on this machine signs the request; that person may not approve it.
    """
    run = step(workspace.open_training)(source, epsilon)
    known = step(registration.find_version)(run, service)
    if known is not None:
        return Completed(message=f"This dataset was trained on already: version {known} of {service}", data=known)
    with concurrency(TRAININGS, strict=True, lease_duration=LEASE_SECONDS), workspace.alone(run):
        step(request.request_training)(run, service, author)
        tracked = step(tracking.open_tracking)(run, service)
        step(tracking.train_measured)(run, service, tracked)
        step(evaluate.evaluate)(run, service)
        step(audit.audit)(run, service)
        verdict = step(gate.gate)(run, service)
        logged = step(tracking.log_training)(run, service, tracked)
    artifacts.of_training(run, service, logged)
    artifacts.of_budget(run, service)
    step(gate.require_passed)(verdict)
    return step(registration.register)(run, service, logged)
