"""Errors on the wire: problem details (RFC 9457) with one clear sentence each."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"

_ECHOED = 80
_ANY = "(…)"
_FINITE = "Input should be a finite number"
_BOUNDS = frozenset({"greater_than", "greater_than_equal", "less_than", "less_than_equal", "multiple_of"})
_QUOTING = frozenset({"union_tag_invalid"})  # its message has the value in it


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
        detail = f"This path does not take that method; it takes {allowed}."
    elif error.status_code == HTTPStatus.BAD_REQUEST:
        detail = "The body cannot be read; send a JSON object in UTF-8."
    return response(error.status_code, detail, headers=dict(error.headers or {}))


async def on_invalid_request(request: Request, error: RequestValidationError) -> ProblemResponse:
    """Answer a request that is not JSON (400) or not of the service's shape (422).

    The message holds the service's own names and limits, and a value only where a number is out of its bounds: what
    somebody bought, or asked, stays out of messages, which clients tend to log. An unknown name is such a text too: in
    a query whose "&" was not encoded it is a half of the question.
    """
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return response(HTTPStatus.BAD_REQUEST, f"The body is not JSON: {first['ctx']['error']}. Send a JSON object.")
    route = getattr(request.scope.get("route"), "path", "")
    known, nested = getattr(request.app.state, "fields", {}).get(route, ((), frozenset()))
    within, *path = first["loc"]  # the first part is "body" or "query"
    parts = [str(part) if isinstance(part, int) or part in nested else _ANY for part in path]
    if first["type"] == "extra_forbidden":
        parts.pop()
    field = ".".join(parts)
    return response(
        HTTPStatus.UNPROCESSABLE_ENTITY, _sentence(field, within == "query", first, known), field=field or None
    )


def fields_of(request: type[BaseModel]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the names of a request's fields, and with them those of the models within it: what a problem may name."""
    schema = request.model_json_schema()
    models = [schema, *schema.get("$defs", {}).values()]
    return tuple(schema["properties"]), frozenset(name for model in models for name in model.get("properties", {}))


def not_finite(path: Sequence[str | int], *, query: bool) -> RequestValidationError:
    """Return the error of a request with NaN or an infinity at `path`; JSON has neither, but parsers take them."""
    error = {"type": "finite_number", "loc": ("query" if query else "body", *path), "msg": _FINITE, "input": None}
    return RequestValidationError([error])


def _sentence(field: str, query: bool, error: dict[str, Any], known: Sequence[str]) -> str:
    kind, limits = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        where = f" in {field}" if field else ""
        takes = "see /openapi.json for those there are" if field else f"those there are: {', '.join(known)}"
        return f"There is an unknown field{where}; remove it, {takes}."
    if not field and not query:
        return "The body must be one JSON object, sent with the header Content-Type: application/json."
    subject = f"The field {field}" if field else "The query"
    if kind == "missing":
        return f"{subject} is missing; add it."
    if kind == "too_long":
        return f"{subject} has {limits['actual_length']} entries; send at most {limits['max_length']}."
    value, reason = error["input"], _lower_first(error["msg"])
    if kind in _QUOTING:
        reason = "see /openapi.json for what it may be"
    bounded = kind in _BOUNDS and isinstance(value, int | float) and not isinstance(value, bool)
    return f"{subject} {f'is {str(value)[:_ECHOED]}' if bounded else 'is not valid'}; {reason}."


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


HANDLERS: dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]] = {
    HTTPException: on_http_exception,
    RequestValidationError: on_invalid_request,
}
