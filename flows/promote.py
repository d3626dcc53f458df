"""Ask for a promotion. No worker waits for the answer: the decision starts the flow that promotes."""

from typing import Annotated

from prefect import flow
from prefect.states import Completed, State
from pydantic import Field

from components.stages import promotion
from flows import artifacts
from flows.tasks import step, verdicts
from flows.train import Service


@flow(name="promote", description="Ask for the promotion of a version, and end.")
@verdicts
def promote(
    service: Service = "recommend",
    version: Annotated[int | None, Field(ge=1, description="Empty is the challenger.")] = None,
    by: Annotated[str, Field(description="Whose key on this machine signs the request.")] = "scheduler",
) -> str | State[None]:
    """Return the digest of the request, which an approval signs."""
    request = step(promotion.request_promotion)(service, version, by)
    if request is None:
        return Completed(message=f"That version of {service} is champion already")
    artifacts.of_request(request)
    return request.digest
