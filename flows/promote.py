"""Ask for a promotion. No worker waits for the answer: the decision starts the flow that promotes."""

from typing import Annotated

from prefect import flow
from prefect.states import Completed, State
from pydantic import Field

from components.stages import promotion
from flows import artifacts
from flows.names import run_name
from flows.tasks import step, verdicts


@flow(name="promote", flow_run_name=run_name, description="Ask for the promotion of a version, and end.")
@verdicts
def promote(
    service: str = "recommend", version: Annotated[int, Field(ge=1)] | None = None, by: str = "scheduler"
) -> str | State[None]:
    """Return the digest of the request, which an approval signs.

    Args:
        service: A service of params.yaml.
        version: The version of jali-<service> to promote; None takes the challenger.
        by: Whose key on this machine signs the request; that person may not approve it.
    """
    request = step(promotion.request_promotion)(service, version, by)
    if request is None:
        return Completed(message=f"That version of {service} is champion already")
    artifacts.of_request(request)
    return request.digest
