"""`jali ledger verify`: whether any row was changed, removed or moved, or the last ones cut off."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from components.core.errors import ContractBroken, Misconfigured
from components.core.params import Cap
from components.core.settings import Settings
from components.privacy.anchors import Anchor
from components.privacy.ledger import Ledger
from components.privacy.release import Gaussian
from components.registry import anchors
from tests.unit.privacy.builders import raw

from .conftest import ON_BOTH
from .test_ledger import settle

Run = Callable[..., str]

pytestmark = ON_BOTH


@pytest.fixture
def ledger(here: Settings) -> Ledger:
    book = Ledger.open(here.home, Cap(), url=here.ledger_url)
    settle(book, "train", Gaussian(noise_multiplier=4.0))
    return book


def test_a_whole_ledger_is_said_to_be_whole_and_its_head_is_there_to_note(run: Run, ledger: Ledger) -> None:
    lines = run("ledger", "verify").splitlines()
    assert lines[0].endswith(f"{ledger.head.seq} rows, none was changed, removed or moved")
    assert lines[1:] == ["heads found again: 0", f"head {ledger.head}"]
    assert "heads found again: 1" in run("ledger", "verify", "--anchor", str(ledger.head))
    told = json.loads(run("ledger", "verify", "--json"))
    assert told == {"genesis": ledger.genesis, "head": str(ledger.head), "anchors": [], "of_other_ledgers": []}


def test_a_changed_row_is_found(run: Run, here: Settings, ledger: Ledger) -> None:
    with raw(here.home) as execute:
        execute("UPDATE entries SET verb = 'release' WHERE verb = 'settle'")
    with pytest.raises(ContractBroken, match="was changed or removed"):
        run("ledger", "verify")


def test_a_cut_end_is_found_by_a_head_that_was_noted(run: Run, here: Settings, ledger: Ledger) -> None:
    noted = str(ledger.head)
    with raw(here.home) as execute:
        execute("DELETE FROM entries WHERE seq = (SELECT max(seq) FROM entries)")
    assert "none was changed" in run("ledger", "verify")
    with pytest.raises(ContractBroken, match="cut or replaced"):
        run("ledger", "verify", "--anchor", noted)
    with pytest.raises(Misconfigured, match="no head of a ledger"):
        run("ledger", "verify", "--anchor", "the last one")


def test_versions_of_another_ledger_are_named_so_that_a_removed_home_does_not_go_unseen(
    run: Run, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = anchors.Kept("version 3 of recommend", Anchor("f" * 32, ledger.head))
    monkeypatch.setattr(anchors, "kept", lambda settings, genesis: ([], [before]))
    assert f"version 3 of recommend was trained under another ledger, {'f' * 12}" in run("ledger", "verify")
    told = json.loads(run("ledger", "verify", "--json"))["of_other_ledgers"]
    assert told == [{"where": "version 3 of recommend", "genesis": "f" * 32}]
