"""Start a deployment of the local Prefect server from outside a flow."""

from __future__ import annotations

from components.core.errors import Unavailable


def start_promotion(request: str) -> str:
    """Start the flow that carries out the decision over `request`, and return the flow run's name.

    Raises:
        Unavailable: the Prefect server does not answer, or has no such deployment; the decision is recorded.
    """
    import httpx
    from prefect.deployments import run_deployment
    from prefect.exceptions import PrefectException

    try:
        run = run_deployment("deploy/decided", parameters={"request": request}, timeout=0)
    except (httpx.HTTPError, PrefectException, RuntimeError, ValueError) as error:
        raise Unavailable(
            "The decision is signed and recorded, but the flow that promotes could not be started",
            value=type(error).__name__,
            next_step="Run `jali up` and the same command with --here, or start the deployment deploy/decided by hand.",
        ) from error
    return str(run.name)
