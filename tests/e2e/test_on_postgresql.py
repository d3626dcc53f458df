"""From a source to a served answer with the ledger on PostgreSQL, as machines that share a budget have it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pytest

from tests import postgres

from .checkout import Checkout, until

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A checkout with everything up, whose ledger lies on the server."""
    services = {"recommend": {"candidates": ["popularity", "gram"]}}
    made = Checkout.make(tmp_path_factory.mktemp("shared"), services=services, ledger_url=postgres.fresh_url())
    try:
        made.jali("up")
        for name in ("ana", "ben"):
            made.jali("keys", "new", name, "--add")
        yield made
    finally:
        made.run("down")


def test_the_whole_way_charges_the_server_and_what_it_says_is_on_the_version(shared: Checkout) -> None:
    shared.jali("run", "pipeline", "--author", "ana")
    shared.jali("promote", "approve", "recommend", "1", "--by", "ben", "--reason", "the gates passed")

    def served() -> bool:  # a flow of the approval's own promotes
        try:
            return str(shared.recommend([])["model_version"]) == "1"
        except OSError:
            return False

    until(served)
    assert json.loads(shared.jali("promote", "status", "--json"))[0]["champion"] == 1
    assert not (shared.home / "ledger.db").exists()
    with psycopg.connect(shared.environment["JALI_LEDGER_URL"]) as server:
        settled = server.execute("SELECT count(*) FROM jali_ledger WHERE verb = 'settle'").fetchone()
    assert settled is not None
    assert settled[0] == len(shared.ledger()["releases"]) > 0
    verified = json.loads(shared.jali("ledger", "verify", "--json"))
    assert verified["of_other_ledgers"] == []
    assert len(verified["anchors"]) >= 2, "the version and its approval each carry a head"
    before = shared.ledger()
    assert "done before" in shared.jali("run", "pipeline", "--author", "ana")
    assert shared.ledger() == before, "what was settled is found on the server, and costs nothing again"
