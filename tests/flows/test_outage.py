"""A server that does not answer is one sentence for whoever typed a command."""

from __future__ import annotations

import logging

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from components.core.errors import Unavailable
from flows.server import answering
from flows.start import start_promotion


@pytest.fixture(autouse=True)
def _logging_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", logging.raiseExceptions)


@pytest.mark.parametrize(
    "error", [httpx.ConnectError("refused"), RuntimeError("Failed to reach API at http://127.0.0.1:1/api/")]
)
def test_an_outage_of_the_server_is_unavailable_and_says_what_to_run(error: Exception) -> None:
    with pytest.raises(Unavailable, match=r"does not answer \(found http.*/api\).*jali up"), answering():
        raise error


def test_another_error_is_not_taken_for_an_outage() -> None:
    with pytest.raises(RuntimeError, match=r"^something else$"), answering():
        raise RuntimeError("something else")


@pytest.mark.slow
def test_a_decision_stays_recorded_where_the_promotion_cannot_be_started() -> None:
    nobody = temporary_settings(updates={PREFECT_API_URL: "http://127.0.0.1:1/api"})
    with nobody, pytest.raises(Unavailable, match=r"signed and recorded.*--here"):
        start_promotion("digest of a request")


def test_the_log_of_an_outage_has_no_stack(caplog: pytest.LogCaptureFixture) -> None:
    with answering():
        try:
            raise httpx.ConnectError("refused")
        except httpx.ConnectError as error:
            logging.getLogger("prefect.flow_runs").exception("Encountered exception: %r", error)
        logging.getLogger("prefect.events.clients").warning("Unable to connect")
    assert "Encountered exception: ConnectError" in caplog.text
    assert "Traceback" not in caplog.text
    assert "Unable to connect" not in caplog.text
