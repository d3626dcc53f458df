"""What is left of each account after every release: the points are the ledger's own balances, at every moment."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from components.core.params import Cap
from components.evaluation.burndown import (
    MOST_LINES,
    MOST_ROWS,
    Point,
    _apart,
    _lines,
    burn_down,
    burn_down_table,
    plot_burn_down,
)
from components.privacy.ledger import Ledger
from components.privacy.release import Gaussian
from tests.unit.privacy.builders import CAP, STEPS, balance, open_ledger, private, release_of

PNG = b"\x89PNG\r\n"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return open_ledger(tmp_path / "home", CAP)


def charge(ledger: Ledger, key: str, event: Any, *blocks: str, split: str = "train", mechanism: str = "gram") -> None:
    release = release_of(event, blocks=blocks, split=split, mechanism=mechanism)
    with ledger.release(release, key=key, of=private(blocks=blocks, split=split)) as opened:
        opened.intend(1)


def points_of(ledger: Ledger, block: str, split: str = "train") -> list[Point]:
    found = burn_down(ledger.accounts(), ledger.holds())
    return [point for point in found if (point.block, point.split) == (block, split)]


def test_each_point_is_the_balance_that_the_ledger_had_then(ledger: Ledger) -> None:
    balances = []
    for number in range(4):
        charge(ledger, str(number), Gaussian(noise_multiplier=2.0 + number), "2000Q4")
        account = balance(ledger)
        balances.append((account.rdp_left / account.rdp_cap, account.spent))
    found = points_of(ledger, "2000Q4")
    assert (found[0].number, found[0].left, found[0].epsilon) == (0, 1.0, 0.0)
    assert [point.number for point in found] == [0, 1, 2, 3, 4]
    assert [(point.left, point.epsilon) for point in found[1:]] == [pytest.approx(one) for one in balances]


def test_equal_releases_take_equal_steps_down(ledger: Ledger) -> None:
    for number in range(5):
        charge(ledger, str(number), STEPS, "2000Q4")
    left = [point.left for point in points_of(ledger, "2000Q4")]
    assert [before - after for before, after in pairwise(left)] == [pytest.approx(left[0] - left[1])] * 5


def test_a_release_over_several_blocks_is_a_step_of_each_and_of_no_other_split(ledger: Ledger) -> None:
    charge(ledger, "a", STEPS, "2000Q4")
    charge(ledger, "b", STEPS, "2000Q4", "2001Q1")
    charge(ledger, "c", STEPS, "2001Q1", split="test")
    assert [point.number for point in points_of(ledger, "2000Q4")] == [0, 1, 2]
    assert [point.number for point in points_of(ledger, "2001Q1")] == [1, 2]  # it starts where it was first read
    assert [point.number for point in points_of(ledger, "2001Q1", "test")] == [0, 1]


def test_what_is_held_is_gone_and_marked_and_what_was_given_back_is_not_there(ledger: Ledger) -> None:
    with ledger.release(release_of(mechanism="unread"), key="a", of=private()):
        pass
    with ledger.release(release_of(), key="b", of=private()) as opened:
        opened.intend(1)
        during = points_of(ledger, "2000Q4")
    assert [(point.number, point.mechanism, point.held) for point in during] == [(0, "", False), (1, "gram", True)]
    assert during[-1].left == points_of(ledger, "2000Q4")[-1].left < 1


def test_the_table_says_of_each_account_what_is_gone_and_left(ledger: Ledger) -> None:
    charge(ledger, "a", Gaussian(noise_multiplier=1.0), "2000Q4")
    charge(ledger, "b", STEPS, "2001Q1", split="test")
    head, _, first, second = burn_down_table(ledger.accounts()).splitlines()
    assert "| block | split | cap ε | spent ε | held ε | left ε | account left |" in head
    account = balance(ledger)
    share = account.rdp_left / account.rdp_cap
    cells = [cell.strip() for cell in first.strip("|").split("|")]
    assert cells[:2] == ["2000Q4", "train"]
    assert float(cells[3]) + float(cells[4]) + float(cells[5]) == pytest.approx(10, abs=0.02)
    assert cells[6] == f"{share:.0%}"
    assert cells[7].count("█") == round(20 * share)
    assert second.startswith("| 2001Q1 | test |")
    assert burn_down_table([]) == ""


def test_many_accounts_are_cut_to_those_with_the_least_left(ledger: Ledger) -> None:
    for number in range(MOST_ROWS + 3):
        charge(ledger, str(number), Gaussian(noise_multiplier=3.0 + number), f"{2000 + number}Q1")
    made = burn_down_table(ledger.accounts())
    assert made.endswith("And 3 accounts of which more is left.")
    assert f"| {2000 + MOST_ROWS - 1}Q1 |" in made
    assert f"| {2000 + MOST_ROWS}Q1 |" not in made


@pytest.mark.parametrize("blocks", [0, 1, MOST_LINES + 2])
def test_the_plot_and_its_table_hold_every_point(ledger: Ledger, tmp_path: Path, blocks: int) -> None:
    for number in range(blocks):
        charge(ledger, str(number), STEPS, f"{2000 + number}Q1", split="train" if number % 2 else "test")
    points = burn_down(ledger.accounts(), ledger.holds())
    png, table = plot_burn_down(points, tmp_path / "plots")
    assert png.read_bytes().startswith(PNG)
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["block"], row["split"], float(row["left"])) for row in rows] == [
        (point.block, point.split, point.left) for point in points
    ]
    assert len(rows) == 2 * blocks


def test_the_same_points_make_the_same_files(ledger: Ledger, tmp_path: Path) -> None:
    charge(ledger, "a", STEPS, "2000Q4")
    points = burn_down(ledger.accounts(), ledger.holds())
    first, second = ([path.read_bytes() for path in plot_burn_down(points, tmp_path / name)] for name in ("a", "b"))
    assert first == second


def test_an_account_with_a_cap_of_its_own_is_measured_by_it(tmp_path: Path) -> None:
    small = open_ledger(tmp_path, Cap(epsilon=5, delta=1e-6))
    charge(small, "a", STEPS, "2000Q4")
    [_, point] = points_of(small, "2000Q4")
    assert point.cap == 5
    assert point.left == pytest.approx(small.accounts()[0].rdp_left / small.accounts()[0].rdp_cap)


def test_blocks_that_were_always_read_together_are_one_line(ledger: Ledger) -> None:
    charge(ledger, "a", STEPS, "2000Q4", "2001Q1", "2001Q2")
    charge(ledger, "b", STEPS, "2001Q3", "2001Q4")
    charge(ledger, "c", STEPS, "2002Q1")
    lines = _lines(burn_down(ledger.accounts(), ledger.holds()))
    assert list(lines) == ["2000Q4 … 2001Q2 (3)", "2001Q3, 2001Q4", "2002Q1"]
    assert [line[-1].number for line in lines.values()] == [1, 2, 3]


@pytest.mark.parametrize("places", [[], [3.0], [10.0, 11.0, 90.0], [97.0, 98.0, 99.0], [0.0] * 6])
def test_names_stand_apart_in_their_order_and_not_above_the_panel(places: list[float]) -> None:
    moved = _apart(places, 12.0)
    assert all(after - before >= 12.0 - 1e-9 for before, after in pairwise(moved))
    assert all(place <= 100 for place in moved)
    assert len(moved) == len(places)
