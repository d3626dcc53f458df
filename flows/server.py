"""The local Prefect server, as a command sees it: where it does not answer, that is one sentence."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from components.core import settings
from components.core.errors import Unavailable

_TALKATIVE = ("prefect.events.clients", "prefect._internal.concurrency")


@contextmanager
def answering() -> Iterator[None]:
    """Turn an outage of the Prefect server, at the start of a flow or in the middle of it, into `Unavailable`.

    Prefect asks again for some minutes before it gives up. What was done is kept by the ledger, the records and DVC,
    not by Prefect, so no step is lost with the server.
    """
    import httpx

    for name in _TALKATIVE:
        logging.getLogger(name).addFilter(_nothing)
    logging.getLogger("prefect.flow_runs").addFilter(_one_line)
    logging.raiseExceptions = False  # or Prefect prints each batch of log lines that it could not deliver
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


def _nothing(record: logging.LogRecord) -> bool:
    """Drop what Prefect says of each event that it could not deliver, every few seconds."""
    return False


def _one_line(record: logging.LogRecord) -> bool:
    """Drop the stack of an outage; it says nothing about this code."""
    import httpx

    if record.exc_info and isinstance(record.exc_info[1], httpx.TransportError):
        record.exc_info = record.exc_text = None
    return True
