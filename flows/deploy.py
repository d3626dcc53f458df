"""Carry out a decision: make the approved version champion, and see serving answer with it."""

from prefect import flow

from components.stages import promotion
from flows import artifacts
from flows.names import run_name
from flows.tasks import step, verdicts


@flow(
    name="deploy",
    flow_run_name=run_name,
    description="Make an approved version champion and wait until serving answers with it.",
)
@verdicts
def deploy(request: str) -> int:
    """Return the version. Run again, or after it was killed, it ends in the same state.

    Args:
        request: Digest of the approved request.
    """
    champion = step(promotion.promote)(request)
    step(promotion.await_serving)(champion.service, champion.version)
    artifacts.of_champion(champion)
    return champion.version
