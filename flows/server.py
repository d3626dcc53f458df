"""The local Prefect server, as a command sees it: where it does not answer, that is one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from components.core import settings
from components.core.errors import Unavailable


@contextmanager
def answering() -> Iterator[None]:
    """Turn an outage of the Prefect server, at the start of a flow or in the middle of it, into `Unavailable`.

    What was done is kept by the ledger, the records and DVC, not by Prefect: no step is lost with the server.
    """
    import httpx

    try:
        yield
    except (httpx.TransportError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not str(error).startswith("Failed to reach API"):
            raise
        raise Unavailable(
            "The Prefect server does not answer",
            value=settings.load().prefect_url,
            next_step="Run `jali up` and the same command again: it goes on from the last finished step.",
        ) from error
