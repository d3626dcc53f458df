"""A service that is asked by GET at a route of its own, and what must never come back or be written down."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from components.core.errors import Misconfigured
from components.serving import access, server
from components.serving.app import create

from .toy import TOY, Client, HandTurned, champion, for_service

SECRET = "pregnancy"


class Where(BaseModel):
    model_config = ConfigDict(extra="forbid")

    lat: float = 0.0


class Question(BaseModel):
    model_config = ConfigDict(extra="forbid")

    q: str = Field(min_length=1, max_length=200)
    site: list[str] = Field([], max_length=5)
    near: float = 1.0
    k: int = Field(10, ge=1, le=100)


class Reported(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str
    where: list[Where] = []
    weights: dict[str, float] = {}


class Answer(BaseModel):
    said: list[str]


def _answer(model: str, request: Any) -> Answer:
    if isinstance(request, Question):
        if request.q == "explode":
            raise ValueError(f"{SECRET} {request.q}")
        return Answer(said=[request.q, *request.site, model])
    return Answer(said=[request.text])


SEARCH = replace(
    TOY,
    name="search",
    route="/v1/find",
    method="GET",
    request=Question,
    answer=Answer,
    predict=_answer,
    example={"q": "green tea", "site": ["north", "south"], "k": 3},
)
REPORT = replace(
    TOY,
    name="report",
    route="/v1/report/answer",
    request=Reported,
    answer=Answer,
    predict=_answer,
    example={"text": "?"},
)
SERVICES = (TOY, SEARCH, REPORT)


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    one = champion(tmp_path, 3)
    made = create(SERVICES, HandTurned(**{service.name: for_service(service.name, one) for service in SERVICES}))
    made.state.rollout.refresh()
    return made


@pytest.fixture
def client(app: FastAPI) -> Client:
    return Client(app)


def _problem(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    detail = str(answer.json()["detail"])
    assert detail.endswith(".")
    assert "\n" not in detail
    return detail


def test_a_get_service_takes_its_fields_from_the_query_lists_repeated(client: Client) -> None:
    answer = client.get("/v1/find?q=green+tea&site=north&site=south&k=2")
    assert answer.status_code == 200
    assert answer.json() == {"said": ["green tea", "north", "south", "v3"], "model_version": 3, "epsilon": 3.0}
    assert answer.headers["cache-control"] == "no-store"


def test_a_route_replaces_the_usual_one_and_the_statement_stays_at_the_name(client: Client) -> None:
    assert client.post("/v1/report/answer", json={"text": "hello"}).status_code == 200
    _problem(client.post("/v1/report", json={"text": "hello"}), 404)
    _problem(client.get("/v1/search?q=tea"), 404)
    assert client.post("/v1/toy", json={"history": ["tea"]}).status_code == 200
    for name in ("toy", "search", "report"):
        assert client.get(f"/v1/{name}/statement").status_code == 200
        assert client.get(f"/v1/{name}/statement.html").status_code == 200
    assert "it takes GET" in _problem(client.post("/v1/find", json={"q": "tea"}), 405)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("", "The field q is missing; add it."),
        ("q=", "The field q is not valid; string should have at least 1 character."),
        (f"q=tea&{SECRET}", "There is an unknown field; remove it, those there are: q, site, near, k."),
        (f"q=salt&{SECRET}=1", "There is an unknown field; remove it, those there are: q, site, near, k."),
        (f"q=tea&k={SECRET}", "The field k is not valid; input should be a valid integer"),
        ("q=tea&k=101", "The field k is not valid; input should be less than or equal to 100."),
        ("q=tea&near=NaN", "The field near is not valid; input should be a finite number."),
        ("q=tea&near=-inf", "The field near is not valid; input should be a finite number."),
        ("q=tea&" + "&".join(["site=a"] * 6), "The field site has 6 entries; send at most 5."),
        ("q=" + "a" * 201, "The field q is not valid; string should have at most 200 characters."),
    ],
)
def test_a_query_of_the_wrong_shape_is_one_sentence_without_what_was_asked(
    client: Client, query: str, sentence: str
) -> None:
    answer = client.get(f"/v1/find?{query}")
    assert _problem(answer, 422).startswith(sentence)
    assert SECRET not in answer.text


def test_a_query_over_the_limit_is_refused_before_it_is_read(client: Client) -> None:
    assert "8,192 bytes" in _problem(client.get("/v1/find?q=" + "a" * access.QUERY_LIMIT), 414)
    many = "&".join(["site=a"] * 6_000)
    _problem(client.get(f"/v1/find?q=tea&{many}"), 414)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"text": "a", "where": [{"lat": 1.0}, {"lat": NaN}]}', "where.1.lat"),
        (b'{"text": "a", "where": [{"lat": Infinity}]}', "where.0.lat"),
        (b'{"text": "a", "weights": {"pregnancy": -Infinity}}', "weights.(…)"),
        (b'{"text": "a", "weights": {"pregnancy": "x"}}', "weights.(…)"),
        (b'{"text": 4111111111111111}', "text"),
        (b'{"text": "a", "where": [{"pregnancy": 1}]}', "where.0"),
        (b'{"text": "a", "pregnancy": 1}', None),
        (b'{"text": "a", "where": "pregnancy"}', "where"),
    ],
)
def test_a_body_of_the_wrong_shape_names_the_place_by_the_service_s_own_names(
    client: Client, body: bytes, field: str | None
) -> None:
    answer = client.post("/v1/report/answer", content=body, headers={"content-type": "application/json"})
    _problem(answer, 422)
    assert answer.json().get("field") == field
    assert SECRET not in answer.text
    assert "4111" not in answer.text


@pytest.mark.parametrize(
    "text", ["مرحبا بالعالم", "שלום", "\u202etxt.exe\u202c", "a\x00b", "👩‍👩‍👧‍👦", "\ufeff", "日本語"]
)
def test_right_to_left_and_other_odd_text_is_text(client: Client, text: str) -> None:
    assert client.post("/v1/report/answer", json={"text": text}).json()["said"] == [text]
    assert client.get("/v1/find?" + urlencode({"q": text})).json()["said"][0] == text


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    query=st.dictionaries(st.sampled_from(["q", "site", "near", "k", "x"]), st.text() | st.floats().map(str))
    .map(urlencode)
    .map(str.encode)
    | st.binary(max_size=60).map(lambda raw: quote(raw, safe="=&").encode())
)
def test_whatever_is_asked_the_answer_is_an_answer_or_a_problem(client: Client, query: bytes) -> None:
    answer = client.get(f"/v1/find?{query.decode()}")
    if answer.status_code != 200:
        assert len(_problem(answer, 422)) < 300


def test_the_description_has_an_example_of_every_service_that_works(client: Client) -> None:
    document = client.get("/openapi.json").json()
    found = {
        operation["x-service"]: (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if "x-service" in operation
    }
    assert set(found) == {"toy", "search", "report"}
    path, method, search = found["search"]
    assert (path, method) == ("/v1/find", "get")
    example = {one["name"]: one["example"] for one in search["parameters"] if "example" in one}
    assert example == SEARCH.example
    assert client.get(f"{path}?{urlencode(example, doseq=True)}").status_code == 200
    for status in ("414", "422", "500", "503"):
        assert "application/problem+json" in search["responses"][status]["content"]
    path, _, report = found["report"]
    body = report["requestBody"]["content"]["application/json"]["examples"]["default"]["value"]
    assert client.post(path, json=body).status_code == 200


@pytest.mark.parametrize("route", ["/v1/models", "/v1/toy", "/v1/toy/statement", "/v1/{anything}", "/metrics", "v1/x"])
def test_a_route_that_is_taken_or_no_plain_path_is_a_mistake_in_the_service(route: str) -> None:
    with pytest.raises(Misconfigured, match="odd"):
        create([TOY, replace(SEARCH, name="odd", route=route)], HandTurned())


def test_an_error_that_nobody_expected_is_a_problem_named_by_its_type_alone(
    app: FastAPI, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    @app.get("/v1/broken")
    async def broken(q: str) -> None:
        raise RuntimeError(f"{SECRET} {q}")

    answer = client.get(f"/v1/broken?q={SECRET}")
    assert "report it" in _problem(answer, 500)
    assert "RuntimeError" in caplog.text
    assert SECRET not in _written(caplog) + answer.text


def test_no_log_of_the_running_server_has_a_query_or_a_text(
    app: FastAPI, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    with _running(app, monkeypatch) as url:
        statuses = [
            httpx.get(f"{url}/v1/find?q={SECRET}").status_code,
            httpx.get(f"{url}/v1/find?q=explode").status_code,
            httpx.get(f"{url}/v1/find?{SECRET}=1").status_code,
            httpx.get(f"{url}/v1/{SECRET}").status_code,
            httpx.post(f"{url}/v1/report/answer", json={"text": SECRET}).status_code,
            httpx.post(f"{url}/v1/report/answer", json={"text": [SECRET]}).status_code,
            httpx.get(f"{url}/v1/find?q=" + SECRET * 2_000).status_code,
            _raw(url, b"GET /v1/find?q=" + SECRET.encode() * 20_000 + b" HTTP/1.1\r\nHost: jali\r\n\r\n"),
            httpx.request(SECRET.upper(), f"{url}/v1/find").status_code,
            _raw(url, b"GET /v1/find?q=" + SECRET.encode() + b" \x00 nonsense\r\n\r\n"),
        ]
    assert statuses[:6] == [200, 500, 422, 404, 200, 422]
    assert all(400 <= status < 500 for status in statuses[6:])
    lines = [record.getMessage() for record in caplog.records if record.name == access.logger.name]
    assert lines[0].startswith("GET /v1/find 200 ")
    assert SECRET not in (_written(caplog) + "".join(capfd.readouterr())).lower()


def _written(caplog: pytest.LogCaptureFixture) -> str:
    """Return what everyone but the test's own client wrote into logs, traces included."""
    ours = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    return "\n".join(logging.Formatter().format(record) for record in ours)


@contextmanager
def _running(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    made: list[uvicorn.Server] = []

    class Kept(uvicorn.Server):
        def __init__(self, config: uvicorn.Config) -> None:
            super().__init__(config)
            made.append(self)

    monkeypatch.setattr(uvicorn, "Server", Kept)
    with server.hold_port(0) as held:
        thread = threading.Thread(target=server.run, args=(app, held))
        thread.start()
        try:
            yield f"http://127.0.0.1:{held.getsockname()[1]}"
        finally:
            made[0].should_exit = True
            thread.join(15)


def _raw(url: str, request: bytes) -> int:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        return int(connection.recv(65536).split()[1])
