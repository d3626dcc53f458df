"""The ledger's head is on every version and in every decision, and a ledger that was cut later is found out by them."""

import sqlite3

import pytest

from components.core.errors import ContractBroken
from components.core.params import Cap
from components.core.private import Private
from components.privacy.anchors import Anchor
from components.privacy.ledger import Ledger
from components.privacy.release import Gaussian, Release
from components.registry import anchors, promotion
from components.registry.history import History

from .people import NOW, versioned
from .test_promotion import asked, decide


@pytest.fixture
def ledger(settings):
    return Ledger.open(settings.home, Cap())


def spend(ledger, key):
    event, rows = (
        Gaussian(noise_multiplier=5.0),
        Private(_load=lambda: 1, digest="rows", blocks=("2000Q4",), split="train"),
    )
    release = Release(mechanism="m", service="echo", sensitivity=1, event=event, blocks=rows.blocks, split="train")
    with ledger.release(release, key=key, of=rows) as opened:
        _ = opened.value


def cut(settings, after):
    with sqlite3.connect(settings.home / "ledger.db") as other:
        other.execute("DELETE FROM entries WHERE seq > ?", (after.seq,))


def heads(settings, ledger):
    return {one.where: one.anchor.head for one in anchors.kept(settings, ledger.genesis)[0]}


def test_every_version_and_every_decision_carries_the_head_of_its_time(settings, echo, ledger):
    spend(ledger, "training")
    trained = ledger.head
    versioned(settings, echo)
    spend(ledger, "another")
    decided = ledger.head
    asked(settings)
    decide(settings, outcome="reject")
    assert heads(settings, ledger) == {"version 1 of echo": trained, "decision on version 1 of echo": decided}
    assert ledger.verify(*heads(settings, ledger).values()) == decided


@pytest.mark.parametrize("kept_by", ["version", "decision"])
def test_a_ledger_that_was_cut_behind_a_version_or_a_decision_is_found_out(settings, echo, ledger, kept_by):
    first = ledger.head
    if kept_by == "decision":
        versioned(settings, echo)
        spend(ledger, "training")
        asked(settings)
        decide(settings)
    else:
        spend(ledger, "training")
        versioned(settings, echo)
    cut(settings, first)
    again = Ledger.open(settings.home, Cap())
    assert again.verify() == first, "by itself it is a valid older log"
    with pytest.raises(ContractBroken, match="cut or replaced"):
        again.verify(*heads(settings, again).values())


def test_a_ledger_with_a_changed_row_lets_no_version_be_decided_on(settings, echo, ledger):
    spend(ledger, "training")
    versioned(settings, echo)
    asked(settings)
    with sqlite3.connect(settings.home / "ledger.db") as other:
        other.execute("UPDATE entries SET body = body || ' ' WHERE seq = 3")
    with pytest.raises(ContractBroken, match="was changed or removed"):
        decide(settings)
    assert len(History(settings.home).entries()) == 1


def test_a_decision_whose_head_was_changed_is_not_valid(settings, echo, ledger):
    versioned(settings, echo)
    asked(settings)
    decision = decide(settings)
    assert Anchor.parse(decision.ledger_head) == Anchor(ledger.genesis, ledger.head)
    from components.core.errors import ApprovalInvalid
    from components.registry import identities

    with pytest.raises(ApprovalInvalid):
        identities.verify(decision.model_copy(update={"ledger_head": ""}), "ben", identities.load(settings.identities))


def test_a_decision_over_another_ledger_is_found_and_a_version_of_one_is_named(settings, echo, ledger, tmp_path):
    versioned(settings, echo)
    mine, others = anchors.kept(settings, "f" * 32)
    assert (mine, [one.where for one in others]) == ([], ["version 1 of echo"])
    asked(settings)
    decide(settings)
    with pytest.raises(ContractBroken, match="decision on version 1 of echo was made over another ledger"):
        anchors.kept(settings, "f" * 32)


def test_where_nothing_was_ever_charged_there_is_no_head_to_keep(settings, echo):
    versioned(settings, echo)
    asked(settings)
    decide(settings)
    assert anchors.kept(settings, "f" * 32) == ([], [])
    assert not (settings.home / "ledger.db").exists()
    assert promotion.promote(settings, History(settings.home).last_request("echo").digest, now=NOW).version == 1
