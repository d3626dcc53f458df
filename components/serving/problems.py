"""Errors on the wire: problem details (RFC 9457) with one clear sentence each."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"

_ECHOED = 80


class Problem(BaseModel):
    """Problem details (RFC 9457, section 3.1); `type` is about:blank, so `title` is the status in words."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = Field(description="What was found, what is allowed and what to do, in one sentence.")
    field: str | None = Field(None, description="The part of the request that it is about, where there is one.")


class ProblemResponse(JSONResponse):
    """A response whose body is one `Problem`."""

    media_type = MEDIA_TYPE


def response(
    status: int, detail: str, *, field: str | None = None, headers: dict[str, str] | None = None
) -> ProblemResponse:
    """Return the response that says `detail`."""
    problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, field=field)
    return ProblemResponse(problem.model_dump(exclude_none=True), status_code=status, headers=headers)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that may answer with these problems, for its OpenAPI description."""
    schema = {"content": {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}}
    return {status: {"description": HTTPStatus(status).phrase, **schema} for status in statuses}


async def on_http_exception(request: Request, error: HTTPException) -> ProblemResponse:
    """Answer an unknown path or method, or a body that is not text."""
    detail = str(error.detail)
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail = "There is nothing at this path; /docs and /openapi.json say what there is."
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "another method")
        detail = f"This path does not take {request.method}; it takes {allowed}."
    elif error.status_code == HTTPStatus.BAD_REQUEST:
        detail = "The body cannot be read; send a JSON object in UTF-8."
    return response(error.status_code, detail, headers=dict(error.headers or {}))


async def on_invalid_request(_: Request, error: RequestValidationError) -> ProblemResponse:
    """Answer a request that is not JSON (400) or not of the service's shape (422).

    The message holds names and limits, and a value only where it is a number: what somebody bought stays out of
    messages, which clients tend to log.
    """
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return response(HTTPStatus.BAD_REQUEST, f"The body is not JSON: {first['ctx']['error']}. Send a JSON object.")
    field = _printable(".".join(str(part) for part in first["loc"][1:]))  # the first part is "body"
    return response(HTTPStatus.UNPROCESSABLE_ENTITY, _sentence(field, first), field=field or None)


def _sentence(field: str, error: dict[str, Any]) -> str:
    if not field:
        return "The body must be one JSON object, sent with the header Content-Type: application/json."
    kind, limits = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return f"The field {field} is unknown; remove it, or see /openapi.json for the fields there are."
    if kind == "missing":
        return f"The field {field} is missing; add it."
    if kind == "too_long":
        return f"The field {field} has {limits['actual_length']} entries; send at most {limits['max_length']}."
    value = error["input"]
    found = (
        f"is {_printable(str(value))}"
        if isinstance(value, int | float) and not isinstance(value, bool)
        else "is not valid"
    )
    return f"The field {field} {found}; {_lower_first(error['msg'])}."


def _printable(text: str) -> str:
    # A client chooses the names of its unknown fields, half a UTF-16 pair or a megabyte of text included.
    return text[:_ECHOED].encode(errors="replace").decode()


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


HANDLERS: dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]] = {
    HTTPException: on_http_exception,
    RequestValidationError: on_invalid_request,
}
