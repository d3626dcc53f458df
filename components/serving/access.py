"""What may come in, and what is written down about it.

A history of purchases, a question or a message is personal data: it passes through memory and is answered, never
written. The access log holds the method, the route, the status and the time; no body, no query, no address, no path
that no route matches and no method that is none. An error that nobody expected is named by its type alone, since its
text and trace may quote the request; uvicorn would write down both.
"""

from __future__ import annotations

import logging
import time
from http import HTTPMethod, HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from components.serving import problems

logger = logging.getLogger("jali.serving.access")

BODY_LIMIT = 256 * 1024
"""Bytes of a request's body; a history of 1,000 items with long names is a third of it."""

QUERY_LIMIT = 8 * 1024
"""Bytes of a request's query; proxies commonly take no longer address."""

_METHODS = frozenset(HTTPMethod)


class QueryLimit:
    """Refuse an address whose query is longer than `limit` bytes (414)."""

    def __init__(self, app: ASGIApp, limit: int = QUERY_LIMIT) -> None:
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is short enough."""
        if scope["type"] != "http" or len(scope["query_string"]) <= self._limit:
            await self._app(scope, receive, send)
            return
        refusal = problems.response(
            HTTPStatus.REQUEST_URI_TOO_LONG, f"The query is longer than {self._limit:,} bytes; send a shorter one."
        )
        await refusal(scope, receive, send)


class BodyLimit:
    """Refuse a body that is longer than `limit` bytes (413), whether it announces its length or not."""

    def __init__(self, app: ASGIApp, limit: int = BODY_LIMIT) -> None:
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body up to the limit, then hand it on whole."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        body = None if announced.isdigit() and int(announced) > self._limit else await self._read(receive)
        if body is None:
            # The rest of the body is never read, so the connection cannot carry another request.
            refusal = problems.response(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"The body is longer than {self._limit:,} bytes; send a shorter one.",
                headers={"Connection": "close"},
            )
            await refusal(scope, receive, send)
            return
        whole = [body]

        async def replay() -> Message:
            return whole.pop() if whole else await receive()

        await self._app(scope, replay, send)

    async def _read(self, receive: Receive) -> Message | None:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return message
            body += message.get("body", b"")
            if len(body) > self._limit:
                return None
            if not message.get("more_body", False):
                return {"type": "http.request", "body": bytes(body), "more_body": False}


class AccessLog:
    """Write one line a request to the logger `jali.serving.access`, and let no error past that would be quoted."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and note how it ended."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, start = 0, time.perf_counter()

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note)
        except Exception as error:
            logger.error("%s failed unexpectedly: %s", _route(scope), type(error).__name__)
            if not status:
                refusal = problems.response(
                    HTTPStatus.INTERNAL_SERVER_ERROR, "The request failed; report it, it will fail again."
                )
                await refusal(scope, receive, note)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "(no method)"
            milliseconds = 1000 * (time.perf_counter() - start)
            logger.info("%s %s %d %.1f ms", method, _route(scope), status, milliseconds)


def _route(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", "(no route)"))
