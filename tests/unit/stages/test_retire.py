"""New blocks come with new windows, and spent ones retire: their rows are left out before anything is trained."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from components.core.errors import BudgetExhausted, ContractBroken
from components.core.private import Private
from components.data.collect import Collected
from components.privacy import accounting
from components.privacy.release import Gaussian, Release
from components.stages import planned as planned_stage
from components.stages import prepare as prepare_stage
from components.stages.dataset import dataset_of
from components.stages.planned import Users, planned
from components.stages.rows import counted
from components.stages.run import Run
from components.stages.split import split
from tests.postgres import fresh_url
from tests.unit.stages.conftest import but, write_prepared

QUARTERS = ("2024Q1", "2024Q2")


def window(run: Run, *blocks: str) -> None:
    """Collect and prepare rows of these blocks: every user has one item in each."""
    rows = [
        {"user": f"{user:032x}", "item": f"I{place}", "category": f"G{place}", "weight": 1.0, "block": block}
        for user in range(400)
        for place, block in enumerate(blocks)
    ]
    write_prepared(run, rows)
    record = Collected(source="shop", public=True, start=None, end=None, blocks=blocks, digest_keyed="a" * 64)
    record.write(run.data / "raw" / "collected.json")


def test_a_service_that_the_dataset_has_nothing_for_keeps_no_block_from_the_others(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_ads(of: Run, name: str, users: Users) -> object:
        if name == "ads":
            raise ContractBroken("The public table ads is missing")
        return planned(of, name, users)

    window(run, *QUARTERS)
    spend(run, "2024Q1", 0.99)
    alone = Run(run.root, run.params, run.settings)
    both = replace(run, params=run.params.model_copy(update={"services": {"toy": {}, "ads": {}}}))
    monkeypatch.setattr(planned_stage, "planned", without_ads)
    split(both)
    assert blocks_in(both) == {"2024Q2"}
    assert dataset_of(alone).blocks == ("2024Q2",)


def spend(run: Run, block: str, share: float, which: str = "train") -> None:
    """Charge an account with this share of it."""
    order, budget = accounting.rdp_budget(10, 1e-6)
    event = Gaussian(noise_multiplier=(order / (2 * share * budget)) ** 0.5)
    rows = Private(_load=lambda: 1, digest="rows", blocks=(block,), split=which)
    release = Release.model_validate(
        {
            "mechanism": "gram",
            "service": "toy",
            "sensitivity": 1.0,
            "event": event,
            "blocks": (block,),
            "split": which,
        }
    )
    with run.ledger().release(release, key=f"{block} {share} {which}", of=rows) as opened:
        _ = opened.value


def blocks_in(run: Run) -> set[str]:
    names = ("train", "validation", "test")
    tables = [pq.read_table(run.data / "split" / name / "interactions.parquet", columns=["block"]) for name in names]
    return {block for table in tables for block in table["block"].unique().to_pylist()}


def taken(run: Run, which: str = "train") -> float:
    """The share of a new account that the next training takes, as `jali ledger plan` counts it."""
    order, budget = accounting.rdp_budget(10, 1e-6)
    steps = planned(run, "toy", Users.guessed(run, 10_000))
    return sum(accounting.rdp(step.event, order) for step in steps if step.split == which) / budget


def test_a_fresh_ledger_retires_nothing_and_charges_nothing(prepared: Run) -> None:
    window(prepared, *QUARTERS)
    assert split(prepared).blocks == QUARTERS
    assert blocks_in(prepared) == set(QUARTERS)
    assert prepared.ledger().accounts() == []


@pytest.mark.parametrize("which", ["train", "validation"])
def test_a_block_is_spent_exactly_where_the_next_training_no_longer_fits(prepared: Run, which: str) -> None:
    window(prepared, *QUARTERS)
    asked = taken(prepared, which)
    spend(prepared, "2024Q1", 1 - 1.001 * asked, which)
    spend(prepared, "2024Q2", 1 - 0.999 * asked, which)
    assert split(prepared).blocks == ("2024Q1",)


def test_a_smaller_training_goes_on_with_blocks_that_are_spent_for_a_larger(prepared: Run) -> None:
    window(prepared, *QUARTERS)
    for block in QUARTERS:
        spend(prepared, block, 1 - 0.9 * taken(prepared))
    with pytest.raises(BudgetExhausted, match="room for one training more, at ε = 3"):
        split(prepared)
    assert split(but(prepared, training={"epsilon": 1.0})).blocks == QUARTERS


def test_of_two_services_one_training_each_must_fit(prepared: Run) -> None:
    window(prepared, *QUARTERS)
    spend(prepared, "2024Q1", 1 - 1.5 * taken(prepared))
    both = Run(
        root=prepared.root,
        params=prepared.params.model_copy(update={"services": {"toy": {}, "again": {}}}),
        settings=prepared.settings,
    )
    assert split(both).blocks == ("2024Q2",)


def test_two_machines_on_one_ledger_make_the_same_dataset_whatever_the_first_has_spent_since(
    prepared: Run, tmp_path: Path
) -> None:
    url, there = fresh_url(), tmp_path / "there"
    here = Run(prepared.root, prepared.params, replace(prepared.settings, ledger_url=url))
    window(here, *QUARTERS)
    first = split(here)
    spend(here, "2024Q1", 0.95)
    there.mkdir()
    shutil.copy(here.settings.home / "pseudonym.key", there)
    other = Run(here.root, here.params, replace(here.settings, home=there))
    assert split(other) == first
    assert [entry.verb for entry in other.ledger().entries()].count("read") == 1


def test_the_account_over_a_lifetime_never_retires_a_block_and_lets_no_training_in(prepared: Run) -> None:
    window(prepared, *QUARTERS)
    capped = but(prepared, privacy={"lifetime_cap": {"epsilon": 10, "delta": 1e-6}})
    spend(capped, "2023Q4", 0.9999)
    assert split(capped).blocks == QUARTERS
    with pytest.raises(BudgetExhausted, match="does not fit into the account lifetime/train"):
        counted(capped, "train", "toy")


@pytest.mark.parametrize("which", ["train", "test"])
def test_rows_of_a_spent_block_are_left_out_and_the_count_charges_the_fresh_one_alone(
    prepared: Run, which: str
) -> None:
    window(prepared, *QUARTERS)
    spend(prepared, "2024Q1", 0.85, which)
    dataset = split(prepared)
    assert dataset.blocks == dataset_of(prepared).blocks == ("2024Q2",)
    assert blocks_in(prepared) == {"2024Q2"}
    before = prepared.ledger().accounts()
    counted(prepared, "train", "toy")
    charged = {account.block: account.rdp_spent for account in prepared.ledger().accounts() if account.split == "train"}
    assert charged["2024Q2"] > 0
    assert charged.get("2024Q1", 0) == sum(one.rdp_spent for one in before if one.split == "train")


def test_a_training_on_several_blocks_charges_each(prepared: Run) -> None:
    window(prepared, *QUARTERS)
    split(prepared)
    counted(prepared, "train", "toy")
    charged = {account.block: account.rdp_spent for account in prepared.ledger().accounts()}
    assert set(charged) == set(QUARTERS)
    assert charged["2024Q1"] == charged["2024Q2"] > 0


def test_a_dataset_stays_what_it_was_when_its_own_trainings_spend_its_blocks(prepared: Run) -> None:
    window(prepared, *QUARTERS)
    first = split(prepared)
    spend(prepared, "2024Q1", 0.9)
    assert split(prepared) == first, "so that what was released from it is found again"
    window(prepared, *QUARTERS, "2024Q3")
    assert split(prepared).blocks == ("2024Q2", "2024Q3")


def test_a_window_of_spent_blocks_alone_is_refused(prepared: Run) -> None:
    window(prepared, *QUARTERS)
    for block in QUARTERS:
        spend(prepared, block, 0.85)
    with pytest.raises(BudgetExhausted, match=r"Every block of the window is spent \(found 2024Q1, 2024Q2.*newer"):
        split(prepared)
    assert not (prepared.data / "split").exists()


def test_a_spent_block_is_left_out_before_anything_is_bounded(prepared: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[str, ...]] = []
    for room, name in (("prepare", "prepare"), ("activity", "extend")):
        monkeypatch.setattr(f"components.data.{room}.{name}", lambda *_, blocks, **__: read.append(tuple(blocks)))
    monkeypatch.setattr("components.quality.stage.check_prepared", lambda *_, **__: ())
    for table in ("events", "items"):
        (prepared.data / "checked" / f"{table}.parquet").write_bytes(b"")
    window(prepared, *QUARTERS)
    spend(prepared, QUARTERS[0], 0.99)
    prepare_stage.prepare(prepared)
    assert read == [QUARTERS[1:], QUARTERS[1:]]
