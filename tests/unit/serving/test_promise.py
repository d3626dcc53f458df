"""The privacy statement of the version that answers, on the wire."""

from __future__ import annotations

from pathlib import Path

from jsonschema import Draft202012Validator

from components.core.records import PrivacyStatement
from components.privacy.statement_document import VersionStatement, schema

from .test_app import _app, _problem
from .toy import STATEMENT, Client, HandTurned, champion


def test_the_statement_of_the_version_that_answers_is_served_for_programs_and_as_a_page(tmp_path: Path) -> None:
    client = Client(_app(HandTurned(toy=champion(tmp_path, 3))))
    found = VersionStatement.model_validate(client.get("/v1/toy/statement").json())
    assert (found.service, found.version, found.privacy, found.candidate) == ("toy", 3, STATEMENT, "gram")
    assert (found.standing.author, found.standing.approver, found.ledger) == ("ana", "ben", None)
    Draft202012Validator(schema()).validate(client.get("/v1/toy/statement").json())
    page = client.get("/v1/toy/statement.html")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "Privacy statement: toy, version 3" in page.text
    described = client.get("/openapi.json").json()["paths"]
    assert {"/v1/toy/statement", "/v1/toy/statement.html"} <= set(described)


def test_without_a_champion_there_is_no_statement_and_the_answer_says_why() -> None:
    client = Client(_app(HandTurned()))
    for path in ("/v1/toy/statement", "/v1/toy/statement.html"):
        assert "No champion of toy" in _problem(client.get(path), 503)["detail"]


def test_models_shows_the_privacy_statement_the_digest_and_who_approved(tmp_path: Path) -> None:
    source = HandTurned(toy=champion(tmp_path, 3))
    client = Client(_app(source))
    (model,) = client.get("/v1/models").json()
    assert model["service"] == "toy"
    assert model["version"] == 3
    assert model["bundle"] == source.champions["toy"].bundle_digest  # type: ignore[union-attr]
    assert (model["author"], model["approver"], model["since"]) == ("ana", "ben", "2026-11-24T00:00:00Z")
    assert PrivacyStatement.model_validate(model["privacy"]) == STATEMENT
