"""The five services go one way, on one budget: each that is trained leaves the others less, and one page tells all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from components.cli import jali
from components.core import params, settings
from components.evaluation.overview import as_html
from components.registry.card import model_card
from components.registry.evidence import VersionEvidence
from components.stages.audit import audit
from components.stages.check import check
from components.stages.collect import collect
from components.stages.dataset import dataset_of
from components.stages.evaluate import evaluate, evaluation_of
from components.stages.gate import gate, statement_of
from components.stages.overview import left, lines
from components.stages.prepare import prepare
from components.stages.request import request_of
from components.stages.run import Run
from components.stages.split import split
from components.stages.train import train
from tests.unit.stages.conftest import CHECKOUT

NAMES = ["recommend", "ads", "demand", "search", "support"]
FEW = {"steps": 3, "expected_batch_size": 64}
QUICK = {"ads": {"network": FEW}, "search": {"reranker": FEW, "dense": False}, "support": {"head": FEW}}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A checkout with the usual parameters but for a small shop and short trainings, its data prepared and split."""
    root = tmp_path / "checkout"
    root.mkdir()
    shutil.copytree(CHECKOUT / "expectations", root / "expectations")
    tree = yaml.safe_load((CHECKOUT / "params.yaml").read_text())
    tree["sources"]["shop"].update(users=300, items=100)
    tree["prepare"].update(max_events_per_user=40, max_messages_per_user=2)
    tree["training"].update(ceiling=False, canaries=100, epsilon=1)
    for name, few in QUICK.items():
        tree["services"][name].update(few)
    (root / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    monkeypatch.setenv("JALI_ROOT", str(root))
    monkeypatch.setenv("JALI_HOME", str(tmp_path / "home"))
    run = Run(root=root, params=params.load(root / "params.yaml"), settings=settings.load())
    for stage in (collect, check, prepare, split):
        stage(run)
    return run


def fit(run: Run, name: str) -> int:
    """How many more trainings of a service the ledger says that it would let in."""
    words = ["ledger", "plan", name, "--users", "240", "--json"]
    for block in dataset_of(run).blocks:
        words += ["--block", block]
    said = json.loads(CliRunner().invoke(jali, words, catch_exceptions=False).output)
    return int(said["plans"][0]["fits"]["by_filter"])


@pytest.mark.slow
def test_all_are_trained_judged_and_told_by_the_same_stages_and_each_leaves_the_others_less(shop: Run) -> None:
    assert list(shop.params.services) == NAMES
    room = [fit(shop, "demand")]
    for name in NAMES:
        train(shop, name)
        evaluate(shop, name)
        audit(shop, name)
        verdict = gate(shop, name)
        room.append(fit(shop, "demand"))
        service, evaluation = shop.service(name)[0], evaluation_of(shop, name, verdict.candidate)
        for figure in service.figures:
            bounds = evaluation.metrics[verdict.candidate][figure.name]
            assert figure.low <= bounds.low <= bounds.value <= bounds.high <= figure.high, (name, figure.name)
        card = model_card(
            VersionEvidence(dataset_of(shop), request_of(shop, name), statement_of(shop, name), evaluation, verdict)
        )
        said = [one.gate for one in verdict.gates] + [one.name for one in service.figures] + ["Not covered", "Audit:"]
        assert [one for one in said if one not in card] == []
        assert len(card) < 5000, "a registry's text has room for no more"
    assert room == sorted(room, reverse=True)
    assert room[-1] < room[0]
    cap, accounts = shop.params.privacy.cap, shop.ledger().accounts()
    assert all(account.spent <= cap.epsilon for account in accounts)
    page = as_html("shop", lines(shop), left(shop))
    assert [line.service for line in lines(shop)] == NAMES
    assert "not trained here" not in page
