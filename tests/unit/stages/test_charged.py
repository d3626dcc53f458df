"""Everything that is learnt from people's rows is a row of the ledger: told by the rows, after the stages ran."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from components.core import params, service, settings
from components.core.errors import Misconfigured
from components.core.params import Prepare, Source, Window
from components.core.records import Evaluation
from components.data.collect import collect
from components.data.prepare import prepare
from components.data.sources import open_source
from components.services.recommend import SERVICE as RECOMMEND
from components.stages import gate as gates
from components.stages.audit import audit
from components.stages.budget import Budget
from components.stages.evaluate import evaluate
from components.stages.rows import counted
from components.stages.run import Run
from components.stages.split import split
from components.stages.train import observed, train
from tests.unit.stages.conftest import CHECKOUT, USERS, but
from tests.unit.stages.toy import SERVICE, Toy, ToyParams

SHOP = {"kind": "shop", "public": True, "users": 1200, "items": 100, "seed": 3}
TRIALS = {"toy": {"linear": [{"scale": 2.0}, {"scale": 3.0}]}}


def charged(run: Run) -> list[tuple[str, str, str]]:
    """What the rows of the ledger say was reserved, and settled in full, in order."""
    entries = run.ledger().entries()
    reserved = [entry.body for entry in entries if entry.verb == "reserve"]
    settled = [(entry.body["key"], entry.body["attempt"]) for entry in entries if entry.verb == "settle"]
    assert [(body["key"], body["attempt"]) for body in reserved] == settled
    return [(body["release"]["service"], body["release"]["mechanism"], body["release"]["split"]) for body in reserved]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each table of people in `data/split` was read."""
    found, read = Counter[str](), pq.read_table

    def counting(source: Any, **options: Any) -> Any:
        path = Path(source)
        if path.parent.parent.name == "split" and path.parent.name != "public":
            found[path.parent.name] += 1
        return read(source, **options)

    monkeypatch.setattr(pq, "read_table", counting)
    return found


def test_count_floor_every_candidate_and_both_evaluations_are_charged_once_and_nothing_is_read_besides(
    divided: Run, reads: Counter[str]
) -> None:
    run = but(divided, training={"ceiling": False})
    train(run, "toy")
    evaluate(run, "toy")
    rows = charged(run)
    assert rows == [
        ("all", "dp_count", "train"),
        ("toy", "common", "train"),
        ("toy", "linear", "train"),
        ("toy", "deep", "train"),
        ("all", "dp_count", "validation"),
        ("toy", "metrics", "validation"),
        ("all", "dp_count", "test"),
        ("toy", "metrics", "test"),
    ]
    assert reads == Counter(which for _, _, which in rows)


def test_audit_and_gate_read_what_is_released_and_what_is_simulated_and_charge_nothing(divided: Run) -> None:
    train(divided, "toy")
    evaluate(divided, "toy")
    head = divided.ledger().head
    for which in ("train", "validation", "test"):
        (divided.data / "split" / which / "interactions.parquet").unlink()
    audit(divided, "toy")
    gates.gate(divided, "toy")
    assert divided.ledger().head == head


def test_canaries_take_part_and_cost_nothing(divided: Run) -> None:
    for audited in (True, False):
        trained = train(but(divided, training={"audit": audited}), "toy")
        assert all((observed(divided, one) is not None) == audited for one in trained)
    releases = [hold.release for hold in divided.ledger().holds() if hold.release.service == "toy"]
    with_them, without = releases[:3], releases[3:]
    assert [one.event for one in with_them] == [one.event for one in without]
    assert [one.sensitivity for one in with_them] == [one.sensitivity for one in without]
    users = counted(divided, "train", "toy")[0].noised
    assert users == pytest.approx(0.8 * USERS, abs=150)  # they are none of those that are counted


def test_the_count_is_made_once_for_all_services_and_each_service_is_charged_its_own(divided: Run) -> None:
    run = but(divided, services={"other": {}})
    for name in ("toy", "other"):
        train(run, name)
    assert Counter(mechanism for _, mechanism, _ in charged(run))["dp_count"] == 1


def test_every_trial_of_a_tuning_is_trained_charged_and_compared(divided: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []

    def plan(self: Toy, *, params: ToyParams, **facts: Any) -> Any:
        given.append(params.scale)
        return original(self, params=params, **facts)

    original = Toy.plan
    monkeypatch.setattr(Toy, "plan", plan)
    run = but(divided, training={"trials": TRIALS})
    trained = train(run, "toy")
    evaluate(run, "toy")
    names = ["common", "linear", "linear-2", "linear-3", "deep"]
    assert [one.candidate for one in trained] == names
    mechanisms = [mechanism for _, mechanism, which in charged(run) if which == "train"]
    assert mechanisms == ["dp_count", *names]
    assert {2.0, 3.0} <= set(given)
    compared = Evaluation.read(run.evidence("toy", "evaluate") / "validation.json")
    assert set(compared.metrics) == set(names)


def test_trials_share_the_part_of_their_candidate_and_cost_the_whole_training_nothing_more(divided: Run) -> None:
    alone, tuned = divided.service("toy")[0], but(divided, training={"trials": TRIALS}).service("toy")[0]
    shares = {name: candidate.share for name, candidate in tuned.candidates.items()}
    assert sum(shares[name] for name in ("linear", "linear-2", "linear-3")) == pytest.approx(
        alone.candidates["linear"].share
    )
    assert shares["deep"] == alone.candidates["deep"].share
    squares = {}
    for which, run in (("tuned", but(divided, training={"trials": TRIALS})), ("alone", divided)):
        train(run, "toy")
        budget = Budget.read(run.evidence("toy", "train") / "budget.json")
        squares[which] = {name: share.event.noise_multiplier**-2 for name, share in budget.plans.items()}
        counted_too = budget.count.event.noise_multiplier**-2
        if which == "tuned":  # what the ledger charged is what was planned, every trial of it
            account = next(one for one in run.ledger().accounts() if one.split == "train")
            due = account.order / 2 * (counted_too + sum(squares[which].values()))
            assert account.rdp_spent == pytest.approx(due, rel=1e-9)
    linear = sum(square for name, square in squares["tuned"].items() if name.startswith("linear"))
    assert linear == pytest.approx(squares["alone"]["linear"], rel=0.01)  # ε is met to half a percent
    assert squares["tuned"]["deep"] == pytest.approx(squares["alone"]["deep"], rel=0.01)
    assert sum(squares["tuned"].values()) == pytest.approx(sum(squares["alone"].values()), rel=0.01)


@pytest.mark.parametrize(
    ("trials", "sentence"),
    [
        ({"nobody": [{}]}, r"names what cannot be tuned \(found nobody, limit linear, deep\)"),
        ({"common": [{}]}, r"names what cannot be tuned \(found common"),
        ({"linear": [{"sacle": 2.0}]}, r"trials\.toy\.linear, number 1 has the unknown key sacle .*allowed keys scale"),
        ({"linear": [{"scale": 2.0}, {"scale": "wide"}]}, r"trials\.toy\.linear, number 2: scale: .*found 'wide'"),
    ],
)
def test_a_trial_that_is_none_is_one_sentence_and_nothing_is_spent(
    divided: Run, trials: dict[str, Any], sentence: str
) -> None:
    run = but(divided, training={"trials": {"toy": trials}})
    with pytest.raises(Misconfigured, match=sentence):
        train(run, "toy")
    assert [entry.verb for entry in run.ledger().entries()] == ["genesis", "read"]


def test_a_service_without_a_tuning_is_the_service_itself(divided: Run) -> None:
    assert divided.service("toy")[0] is SERVICE


@pytest.mark.slow
def test_the_recommender_is_charged_for_its_counts_its_candidates_and_its_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: Counter[str]
) -> None:
    monkeypatch.setenv("JALI_HOME", str(tmp_path / "home"))
    tree = params.load(CHECKOUT / "params.yaml")
    every = list(RECOMMEND.candidates)
    quick = {"recommend": {"columns": 40, "candidates": every, "autoencoder": {"steps": 3, "hidden": 8}}}
    chosen = tree.but(source="shop", sources={"shop": SHOP}, services=quick, training={"ceiling": False, "epsilon": 6})
    run = Run(root=tmp_path / "workspace", params=chosen, settings=settings.load())
    source, block = Source.model_validate(SHOP), chosen.privacy.block
    now = datetime(2100, 1, 1, tzinfo=UTC)
    collect(open_source(source, tmp_path), source, Window(), block, run.settings.home, run.data / "raw", now=now)
    raw = run.data / "raw"
    prepare(raw / "events.parquet", raw / "items.parquet", Prepare(), block, run.data / "prepared")
    split(run)
    reads.clear()
    train(run, "recommend")
    evaluate(run, "recommend")
    rows = charged(run)
    assert Counter(rows) == Counter(
        [
            *(("all", "dp_count", which) for which in ("train", "validation", "test")),
            *(("recommend", name, "train") for name in RECOMMEND.candidates),
            *(("recommend", "metrics", which) for which in ("validation", "test")),
        ]
    )
    assert reads == Counter(which for _, _, which in rows)
    assert service.find("recommend") is RECOMMEND
