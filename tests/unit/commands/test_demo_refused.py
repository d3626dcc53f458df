"""`jali demo` where a gate refuses one of several services."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any
from unittest.mock import Mock

import pytest
from click.testing import CliRunner

from components.cli import jali
from components.commands import demo
from components.core.errors import GateNotMet
from components.core.settings import Settings
from components.stages import promotion, workspace
from tests.unit.commands.conftest import PARAMS

Run = Callable[..., str]


@pytest.fixture
def outcome(here: Settings, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A machine on which everything works, but that `ads` does not pass."""
    from flows import deploy, pipeline, server

    def trained(source: str, name: str, epsilon: None, author: str) -> None:
        if name == "ads":
            raise GateNotMet("ads/network did not pass gain_over_floor")

    (here.root / "params.yaml").write_text(PARAMS.replace("{recommend: {}}", "{recommend: {}, ads: {}}"))
    monkeypatch.setattr(pipeline, "pipeline", trained)
    monkeypatch.setattr(deploy, "deploy", Mock())
    monkeypatch.setattr(server, "answering", nullcontext)
    monkeypatch.setattr(workspace, "open_training", Mock())
    monkeypatch.setattr(promotion, "await_serving", Mock())
    shown: dict[str, Any] = {}
    monkeypatch.setattr(demo, "start", Mock())
    monkeypatch.setattr(demo, "_champion", Mock())
    monkeypatch.setattr(demo, "_outcome", lambda here, run, names, **facts: {"services": names})
    monkeypatch.setattr(demo, "_show", shown.update)
    return shown


def test_the_others_go_on_and_the_verdict_is_shown(outcome: dict[str, Any]) -> None:
    ended = CliRunner().invoke(jali, ["demo", "--services", "all"])
    assert ended.exit_code == GateNotMet.exit_code
    assert outcome["services"] == ["recommend"]
    assert outcome["refused"] == {"ads": "ads/network did not pass gain_over_floor."}


def test_one_that_was_asked_for_alone_ends_with_its_verdict(run: Run, outcome: dict[str, Any]) -> None:
    with pytest.raises(GateNotMet):
        run("demo", "--services", "ads")
    assert outcome == {}
