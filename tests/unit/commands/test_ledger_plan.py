"""`jali ledger plan`: what a training would cost and how many more fit; and bad input that costs nothing."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from components.core import service
from components.core.errors import BudgetExhausted, ContractBroken, JaliError, Misconfigured
from components.core.params import Cap, Split
from components.core.private import Private
from components.core.settings import Settings
from components.privacy.ledger import Ledger, Partition
from components.privacy.release import Gaussian, Release
from components.services.recommend import SERVICE
from components.stages import planned as stage
from tests.unit.commands.conftest import ON_BOTH, PARAMS
from tests.unit.commands.test_ledger import opened
from tests.unit.stages.toy import SERVICE as TOY

Run = Callable[..., str]

pytestmark = ON_BOTH


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every service is the toy, whose plans are Gaussian and made at once."""
    monkeypatch.setattr(service, "find", lambda name: TOY)


def charge(here: Settings, sigma: float, *, blocks: tuple[str, ...] = ("2026Q1",), lifetime: Cap | None = None) -> None:
    """Make one release of the train users."""
    ledger = Ledger.open(
        here.home, Cap(), lifetime, url=here.ledger_url, partition=Partition(block="quarter", split=Split())
    )
    rows = Private(_load=lambda: 7, digest=f"rows {sigma} {blocks}", blocks=blocks, split="train")
    event = Gaussian(noise_multiplier=sigma)
    release = Release(mechanism="gram", service="ads", sensitivity=1.0, event=event, blocks=blocks, split="train")
    with ledger.release(release, key=rows.digest, of=rows) as opened:
        opened.intend(1)


def test_where_one_service_cannot_be_planned_the_others_are_and_it_says_why(
    run: Run, here: Settings, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = stage.planned

    def without_ads(of: object, name: str, users: object) -> object:
        if name == "ads":
            raise ContractBroken("The public table ads is missing")
        return real(of, name, users)

    monkeypatch.setattr(stage, "planned", without_ads)
    (here.root / "params.yaml").write_text(PARAMS.replace("recommend: {}", "recommend: {}, ads: {}"))
    said = json.loads(run("ledger", "plan", "--users", "20000", "--block", "2026Q1", "--json"))
    assert [one["service"] for one in said["plans"]] == ["recommend"]
    assert "ads is missing" in said["cannot_be_planned"]["ads"]
    assert "ads cannot be planned" in run("ledger", "plan", "--users", "20000", "--block", "2026Q1")
    with pytest.raises(ContractBroken):
        run("ledger", "plan", "ads", "--users", "20000", "--block", "2026Q1")


def rows_of(here: Settings) -> int:
    return len(opened(here).entries())


@pytest.mark.slow
def test_programs_read_every_release_of_a_training_under_keys_that_stay(run: Run, here: Settings) -> None:
    [plan] = json.loads(run("ledger", "plan", "recommend", "--users", "20000", "--block", "2026Q1", "--json"))["plans"]
    assert set(plan) == {
        *("service", "source", "blocks", "users", "users_are", "releases", "totals", "accounts", "fits"),
    }
    assert plan["users"] == {"train": 20000, "validation": 2500, "test": 2500}
    assert [(one["purpose"], one["mechanism"], one["split"]) for one in plan["releases"]] == [
        ("count", "dp_count", "train"),
        ("floor", SERVICE.floor.name, "train"),
        *(("candidate", name, "train") for name in SERVICE.params().candidates if name != SERVICE.floor.name),
        ("count", "dp_count", "validation"),
        ("evaluation", "metrics", "validation"),
        ("count", "dp_count", "test"),
        ("evaluation", "metrics", "test"),
    ]
    for release in plan["releases"]:
        assert set(release) == {"purpose", "mechanism", "split", "cost", "event", "epsilon", "delta"}
        assert release["epsilon"] > 0
    assert [set(total) for total in plan["totals"]] == [{"split", "epsilon", "delta"}] * 3
    limits = {"train": 3.0, "validation": 2.0, "test": 2.0}
    assert all(0.95 * limits[one["split"]] < one["epsilon"] <= 1.01 * limits[one["split"]] for one in plan["totals"])
    assert plan["totals"][0]["delta"] == pytest.approx(1 / 200_000)
    assert [(one["block"], one["split"]) for one in plan["accounts"]] == [
        ("2026Q1", split) for split in ("train", "validation", "test")
    ]
    for account in plan["accounts"]:
        assert set(account) == {
            *("block", "split", "cap", "delta", "left", "used", "one_training", "by_filter", "by_pld"),
        }
        assert 0 < account["by_filter"] <= account["by_pld"]
    assert plan["fits"] == {key: min(one[key] for one in plan["accounts"]) for key in ("by_filter", "by_pld")}


@pytest.mark.usefixtures("quick")
def test_what_is_spent_leaves_room_for_fewer_and_the_fullest_account_decides(run: Run, here: Settings) -> None:
    def fitting(*blocks: str) -> dict[str, int]:
        asked = [word for block in blocks for word in ("--block", block)]
        [plan] = json.loads(run("ledger", "plan", "--users", "20000", *asked, "--json"))["plans"]
        return dict(plan["fits"])

    fresh = fitting("2026Q1")
    charge(here, 0.8)
    spent = fitting("2026Q1")
    assert spent["by_filter"] < fresh["by_filter"]
    assert spent["by_pld"] < fresh["by_pld"]
    assert fitting("2026Q2") == fresh
    assert fitting("2026Q1", "2026Q2") == spent


@pytest.mark.usefixtures("quick")
def test_a_lifetime_cap_bounds_trainings_on_blocks_that_are_fresh(run: Run, here: Settings) -> None:
    (here.root / "params.yaml").write_text(PARAMS + "privacy: {lifetime_cap: {epsilon: 10, delta: 1.0e-6}}\n")
    charge(here, 0.8, lifetime=Cap())
    [plan] = json.loads(run("ledger", "plan", "--users", "20000", "--block", "2026Q4", "--json"))["plans"]
    lifetime = {one["split"]: one for one in plan["accounts"] if one["block"] == "lifetime"}
    assert set(lifetime) == {"train", "validation", "test"}
    assert plan["fits"]["by_filter"] == lifetime["train"]["by_filter"] < plan["accounts"][0]["by_filter"]


@pytest.mark.slow
def test_people_read_what_it_costs_and_how_many_fit(run: Run, here: Settings) -> None:
    shown = run("ledger", "plan", "recommend", "--epsilon", "1", "--block", "2026Q3")
    lines = shown.splitlines()
    assert lines[0].startswith("recommend on 2026Q3 of shop; users assumed: train 10,000")
    assert lines[1].split() == ["purpose", "mechanism", "split", "cost", "epsilon"]
    assert "together in train: ε = " in shown
    assert "more by the filter  more by PLD" in shown
    assert lines[-1].endswith("by PLD")
    assert int(lines[-1].split()[0]) > 10


@pytest.mark.parametrize(
    ("asked", "kind", "sentence"),
    [
        (["--epsilon", "0"], Misconfigured, r"training\.epsilon: Input should be greater than 0 \(found 0\.0\)"),
        (["--epsilon", "-2"], Misconfigured, r"training\.epsilon: Input should be greater than 0 \(found -2\.0\)"),
        (["--epsilon", "nan"], Misconfigured, r"training\.epsilon: .*found nan"),
        (["--epsilon", "inf"], Misconfigured, r"training\.epsilon: Input should be a finite number"),
        (["--epsilon", "0.01"], BudgetExhausted, r"The count of the users leaves nothing .*asked ε = 0\.01"),
        (["--delta", "0.01"], Misconfigured, r"max_delta is above what the gate .*found δ = 0\.01, limit gates\.delta"),
        (["--delta", "0"], Misconfigured, r"training\.max_delta: Input should be greater than 0"),
        (["--delta", "2"], Misconfigured, r"training\.max_delta: Input should be less than 1"),
        (
            ["--block", "2026-07"],
            Misconfigured,
            r"There is no such block \(found 2026-07, limit privacy\.block: quarter",
        ),
        (["--block", "2026Q5"], Misconfigured, r"There is no such block"),
        (["--block", "lifetime"], Misconfigured, r"There is no such block"),
        (["--users", "0"], Misconfigured, r"A training needs users \(found 0, limit at least 1\)"),
        (["nobody"], Misconfigured, r"There is no such service \(found nobody"),
        (["--source", "nowhere"], Misconfigured, r"source 'nowhere' is not one of"),
    ],
)
def test_bad_input_is_one_sentence_and_costs_nothing(
    run: Run, here: Settings, asked: list[str], kind: type[JaliError], sentence: str
) -> None:
    charge(here, 3.0)
    before = rows_of(here)
    with pytest.raises(kind, match=sentence) as refused:
        run("ledger", "plan", *asked)
    assert "\n" not in str(refused.value)
    assert rows_of(here) == before


@pytest.mark.parametrize("key", ["cap", "lifetime_cap"])
def test_a_cap_below_what_is_spent_is_one_sentence_and_costs_nothing(run: Run, here: Settings, key: str) -> None:
    charge(here, 0.8)
    before = rows_of(here)
    (here.root / "params.yaml").write_text(PARAMS + f"privacy: {{{key}: {{epsilon: 2, delta: 1.0e-6}}}}\n")
    with pytest.raises(
        Misconfigured, match=rf"privacy\.{key} is below what the account .* has spent \(found cap ε = 2"
    ):
        run("ledger", "plan", "--block", "2026Q1")
    assert rows_of(here) == before


@pytest.mark.usefixtures("quick")
def test_planning_charges_nothing_and_says_the_same_again(run: Run, here: Settings) -> None:
    charge(here, 3.0)
    before = rows_of(here)
    assert run("ledger", "plan", "--json") == run("ledger", "plan", "--json")
    assert rows_of(here) == before
