"""An attack on a small shop: who may be attacked, what is trained for it, and what it leaves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.core import digest, service
from components.core.errors import ContractBroken, Refused
from components.core.private import Private
from components.core.records import DataCheck, Dataset
from components.data.collect import Collected
from components.data.tables import INTERACTIONS, ITEMS
from components.evaluation.attack import Attack
from components.privacy.release import Gaussian
from components.registry.evidence import VersionEvidence
from components.services.recommend import SERVICE
from components.stages import attack as stage
from components.stages import split as split_stage
from components.stages.budget import Budget, Share
from components.stages.run import Run
from tests.unit.stages.conftest import but
from tests.unit.stages.toy import SERVICE as TOY

USERS, CATALOGUE = 600, 60
OPTIONS = {"columns": 60, "gram": {"ridge": 20}}


@pytest.fixture
def shop(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A workspace of the recommender whose users take four items of sixty."""
    monkeypatch.setattr(service, "find", lambda name: SERVICE)
    run = but(run, services={"recommend": OPTIONS})
    drawn = np.random.default_rng(5)
    folder = run.data / "prepared"
    folder.mkdir(parents=True)
    rows = [
        {
            "user": digest.of_bytes(str(user).encode())[:32],
            "item": f"I{item:02d}",
            "category": f"G{item % 3}",
            "weight": 1.0,
            "block": "2024Q1",
        }
        for user in range(USERS)
        for item in sorted(drawn.choice(CATALOGUE, 4, replace=False))
    ]
    items = [{"item": f"I{item:02d}", "title": f"{item}", "category": f"G{item % 3}"} for item in range(CATALOGUE)]
    pq.write_table(pa.Table.from_pylist(rows, INTERACTIONS), folder / "interactions.parquet")
    pq.write_table(pa.Table.from_pylist(items, ITEMS), folder / "items.parquet")
    Collected(source="shop", public=True, start=None, end=None, blocks=("2024Q1",), digest_keyed="a" * 64).write(
        run.data / "raw" / "collected.json"
    )
    for where, table in (("checked", "events"), ("checked", "items"), ("prepared", "prepared")):
        DataCheck(table=table, suite="b" * 64, passed=True).write(run.data / where / f"{table}-check.json")
    split_stage.split(run)
    return run


def subject(run: Run, noise_multiplier: float = 3.0) -> stage.Subject:
    """A Gram matrix that was trained on the train split with this noise."""
    params = run.service("recommend")[1]
    split = run.data / "split"
    rows = SERVICE.rows(split / "train", split / "public", params)
    catalogue = SERVICE.catalogue(split / "public", params)
    plans, floor = {}, None
    for name in ("popularity", "gram"):
        mechanism = SERVICE.candidates[name]
        plan = mechanism.plan(mu=1 / noise_multiplier, delta=1e-5, population=400, params=params, floor=floor)
        out = run.models("recommend") / name
        mechanism.fit(rows, plan, catalogue, floor=floor, intend=lambda steps: None, out=out)
        plans[name] = Share(mechanism=name, release=name * 8, event=plan.event, parameters=plan.model_dump(mode="json"))
        floor = out
    count = Share(mechanism="dp_count", release="count", event=Gaussian(noise_multiplier=15.0), parameters={})
    return stage.Subject(
        "gram", floor, digest.of_path(floor), Budget(epsilon=2.0, delta=1e-5, count=count, plans=plans)
    )


def make_private(run: Run) -> None:
    path = run.data / "split" / "dataset.json"
    Dataset.read(path).model_copy(update={"public": False}).write(path)


@pytest.mark.slow
def test_members_are_found_without_noise_and_not_with_it_and_the_plot_and_report_are_left(shop: Run) -> None:
    seen: list[tuple[int, int | None]] = []
    found = stage.attack(
        shop, "recommend", subject(shop), targets=120, shadows=16, progress=lambda *call: seen.append(call)
    )
    assert (found.targets, found.shadows, found.epsilon) == (120, 16, 2.0)
    assert found.exposed.auc.low > 0.7
    assert found.private.auc.low < 0.65
    assert found.private.auc.value < found.exposed.auc.value - 0.2
    assert not found.refuted
    assert seen[0] == (0, 33)
    assert seen[-1] == (33, 33)
    folder = stage.folder_of(shop, "recommend")
    assert {path.name for path in folder.iterdir()} == {"attack.json", "attack.png", "attack.csv", "report.md"}
    assert Attack.read(folder / "attack.json") == found
    assert "![ROC curves](attack.png)" in (folder / "report.md").read_text()


@pytest.mark.slow
def test_a_bundle_without_its_noise_is_refuted_by_its_answers(shop: Run) -> None:
    quiet = subject(shop, noise_multiplier=1e-9)
    found = stage.attack(
        shop,
        "recommend",
        stage.Subject("gram", quiet.bundle, quiet.digest, quiet.budget.model_copy(update={"epsilon": 0.5})),
        targets=120,
        shadows=16,
    )
    assert found.refuted


@pytest.mark.slow
def test_an_attack_that_was_made_is_found_again(shop: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = subject(shop)
    first = stage.attack(shop, "recommend", victim, targets=40, shadows=4)
    monkeypatch.setattr(Private, "open_public", _unread)
    assert stage.attack(shop, "recommend", victim, targets=40, shadows=4) == first


def test_a_private_source_is_refused_and_nothing_is_read(shop: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = subject(shop)
    make_private(shop)
    monkeypatch.setattr(Private, "open_public", _unread)
    monkeypatch.setattr(stage, "private_rows", _unread)
    with pytest.raises(Refused, match="Members of a private source are not attacked") as refused:
        stage.attack(shop, "recommend", victim)
    assert str(refused.value).count("\n") == 0
    assert not stage.folder_of(shop, "recommend").exists()


def test_a_bundle_that_is_not_the_judged_one_is_refused(shop: Run) -> None:
    victim = subject(shop)
    (victim.bundle / "config.json").write_text("{}")
    with pytest.raises(ContractBroken, match="not the one that was judged"):
        stage.attack(shop, "recommend", victim)


def test_a_service_that_cannot_be_attacked_yet_says_so(shop: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = subject(shop)
    monkeypatch.setattr(service, "find", lambda name: TOY)
    with pytest.raises(Refused, match="exposure"):
        stage.attack(but(shop, services={"toy": {}}), "toy", victim)


def test_a_version_is_found_by_what_its_home_keeps(shop: Run) -> None:
    from components.privacy.store import Store

    victim = subject(shop)
    evidence = _Evidence(victim)
    with pytest.raises(ContractBroken, match="lacks the bundle"):
        stage.subject_of_version(shop, evidence)
    Store(shop.settings.home / "store").keep(victim.bundle)
    with pytest.raises(ContractBroken, match="lacks the budget"):
        stage.subject_of_version(shop, evidence)
    shop.records().keep(victim.budget.digest, victim.budget)
    found = stage.subject_of_version(shop, evidence)
    assert (found.candidate, found.digest, found.budget) == (victim.candidate, victim.digest, victim.budget)


class _Evidence(VersionEvidence):
    """The two records of a version's evidence that tell its bundle and its budget."""

    def __init__(self, victim: stage.Subject) -> None:
        release = victim.budget.plans["gram"].release
        verdict = type("Verdict", (), {"candidate": "gram", "bundle": victim.digest, "service": "recommend"})
        object.__setattr__(self, "verdict", verdict)
        object.__setattr__(self, "statement", type("Statement", (), {"releases": {"gram": release}}))


def _unread(*_: Any, **__: Any) -> Any:
    raise AssertionError("something was read")
