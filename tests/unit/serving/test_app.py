from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.core.errors import ApprovalInvalid, Unanswerable
from components.serving import access
from components.serving.app import create

from .toy import TOY, Client, HandTurned, champion


def _app(source: HandTurned) -> FastAPI:
    app = create([TOY], source)
    app.state.rollout.refresh()
    return app


@pytest.fixture
def source(tmp_path: Path) -> HandTurned:
    return HandTurned(toy=champion(tmp_path, 3))


@pytest.fixture
def client(source: HandTurned) -> Client:
    return Client(_app(source))


def _problem(answer: httpx.Response, status: int) -> dict[str, str]:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"] == "about:blank"
    return problem


def test_an_answer_carries_the_version_and_its_epsilon(client: Client) -> None:
    answer = client.post("/v1/toy", json={"history": ["tea"], "k": 2})
    assert answer.status_code == 200
    assert answer.json() == {"items": ["v3", "v3"], "model_version": 3, "epsilon": 3.0}


def test_the_process_is_healthy_and_ready_with_its_champion(client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json() == {"ready": True, "versions": {"toy": 3}, "problems": {}}


def test_without_an_approval_nothing_is_served_and_readyz_says_why() -> None:
    source = HandTurned(toy=ApprovalInvalid("Version 3 was approved by its author"))
    client = Client(_app(source))
    assert client.get("/healthz").status_code == 200
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert "approved by its author" in ready.json()["problems"]["toy"]
    assert client.get("/v1/models").json() == []
    refused = client.post("/v1/toy", json={"history": ["tea"]})
    assert "approved by its author" in _problem(refused, 503)["detail"]
    assert refused.headers["retry-after"] == "5"


def test_a_refused_successor_leaves_the_service_ready_and_is_reported(client: Client, source: HandTurned) -> None:
    source.champions["toy"] = ApprovalInvalid("The alias was moved by hand")
    client.app.state.rollout.refresh()
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert "moved by hand" in ready.json()["problems"]["toy"]
    assert client.post("/v1/toy", json={"history": ["tea"]}).json()["model_version"] == 3


def test_a_champion_promoted_after_the_start_is_followed(tmp_path: Path) -> None:
    source = HandTurned()
    app = create([TOY], source, poll_seconds=0.01)

    async def started() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://jali") as client,
        ):
            assert (await client.get("/readyz")).status_code == 503
            source.champions["toy"] = champion(tmp_path, 1)
            async with asyncio.timeout(10):
                while (ready := await client.get("/readyz")).status_code == 503:
                    await asyncio.sleep(0.01)
            return ready

    assert asyncio.run(started()).json()["versions"] == {"toy": 1}


@pytest.mark.parametrize(
    ("body", "field", "sentence"),
    [
        ({"history": ["tea"], "K": 3}, None, "There is an unknown field; remove it, those there are: history, k."),
        ({"history": ["tea"], "k": 101}, "k", "The field k is 101; input should be less than or equal to 100."),
        ({"history": ["tea"], "k": 0}, "k", "The field k is 0; input should be greater than or equal to 1."),
        ({"history": ["x"] * 1001}, "history", "The field history has 1001 entries; send at most 1000."),
        ({"history": []}, "history", "The field history is not valid; list should have at least 1 item"),
        ({"history": ["tea", 7]}, "history.1", "The field history.1 is not valid; input should be a valid string."),
        ({"k": 3}, "history", "The field history is missing; add it."),
    ],
)
def test_a_request_of_the_wrong_shape_is_one_clear_sentence(
    client: Client, body: dict[str, object], field: str | None, sentence: str
) -> None:
    problem = _problem(client.post("/v1/toy", json=body), 422)
    assert problem.get("field") == field
    assert problem["detail"].startswith(sentence)


def test_a_body_that_is_not_json_is_a_bad_request(client: Client) -> None:
    headers = {"content-type": "application/json"}
    problem = _problem(client.post("/v1/toy", content=b'{"history": [', headers=headers), 400)
    assert problem["detail"].startswith("The body is not JSON")
    latin = _problem(client.post("/v1/toy", content=b'{"history": ["caf\xe9"]}', headers=headers), 400)
    assert "UTF-8" in latin["detail"]


@pytest.mark.parametrize("body", [b"[]", b"null", b"3", b""])
def test_a_body_that_is_not_an_object_is_told_what_to_send(client: Client, body: bytes) -> None:
    answer = client.post("/v1/toy", content=body, headers={"content-type": "application/json"})
    assert "one JSON object" in _problem(answer, 422)["detail"]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["history", "k", "x"]), inner),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=_JSON | st.dictionaries(st.text(st.characters(exclude_categories=())), _JSON))
def test_whatever_json_comes_in_the_answer_is_an_answer_or_a_problem(client: Client, body: object) -> None:
    headers = {"content-type": "application/json"}
    answer = client.post("/v1/toy", content=json.dumps(body).encode(), headers=headers)
    if answer.status_code != 200:
        assert len(_problem(answer, 422)["detail"]) < 300


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"k": ' + b"9" * 5000 + b"}", b'{"k": NaN}', b"\x00", b"\xff"])
def test_a_body_that_would_break_a_parser_is_a_problem(client: Client, body: bytes) -> None:
    answer = client.post("/v1/toy", content=body, headers={"content-type": "application/json"})
    _problem(answer, answer.status_code)
    assert answer.status_code in (400, 422)


def test_an_unknown_field_may_have_any_name(client: Client) -> None:
    for name in ("\\ud800", "x" * 100_000):
        body = f'{{"history": ["tea"], "{name}": 1}}'.encode()
        answer = client.post("/v1/toy", content=body, headers={"content-type": "application/json"})
        assert len(_problem(answer, 422)["detail"]) < 300


def test_a_form_from_a_web_page_of_another_site_is_not_taken_for_json(client: Client) -> None:
    answer = client.post("/v1/toy", content=b'{"history": ["tea"]}', headers={"content-type": "text/plain"})
    assert "application/json" in _problem(answer, 422)["detail"]


async def _in_two_parts(body: bytes) -> AsyncIterator[bytes]:
    yield body[:1000]
    yield body[1000:]


def test_a_body_over_the_limit_is_refused_whether_it_announces_its_length_or_not(client: Client) -> None:
    long = b" " * (access.BODY_LIMIT + 1)
    headers = {"content-type": "application/json"}
    announced = client.post("/v1/toy", content=long, headers=headers)
    streamed = client.post("/v1/toy", content=_in_two_parts(long), headers=headers)
    for answer in (announced, streamed):
        assert "262,144 bytes" in _problem(answer, 413)["detail"]


def test_a_body_at_the_limit_is_read(client: Client) -> None:
    body = b'{"history": ["tea"]}'
    padded = body + b" " * (access.BODY_LIMIT - len(body))
    assert client.post("/v1/toy", content=padded, headers={"content-type": "application/json"}).status_code == 200


def test_an_unknown_path_and_a_wrong_method_are_problems_too(client: Client) -> None:
    assert "/openapi.json" in _problem(client.get("/v2/toy"), 404)["detail"]
    wrong = client.get("/v1/toy")
    assert "it takes POST" in _problem(wrong, 405)["detail"]
    assert wrong.headers["allow"] == "POST"


def test_a_failing_model_is_a_problem_that_names_no_item(
    client: Client, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    problem = _problem(client.post("/v1/toy", json={"history": ["explode", "pregnancy test"]}), 500)
    assert "Version 3 of toy failed" in problem["detail"]
    assert "KeyError" in caplog.text
    written = caplog.text + "".join(capfd.readouterr()) + problem["detail"]
    assert "pregnancy" not in written


def test_the_access_log_has_route_and_status_and_nothing_that_a_client_sent(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger=access.logger.name)
    client.post("/v1/toy?secret=1", json={"history": ["pregnancy test"]})
    client.post("/v1/toy", json={"history": [["pregnancy test"]]})
    client.get("/v1/pregnancy")
    lines = [record.getMessage() for record in caplog.records if record.name == access.logger.name]
    assert [line.rsplit(" ", 2)[0] for line in lines] == ["POST /v1/toy 200", "POST /v1/toy 422", "GET (no route) 404"]


def test_openapi_describes_fields_limits_examples_and_problems(client: Client) -> None:
    document = client.get("/openapi.json").json()
    post = document["paths"]["/v1/toy"]["post"]
    body = post["requestBody"]["content"]["application/json"]
    assert body["examples"]["default"]["value"] == TOY.example
    request = document["components"]["schemas"]["ToyRequest"]
    assert request["properties"]["k"]["maximum"] == 100
    assert request["additionalProperties"] is False
    answer = post["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rsplit("/")[-1]
    assert {"items", "model_version", "epsilon"} <= set(document["components"]["schemas"][answer]["required"])
    for status in ("400", "413", "422", "500", "503"):
        assert "application/problem+json" in post["responses"][status]["content"]
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_the_example_that_openapi_shows_works(client: Client) -> None:
    post = client.get("/openapi.json").json()["paths"]["/v1/toy"]["post"]
    example = post["requestBody"]["content"]["application/json"]["examples"]["default"]["value"]
    assert client.post("/v1/toy", json=example).status_code == 200


def test_the_page_for_people_loads_nothing_from_another_host(client: Client) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    assert "://" not in page.text
    assert "/statement.html" in page.text


def test_swapping_under_load_fails_no_request_and_mixes_no_versions(tmp_path: Path) -> None:
    versions = [champion(tmp_path, version) for version in range(1, 21)]
    source = HandTurned(toy=versions[0])
    app = _app(source)

    async def hammer() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://jali") as client:
            swapping = True

            async def ask() -> list[httpx.Response]:
                answers = []
                while swapping:
                    history = ["slow"] if len(answers) % 2 else ["tea"]
                    answers.append(await client.post("/v1/toy", json={"history": history, "k": 50}))
                return answers

            asking = [asyncio.create_task(ask()) for _ in range(6)]
            for one in versions[1:]:
                source.champions["toy"] = one
                await asyncio.to_thread(app.state.rollout.refresh_if_changed)
                await asyncio.sleep(0.02)
            swapping = False
            return [answer for answers in await asyncio.gather(*asking) for answer in answers]

    answers = asyncio.run(hammer())
    seen = set()
    for answer in answers:
        assert answer.status_code == 200
        body = answer.json()
        assert set(body["items"]) == {f"v{body['model_version']}"}
        seen.add(body["model_version"])
    assert len(seen) > 5, "the swaps happened while requests were answered"


def test_a_second_service_gets_its_own_path(tmp_path: Path) -> None:
    other = replace(TOY, name="other")
    app = create([TOY, other], HandTurned(toy=champion(tmp_path, 1)))
    app.state.rollout.refresh()
    client = Client(app)
    assert client.post("/v1/toy", json={"history": ["tea"]}).status_code == 200
    _problem(client.post("/v1/other", json={"history": ["tea"]}), 503)
    assert client.get("/readyz").status_code == 503


def test_what_a_version_does_not_know_is_one_sentence_about_its_field(source: HandTurned) -> None:
    nowhere = Unanswerable("There is no such site", field="site", limit="north, south")
    app = create([replace(TOY, predict=Mock(side_effect=[TOY.answer(items=["tea"]), nowhere]))], source)
    app.state.rollout.refresh()  # which asks the example
    problem = _problem(Client(app).post("/v1/toy", json=dict(TOY.example)), 422)
    assert (problem["detail"], problem["field"]) == ("There is no such site (limit north, south).", "site")
