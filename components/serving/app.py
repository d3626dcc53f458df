"""The HTTP API: one route a service, and what a person or a load balancer asks about them.

Predictions run in worker threads, not on the event loop: they are CPU work that releases the interpreter lock in
NumPy and torch, and a long one must not keep /healthz or another request waiting. There is one thread a core: more
only make every request slower.

No import of `annotations` from `__future__` here: FastAPI reads the types of a route from its function, and these are
made for each service.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from http import HTTPStatus
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import anyio.to_thread
from fastapi import Body, FastAPI, Query
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel, Field, create_model
from threadpoolctl import threadpool_limits

from components.core.errors import Misconfigured, Unanswerable
from components.core.records import PrivacyStatement
from components.core.service import Service
from components.privacy.statement_document import VersionStatement
from components.privacy.statement_page import as_html
from components.serving import problems
from components.serving.access import AccessLog, BodyLimit, QueryLimit
from components.serving.bundle import Loaded
from components.serving.champion import ChampionSource
from components.serving.promise import promise_of
from components.serving.rollout import POLL_SECONDS, Rollout

logger = logging.getLogger("jali.serving")

_RETRY_AFTER = "5"
_PAGE = Path(__file__).with_name("page.html")
_NOTHING_FROM_ELSEWHERE = {
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
}

_FOR_THE_CLIENT_ALONE = {"Cache-Control": "no-store"}  # an answer to a GET may be kept by any cache on the way


class Health(BaseModel):
    """The process is up."""

    status: str = "ok"


class Readiness(BaseModel):
    """Whether every configured service has an approved champion in memory."""

    ready: bool
    versions: dict[str, int] = Field(description="The version that answers, by service.")
    problems: dict[str, str] = Field(description="Why the current champion of a service is not the one that answers.")


class ServedModel(BaseModel):
    """One version that answers, what is promised about it, and who let it go."""

    service: str
    version: int
    bundle: str = Field(description="SHA-256 of the bundle, verified before it was loaded.")
    author: str
    approver: str
    since: datetime = Field(description="When it became the champion (UTC).")
    privacy: PrivacyStatement


def create(services: Iterable[Service], source: ChampionSource, *, poll_seconds: float = POLL_SECONDS) -> FastAPI:
    """Return the application that serves the champions of `services` and follows them as they change.

    It is up before a model is loaded: /healthz answers at once, /readyz when every service has its champion.

    Raises:
        Misconfigured: a service's route is no plain path under /v1/, or is taken.
    """
    rollout = Rollout(services, source)

    @asynccontextmanager
    async def follow_champions(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = os.cpu_count() or 1
        with threadpool_limits(1):  # a request has its core: threads within it would wait for those of the others
            watcher = asyncio.create_task(rollout.watch(poll_seconds))
            yield
            watcher.cancel()
            with suppress(asyncio.CancelledError):
                await watcher

    app = _Described(
        title="Jali",
        summary="Answers from models that were trained, and approved, under user-level differential privacy.",
        version="1",
        lifespan=follow_champions,
        # FastAPI's pages load their scripts from another host; ours, at /docs, loads nothing from anywhere.
        docs_url=None,
        redoc_url=None,
        exception_handlers=problems.HANDLERS,
    )
    app.state.rollout = rollout
    app.state.fields = {service.path: problems.fields_of(service.request) for service in rollout.services.values()}
    app.add_middleware(BodyLimit)
    app.add_middleware(QueryLimit)
    app.add_middleware(AccessLog)
    _add_operations(app, rollout)
    for service in rollout.services.values():
        _add_statement(app, service, rollout)
    for service in rollout.services.values():
        _require_free(app, service)
        _add_service(app, service, rollout)
    app.queries = {service.path: service.example for service in rollout.services.values() if service.method == "GET"}
    return app


class _Described(FastAPI):
    """An application whose description has the examples of its queries, which FastAPI takes for bodies alone."""

    queries: Mapping[str, Mapping[str, Any]] = {}

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI description."""
        document = super().openapi()
        for path, example in self.queries.items():
            for parameter in document["paths"][path]["get"]["parameters"]:
                if parameter["name"] in example:
                    parameter["example"] = example[parameter["name"]]
        return document


def _require_free(app: FastAPI, service: Service) -> None:
    path, taken = service.path, {getattr(route, "path", "") for route in app.routes}
    if not path.startswith("/v1/") or "{" in path or path in taken:
        raise Misconfigured(
            f"The route of {service.name} is taken, or is no plain path under /v1/",
            value=path,
            next_step="Give the service a route of its own, or none, for /v1/ and its name.",
        )


def _add_operations(app: FastAPI, rollout: Rollout) -> None:
    @app.get("/healthz", tags=["operations"], summary="The process is up")
    async def healthz() -> Health:
        return Health()

    @app.get(
        "/readyz",
        tags=["operations"],
        summary="Every service has an approved champion in memory",
        responses={503: {"model": Readiness, "description": "At least one has none; `problems` says why."}},
    )
    async def readyz(response: Response) -> Readiness:
        versions = {name: loaded.version for name in rollout.services if (loaded := rollout.serving(name))}
        ready = len(versions) == len(rollout.services)
        if not ready:
            response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return Readiness(ready=ready, versions=versions, problems=rollout.problems)

    @app.get("/v1/models", tags=["models"], summary="Which versions answer, and their privacy statements")
    async def models() -> list[ServedModel]:
        return [_describe(one) for one in map(rollout.serving, rollout.services) if one]

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(_PAGE.read_text(), headers=_NOTHING_FROM_ELSEWHERE)


def _add_statement(app: FastAPI, service: Service, rollout: Rollout) -> None:
    def answered(draw: Callable[[VersionStatement], Response]) -> Response:
        loaded = rollout.serving(service.name)
        return _unready(service, rollout) if loaded is None else draw(promise_of(loaded.champion))

    path = f"/v1/{service.name}/statement"
    app.add_api_route(
        path,
        lambda: answered(lambda one: Response(one.model_dump_json(), media_type="application/json")),
        methods=["GET"],
        tags=["models"],
        name=f"{service.name}_statement",
        summary=f"The privacy statement of the version of {service.name} that answers",
        response_model=VersionStatement,
        responses=problems.documented(503),
    )
    app.add_api_route(
        f"{path}.html",
        lambda: answered(lambda one: HTMLResponse(as_html(one), headers=_NOTHING_FROM_ELSEWHERE)),
        methods=["GET"],
        tags=["models"],
        name=f"{service.name}_statement_page",
        summary="The same as a page for people",
        response_class=HTMLResponse,
        responses=problems.documented(503),
    )


def _add_service(app: FastAPI, service: Service, rollout: Rollout) -> None:
    answer = create_model(
        service.answer.__name__,
        __base__=service.answer,
        model_version=(int, Field(description="The version that gave this whole answer.")),
        epsilon=(float, Field(description="The ε of that version's training (user-level, unitless).")),
    )
    query = service.method == "GET"
    body = Body(openapi_examples={"default": {"summary": "A request that works", "value": dict(service.example)}})
    place = Query() if query else body

    def predict(request: Any) -> Any:
        if (at := first_not_finite(request)) is not None:
            raise problems.not_finite(at, query=query)
        loaded = rollout.serving(service.name)  # once: the whole answer is one version's
        return _unready(service, rollout) if loaded is None else _answer(loaded, request, answer)

    predict.__annotations__["request"] = Annotated[service.request, place]  # what FastAPI reads, and mypy cannot
    app.add_api_route(
        service.path,
        predict,
        methods=[service.method],
        name=service.name,
        tags=["services"],
        summary=f"Answer a request to {service.name} with its champion",
        description="The request passes through memory and is neither stored nor logged.",
        response_model=answer,
        responses=problems.documented(*((414, 422, 500, 503) if query else (400, 413, 422, 500, 503))),
        openapi_extra={"x-service": service.name},
    )


def first_not_finite(value: Any) -> tuple[str | int, ...] | None:
    """Return where in a request there is NaN or an infinity; None where all numbers are finite."""
    if isinstance(value, float):
        return None if isfinite(value) else ()
    if isinstance(value, BaseModel):
        inner: Iterable[tuple[str | int, Any]] = iter(value)
    elif isinstance(value, Mapping):
        inner = value.items()
    elif isinstance(value, list | tuple | set | frozenset):
        inner = enumerate(value)
    else:
        return None
    return next(((name, *at) for name, part in inner if (at := first_not_finite(part)) is not None), None)


def _answer(loaded: Loaded, request: BaseModel, answer: type[BaseModel]) -> Response:
    service = loaded.service
    try:
        given = service.predict(loaded.model, request)
        whole = answer.model_validate(
            {**given.model_dump(), "model_version": loaded.version, "epsilon": loaded.epsilon}
        )
    except Unanswerable as refused:
        return problems.response(HTTPStatus.UNPROCESSABLE_ENTITY, str(refused), field=refused.field)
    except Exception as error:  # its text and trace may quote the history, so neither is written down
        logger.error("%s version %s failed on a request: %s", service.name, loaded.version, type(error).__name__)
        return problems.response(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            f"Version {loaded.version} of {service.name} failed on this request; report it, it will fail again.",
        )
    return Response(whole.model_dump_json(), media_type="application/json", headers=_FOR_THE_CLIENT_ALONE)


def _unready(service: Service, rollout: Rollout) -> Response:
    return problems.response(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"No champion of {service.name} is loaded. {rollout.problems.get(service.name, 'Ask again.')}",
        headers={"Retry-After": _RETRY_AFTER},
    )


def _describe(loaded: Loaded) -> ServedModel:
    champion = loaded.champion
    return ServedModel(
        service=champion.service,
        version=champion.version,
        bundle=champion.bundle_digest,
        author=champion.author,
        approver=champion.approver,
        since=champion.since,
        privacy=champion.statement,
    )
