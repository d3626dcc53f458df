"""`jali ledger show`: what a privacy officer and a program read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.core.params import Cap, Split
from components.core.private import Private
from components.core.settings import Settings
from components.privacy.ledger import Ledger, Partition, once
from components.privacy.release import Gaussian, Release, SampledGaussian
from tests.unit.commands.conftest import ON_BOTH, PARAMS

Run = Callable[..., str]

pytestmark = ON_BOTH


def opened(here: Settings, lifetime: Cap | None = None) -> Ledger:
    partition = Partition(block="quarter", split=Split())
    return Ledger.open(here.home, Cap(), lifetime, url=here.ledger_url, partition=partition)


@pytest.fixture
def ledger(here: Settings) -> Ledger:
    return opened(here)


def of(split: str) -> Private[int]:
    return Private(_load=lambda: 7, digest="rows", blocks=("2000Q4", "2001Q1"), split=split)


def release_of(split: str, event: Any, mechanism: str = "gram") -> Release:
    rows = of(split)
    return Release.model_validate(
        {
            "mechanism": mechanism,
            "service": "recommend",
            "sensitivity": 1.0,
            "event": event,
            "blocks": rows.blocks,
            "split": split,
        }
    )


def settle(ledger: Ledger, split: str, event: Any, mechanism: str = "gram") -> None:
    def work(value: int, intend: Callable[[int], None], out: Path) -> Any:
        (out / "model").write_text("learnt")
        return event

    once(ledger, release_of(split, event, mechanism), f"{mechanism} of {split}", of(split), work)


def test_an_empty_ledger_says_so(run: Run) -> None:
    lines = run("ledger", "show", "--releases").splitlines()
    assert lines[0].startswith("ledger ")
    assert [line for line in lines[1:] if line] == ["Nothing was released yet."]
    empty = json.loads(run("ledger", "show", "--json"))
    assert empty == {"genesis": empty["genesis"], "partition": None, "accounts": [], "lifetime": [], "releases": []}
    assert len(empty["genesis"]) == 32


def test_programs_read_every_account_and_every_release(run: Run, ledger: Ledger) -> None:
    settle(ledger, "train", Gaussian(noise_multiplier=2.0))
    shown = json.loads(run("ledger", "show", "--json"))
    assert shown["genesis"] == ledger.genesis
    assert shown["partition"] == {"block": "quarter", "split": {"train": 0.8, "validation": 0.1, "test": 0.1}}
    assert [(one["block"], one["split"]) for one in shown["accounts"]] == [("2000Q4", "train"), ("2001Q1", "train")]
    for account in shown["accounts"]:
        assert set(account) == {"block", "split", "cap", "delta", "spent", "held", "left", "used", "by"}
        assert (account["cap"], account["delta"]) == (10.0, 1e-6)
        [by] = account["by"]
        assert set(by) == {"service", "mechanism", "releases", "spent", "held"}
        assert (by["service"], by["mechanism"], by["releases"], by["held"]) == ("recommend", "gram", 1, 0.0)
        assert account["used"] == f"{by['spent']:.0%}"
    [lifetime] = shown["lifetime"]
    assert set(lifetime) == {"split", "bounded", "in_force", "cap", "delta", "spent", "held", "left"}
    assert (lifetime["bounded"], lifetime["cap"], lifetime["left"]) == (False, None, None)
    assert shown["releases"] == [
        {
            "mechanism": "gram",
            "service": "recommend",
            "split": "train",
            "blocks": "2000Q4, 2001Q1",
            "cost": "gaussian noise_multiplier=2, count=1",
            "attempt": 1,
            "state": "settled",
        }
    ]


def test_what_is_spent_held_and_left_adds_up_to_the_cap(run: Run, ledger: Ledger) -> None:
    settle(ledger, "train", Gaussian(noise_multiplier=2.0))
    ongoing = release_of("train", SampledGaussian(noise_multiplier=1.5, sample_rate=0.05, steps=200), "dp_sgd")
    with ledger.release(ongoing, key="ongoing", of=of("train")) as opened:
        account = json.loads(run("ledger", "show", "--json"))["accounts"][0]
        assert min(account["spent"], account["held"], account["left"]) > 0
        assert account["spent"] + account["held"] + account["left"] == pytest.approx(10)
        during = account["used"]
        assert opened.value == 7
    after = json.loads(run("ledger", "show", "--json"))["accounts"][0]
    assert after["held"] == 0
    assert after["spent"] == pytest.approx(account["spent"] + account["held"])
    assert after["used"] == during


def test_people_read_a_table_and_the_releases_only_where_they_ask(run: Run, ledger: Ledger) -> None:
    settle(ledger, "test", Gaussian(noise_multiplier=4.0), "metrics")
    plain, whole = run("ledger", "show"), run("ledger", "show", "--releases")
    assert "privacy.block: quarter, split: {train: 0.8, validation: 0.1, test: 0.1}" in plain
    accounts, by_whom, lifetime = (part.splitlines() for part in plain.strip().split("\n\n"))
    assert accounts[2].split() == ["block", "split", "cap", "spent", "held", "left", "used", "delta"]
    assert accounts[3].split()[:3] == ["2000Q4", "test", "10"]
    assert by_whom[0] == "by whom and for what, in parts of the account"
    assert by_whom[2].split()[:5] == ["2000Q4", "test", "recommend", "metrics", "1"]
    assert lifetime[2].split()[:2] == ["test", "unbounded"]
    assert lifetime[-1].startswith("unbounded: privacy.lifetime_cap is not set")
    assert "noise_multiplier" not in plain
    assert whole.startswith(plain)
    assert whole.splitlines()[-1].split()[:3] == ["metrics", "recommend", "test"]


def test_a_lifetime_cap_is_shown_as_in_force_once_a_release_was_made_under_it(run: Run, here: Settings) -> None:
    (here.root / "params.yaml").write_text(PARAMS + "privacy: {lifetime_cap: {epsilon: 20, delta: 1.0e-6}}\n")
    settle(opened(here), "train", Gaussian(noise_multiplier=4.0), "popularity")
    assert "in force from the next release on" in run("ledger", "show")
    settle(
        opened(here, Cap(epsilon=20)),
        "train",
        Gaussian(noise_multiplier=4.0),
    )
    [lifetime] = json.loads(run("ledger", "show", "--json"))["lifetime"]
    assert (lifetime["bounded"], lifetime["in_force"], lifetime["cap"]) == (True, True, 20.0)
    assert lifetime["spent"] + lifetime["held"] + lifetime["left"] == pytest.approx(20)
    shown = run("ledger", "show")
    assert "unbounded" not in shown
    assert "next release" not in shown


def test_an_account_says_that_it_keeps_the_cap_with_which_it_opened(run: Run, ledger: Ledger, here: Settings) -> None:
    settle(ledger, "train", Gaussian(noise_multiplier=4.0))
    assert "keeps the cap" not in run("ledger", "show")
    (here.root / "params.yaml").write_text(PARAMS + "privacy: {cap: {epsilon: 1, delta: 1.0e-6}}\n")
    assert "privacy.cap is ε = 1 now: of new accounts; one keeps the cap it opened with" in run("ledger", "show")
