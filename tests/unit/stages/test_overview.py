"""The page of all services says what evidence says, and names a service that has none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from components.cli import jali
from components.core.errors import ContractBroken
from components.core.params import Cap
from components.evaluation import overview
from components.privacy.accounts import LIFETIME
from components.privacy.mechanisms import population
from components.stages import gate as gate_stage
from components.stages import overview as stage
from components.stages import workspace
from components.stages.evaluate import ceilings_of, evaluation_of
from components.stages.run import Run
from tests.unit.privacy.builders import private
from tests.unit.stages.test_verdict import audited, evaluated

__all__ = ["audited", "evaluated"]


@pytest.fixture
def judged(audited: Run) -> Run:
    gate_stage.gate(audited, "toy")
    return audited


def test_a_service_that_was_not_trained_here_says_so(divided: Run) -> None:
    (line,) = stage.lines(divided)
    assert line.outcome == "not trained here"
    page = overview.as_html("shop", [line], stage.left(divided))
    assert "not trained here" in page
    assert "Nothing was charged yet." in page


def test_a_line_is_what_the_evidence_says(judged: Run) -> None:
    (line,) = stage.lines(judged)
    verdict = gate_stage.verdict_of(judged, "toy")
    evaluation = evaluation_of(judged, "toy", verdict.candidate)
    assert line.chosen == evaluation.metrics[verdict.candidate]["nearness"]
    assert line.base == evaluation.metrics["common"]["nearness"]
    assert (
        dict([line.ceiling] if line.ceiling else []).items()
        <= {name: figures["nearness"] for name, figures in ceilings_of(judged, "toy").items()}.items()
    )
    assert line.statement is not None
    assert line.statement.epsilon <= judged.params.training.epsilon


def test_what_is_left_is_the_ledgers_and_of_the_datasets_blocks(judged: Run) -> None:
    left = {(one.block, one.split): one.share for one in stage.left(judged)}
    assert left == {
        (account.block, account.split): account.rdp_left / account.rdp_cap for account in judged.ledger().accounts()
    }
    assert all(0 < share < 1 for share in left.values())


def test_evidence_that_was_changed_is_no_service_that_was_not_trained(judged: Run) -> None:
    verdict = judged.evidence("toy", "gate") / "verdict.json"
    verdict.write_text(verdict.read_text().replace("true", "false"))
    with pytest.raises(ContractBroken, match="changed after it was written"):
        stage.lines(judged)


def test_what_is_left_of_a_lifetime_is_told_too(judged: Run) -> None:
    privacy = judged.params.privacy.model_copy(update={"lifetime_cap": Cap(epsilon=9, delta=1e-5)})
    limited = replace(judged, params=judged.params.model_copy(update={"privacy": privacy}))
    blocks = tuple({one.block for one in stage.left(limited)})
    population(limited.ledger(), private(blocks=blocks), 50.0)
    assert {one.block for one in stage.left(limited)} == {*blocks, LIFETIME}


def test_the_command_writes_the_page_and_says_the_same_as_json(
    judged: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace, "open_training", lambda source=None, epsilon=None: judged)
    page = tmp_path / "services.html"
    done = CliRunner().invoke(jali, ["report", "--html", str(page), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    (line,) = found["services"]
    assert line["service"] == "toy"
    text = page.read_text()
    assert f"{line['value']['value']:.4f}" in text
    assert "<script" not in text
    assert "default-src 'none'" in text
    assert {account["split"] for account in found["accounts"]} == {"train", "validation", "test"}
    shown = CliRunner().invoke(jali, ["report"])
    assert "of the budget left" in shown.output


def test_names_are_text_and_no_markup() -> None:
    page = overview.as_html("<b>shop</b>", [overview.Line("<i>", "m", "floor")], [])
    assert "<b>shop" not in page
    assert "<i>&" not in page
    assert "&lt;i&gt;" in page
