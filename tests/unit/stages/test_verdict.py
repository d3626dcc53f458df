"""Evaluate, audit and gate on the toy service: what each leaves for DVC, and what the terminal is told."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import pytest

from components.core import service
from components.core.errors import ContractBroken, GateNotMet
from components.core.evidence import Record
from components.core.records import Audit, Evaluation, Trained
from components.stages import gate
from components.stages.audit import audit
from components.stages.evaluate import ceilings_of, evaluate
from components.stages.gate import require_passed, sentence
from components.stages.run import Run
from components.stages.split import split
from components.stages.train import train
from tests.unit.evaluation.cases import CANARIES
from tests.unit.stages.conftest import but
from tests.unit.stages.toy import SERVICE


@pytest.fixture
def evaluated(divided: Run) -> Run:
    """Trained and evaluated."""
    train(divided, "toy")
    evaluate(divided, "toy")
    return divided


@pytest.fixture
def audited(evaluated: Run) -> Run:
    """All the evidence that a gate reads, the audit's written by hand."""
    for name in SERVICE.candidates:
        trained = Trained.read(evaluated.evidence("toy", "train") / f"{name}.json")
        Audit(
            service="toy",
            bundle=trained.bundle,
            steps_in_ledger=None,
            steps_in_optimizer=None,
            destroyed_by_noise=True,
            **CANARIES,
        ).write(evaluated.evidence("toy", "audit") / f"{name}.json")
    return evaluated


def test_the_metrics_for_dvc_are_few_flat_and_those_of_the_evaluation(evaluated: Run) -> None:
    figures = json.loads(evaluated.metrics("toy").read_text())
    test = Evaluation.read(evaluated.evidence("toy", "evaluate") / "test.json")
    assert figures["nearness"] == test.metrics[test.chosen]["nearness"].model_dump()
    assert figures["nearness of common"] == test.metrics["common"]["nearness"].model_dump()
    assert figures["gain over floor"] == test.paired["floor"].model_dump()
    assert figures["chosen"] == test.chosen != "common"
    assert 0 < figures["epsilon"] <= 3
    assert 0 < figures["bundle_megabytes"] < 1
    assert len(figures) < 10


def test_the_plots_for_dvc_hold_every_released_figure_and_the_ceilings_of_a_public_source(evaluated: Run) -> None:
    with (evaluated.plots("toy") / "metrics.csv").open() as table:
        roles = {(row["model"], row["role"]) for row in csv.DictReader(table)}
    assert ("common", "floor") in roles
    assert ("linear", "ceiling") in roles
    assert {path.name for path in evaluated.plots("toy").iterdir()} == {
        "burndown.csv",
        "burndown.png",
        "epsilon.csv",
        "epsilon.png",
        "metrics.csv",
        "metrics.png",
    }


def test_the_summary_says_what_is_left_of_each_account_after_the_training(evaluated: Run) -> None:
    audit(evaluated, "toy")
    gate.gate(evaluated, "toy")
    _, budget = gate.summary_of(evaluated, "toy").split("### Privacy budget\n\n")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in budget.strip().splitlines()]
    assert [row[:2] for row in rows[2:]] == [["2024Q1", split] for split in ("train", "validation", "test")]
    for row, account in zip(rows[2:], evaluated.ledger().accounts(), strict=True):
        assert float(row[3]) == pytest.approx(account.spent, rel=0.01)
        assert row[6] == f"{account.rdp_left / account.rdp_cap:.0%}"


def test_a_private_source_has_no_ceilings_in_any_output(prepared: Run) -> None:
    from components.data.collect import Collected

    path = prepared.data / "raw" / "collected.json"
    Collected.read(path).model_copy(update={"public": False}).write(path)
    split(prepared)
    train(prepared, "toy")
    evaluate(prepared, "toy")
    assert ceilings_of(prepared, "toy") == {}
    assert "ceiling" not in (prepared.plots("toy") / "metrics.csv").read_text()


def test_the_same_evaluation_at_another_confidence_costs_nothing(evaluated: Run) -> None:
    before = evaluated.ledger().head
    wider = evaluate(but(evaluated, gates={"confidence": 0.99}), "toy")
    assert evaluated.ledger().head == before
    assert wider.confidence == 0.99


def test_a_verdict_that_passed_is_one_line_with_what_decided_it(audited: Run) -> None:
    verdict = gate.gate(audited, "toy")
    assert verdict.passed
    line = sentence(verdict)
    assert line.startswith(f"toy/{verdict.candidate} passed every gate (epsilon ")
    assert "gain_over_floor +" in line
    assert "\n" not in line
    require_passed(verdict)


def test_a_floor_that_goes_instead_says_so_in_the_line(audited: Run) -> None:
    verdict = gate.gate(but(audited, gates={"gain_over_floor": 0.9}), "toy")
    assert verdict.passed
    assert "toy/common passed every gate and goes instead of " in sentence(verdict)


def test_a_verdict_that_did_not_pass_is_one_line_with_what_failed(audited: Run) -> None:
    verdict = gate.gate(but(audited, gates={"epsilon": 0.5}), "toy")
    assert not verdict.passed
    assert "did not pass (epsilon 3," in sentence(verdict)
    assert "limit ≤ 0.5" in sentence(verdict)
    with pytest.raises(GateNotMet, match="epsilon"):
        require_passed(verdict)


def test_a_gate_without_its_audit_is_refused(evaluated: Run) -> None:
    with pytest.raises(ContractBroken, match=r"evidence .*audit.* is missing"):
        gate.gate(evaluated, "toy")


def test_a_gate_reads_the_statement_of_the_version_it_judges(audited: Run) -> None:
    verdict = gate.gate(audited, "toy")
    stated: Record = gate.statement_of(audited, "toy")
    assert verdict.statement == stated.digest
    assert gate.verdict_of(audited, "toy") == verdict


@pytest.mark.slow
def test_the_audit_trains_on_simulated_users_and_costs_nothing(evaluated: Run) -> None:
    before = evaluated.ledger().head
    found = audit(evaluated, "toy")
    assert evaluated.ledger().head == before
    chosen = Evaluation.read(evaluated.evidence("toy", "evaluate") / "test.json").chosen
    assert set(found) == {"common", chosen}
    assert found[chosen].destroyed_by_noise
    assert found[chosen].details["score_quiet"] > found[chosen].details["chance"]


@pytest.mark.slow
def test_the_audit_finds_a_mechanism_that_leaves_its_noise_out(evaluated: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(type(SERVICE.candidates["deep"])):  # type: ignore[misc]
        """What it is told about noise at an audit it forgets."""

        def at_noise(self, plan, noise_multiplier):
            return plan.model_copy(update={"noise_multiplier": 0.01})

    silent = {one.name: Silent(one.name, one.personal, one.share) for one in SERVICE.candidates.values()}
    monkeypatch.setattr(service, "find", lambda name: replace(SERVICE, candidates=silent))
    chosen = Evaluation.read(evaluated.evidence("toy", "evaluate") / "test.json").chosen
    assert not audit(evaluated, "toy")[chosen].destroyed_by_noise


def test_an_audit_with_another_ledger_says_to_train_again(
    evaluated: Run, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    elsewhere = replace(evaluated, settings=replace(evaluated.settings, home=tmp_path / "another home"))
    with pytest.raises(ContractBroken, match=r"ledger holds no release that made common .*Train again"):
        audit(elsewhere, "toy")
