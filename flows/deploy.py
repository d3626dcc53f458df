"""Carry out a decision: make the approved version champion, and see serving answer with it."""

from typing import Annotated

from prefect import flow
from pydantic import Field

from components.stages import promotion
from flows import artifacts
from flows.tasks import step, verdicts


@flow(name="deploy", description="Make an approved version champion and wait until serving answers with it.")
@verdicts
def deploy(request: Annotated[str, Field(description="Digest of the approved request.")]) -> int:
    """Return the version. Run again, or after it was killed, it ends in the same state."""
    champion = step(promotion.promote)(request)
    step(promotion.await_serving)(champion.service, champion.version)
    artifacts.of_champion(champion)
    return champion.version
