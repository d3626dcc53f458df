"""Ask for a promotion. No worker waits for the answer: the decision starts the flow that promotes."""

from typing import Annotated

from prefect import flow
from pydantic import Field

from components.stages import flow_steps
from flows import artifacts
from flows.tasks import step, verdicts
from flows.train import Service


@flow(name="promote", description="Ask for the promotion of a version, and end.")
@verdicts
def promote(
    service: Service = "recommend",
    version: Annotated[int | None, Field(ge=1, description="Empty is the challenger.")] = None,
    by: Annotated[str, Field(description="Whose key on this machine signs the request.")] = "scheduler",
) -> str:
    """Returns the digest of the request, which an approval signs."""
    request = step(flow_steps.request_promotion)(service, version, by)
    artifacts.of_request(request)
    return request.digest
