import json
import sys
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from components.cli import jali
from components.core.errors import ApprovalInvalid, Unavailable
from components.registry import models

from .people import versioned

PARAMS = """
source: shop
sources: {shop: {kind: shop, public: true}}
promotion: {approval_days: 3}
services: {echo: {}}
"""


@pytest.fixture
def run(settings, monkeypatch):
    """Run one command line in a checkout of its own and return what it printed."""
    (settings.root / "params.yaml").write_text(PARAMS)
    for name, value in {
        "JALI_ROOT": settings.root,
        "JALI_HOME": settings.home,
        "JALI_IDENTITIES": settings.identities,
        "JALI_MLFLOW_URI": settings.mlflow_uri,
    }.items():
        monkeypatch.setenv(name, str(value))

    def command(*words: str) -> str:
        return CliRunner().invoke(jali, words, catch_exceptions=False, standalone_mode=False).output

    return command


def test_a_new_key_prints_the_line_to_review_and_adds_it_where_asked(run, settings):
    line = run("keys", "new", "dan")
    assert line.startswith("dan: ")
    assert line not in settings.identities.read_text()
    assert run("keys", "new", "eve", "--add") in settings.identities.read_text()
    listed = run("keys", "list").splitlines()
    assert [text.split(":")[0] for text in listed] == ["ana", "ben", "cid", "dan", "eve"]
    assert listed[3] == f"{line.strip()}  # key here, not in the reviewed file"
    assert listed[4].endswith("# key here")


def test_from_a_request_to_a_champion_and_back_by_commands_alone(run, settings, echo):
    for times in (1, 2):
        versioned(settings, echo, times=times)
        assert f"Asked for version {times}" in run("promote", "request", "echo", "--by", "ana")
        said = run("promote", "approve", "echo", str(times), "--by", "ben", "--reason", "the gain holds", "--here")
        assert said == f"ben approved it; version {times} is champion of echo.\n"
    assert "Version 1 is champion of echo again" in run("rollback", "echo", "--by", "cid")
    assert models.alias(settings, "echo", models.CHAMPION) == 1
    standing = json.loads(run("promote", "status", "--json"))
    assert [(one["service"], one["champion"], one["alias"], one["challenger"]) for one in standing] == [
        ("echo", 1, 1, 2)
    ]
    assert len(standing[0]["moves"]) == 7
    said = run("promote", "status")
    assert said.startswith("echo: champion version 1 since ")
    assert "approved by ben; challenger 2" in said
    assert "cid went back from version 2 to 1: no reason given" in said


def test_the_status_of_a_service_without_a_champion_is_said(run):
    assert run("promote", "status") == "echo: champion none; challenger none\n"


def test_a_moved_alias_is_said_and_put_back(run, settings, echo):
    from components.registry.store import prepare_store

    versioned(settings, echo)
    run("promote", "request", "echo", "--by", "ana")
    run("promote", "approve", "echo", "1", "--by", "ben", "--reason", "fine", "--here")
    prepare_store(settings).set_registered_model_alias(
        "jali-echo", "champion", str(versioned(settings, echo, times=2)[0])
    )
    assert "MLflow's alias says 2, which nobody approved" in run("promote", "status")
    assert "points to version 1" in run("promote", "align", "echo")
    assert "nobody approved" not in run("promote", "status")


def test_a_rejection_is_recorded_and_promotes_nothing(run, settings, echo):
    versioned(settings, echo)
    run("promote", "request", "echo", "--by", "ana")
    assert run("promote", "reject", "echo", "1", "--by", "cid", "--reason", "too slow") == (
        "cid rejected it; nothing was promoted.\n"
    )
    assert "cid rejected version 1: too slow" in run("promote", "status")
    assert models.alias(settings, "echo", models.CHAMPION) is None


def test_an_approval_by_the_author_has_the_exit_code_of_approvals(run, settings, echo):
    versioned(settings, echo)
    run("promote", "request", "echo", "--by", "ana")
    with pytest.raises(ApprovalInvalid) as refused:
        run("promote", "approve", "echo", "1", "--by", "ana", "--reason", "mine", "--here")
    assert refused.value.exit_code == 24


def test_an_approval_starts_the_flow_that_promotes(run, settings, echo, monkeypatch):
    started = []
    flows = SimpleNamespace(start_promotion=started.append)
    monkeypatch.setitem(sys.modules, "flows", flows)
    monkeypatch.setitem(sys.modules, "flows.start", flows)
    versioned(settings, echo)
    run("promote", "request", "echo", "--by", "ana")
    assert "was started" in run("promote", "approve", "echo", "1", "--by", "ben", "--reason", "fine")
    request = json.loads(run("promote", "status", "--json"))[0]["request"]
    assert request["state"] == "approved"
    assert started == [request["request"]]


def test_an_approval_whose_flow_did_not_start_is_completed_by_the_same_command(run, settings, echo, monkeypatch):
    def unavailable(request):
        raise Unavailable("The flow could not be started")

    flows = SimpleNamespace(start_promotion=unavailable)
    monkeypatch.setitem(sys.modules, "flows", flows)
    monkeypatch.setitem(sys.modules, "flows.start", flows)
    versioned(settings, echo)
    run("promote", "request", "echo", "--by", "ana")
    words = ("promote", "approve", "echo", "1", "--by", "ben", "--reason", "fine")
    with pytest.raises(Unavailable):
        run(*words)
    assert run(*words, "--here") == "ben approved it; version 1 is champion of echo.\n"
    assert len(json.loads(run("promote", "status", "--json"))[0]["moves"]) == 3
