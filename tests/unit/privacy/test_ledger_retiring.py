"""Blocks that cannot carry the next training retire: decided once for a window, wherever it is asked."""

import pytest

from components.privacy import accounting
from components.privacy.accounts import with_room
from components.privacy.ledger import once
from components.privacy.release import Gaussian
from tests.postgres import fresh_url
from tests.unit.privacy.builders import ONE_SHOT, balance, open_ledger, private, release_of, share, verbs
from tests.unit.privacy.test_ledger_machines import mechanism, spend

BLOCKS = ("2000Q3", "2000Q4", "2001Q1")


def test_spent_blocks_retire_and_training_goes_on_with_fresh_ones(home):
    ledger, event = open_ledger(home), Gaussian(noise_multiplier=0.8)
    for key, some in (("a", BLOCKS[:1]), ("b", BLOCKS[:2])):
        once(ledger, release_of(ONE_SHOT, blocks=some), key, private(blocks=some), mechanism)
    with ledger.release(release_of(event, blocks=BLOCKS[:1]), key="c", of=private(blocks=BLOCKS[:1])) as opened:
        _ = opened.value
    fresh = ledger.reading("window", BLOCKS, lambda: {"train": [event, ONE_SHOT]}).fresh
    assert fresh == BLOCKS[1:]
    assert ledger.reading("another", BLOCKS, lambda: {"test": [event, ONE_SHOT]}).fresh == BLOCKS
    with ledger.release(release_of(event, blocks=fresh), key="d", of=private(blocks=fresh)) as opened:
        _ = opened.value
    order = balance(ledger).order
    one, large = accounting.rdp(ONE_SHOT, order), accounting.rdp(event, order)
    charged = {account.block: account.rdp_spent for account in ledger.accounts()}
    assert charged == pytest.approx({"2000Q3": 2 * one + large, "2000Q4": one + large, "2001Q1": large})


def test_which_blocks_have_room_follows_from_balances_alone(home):
    ledger = open_ledger(home)
    spend(ledger, Gaussian(noise_multiplier=0.7), "k")
    accounts, asked = ledger.accounts(), {"train": [Gaussian(noise_multiplier=0.8)]}
    assert with_room(accounts, BLOCKS[1:], asked) == ("2001Q1",)
    assert with_room(accounts, BLOCKS[1:], {"test": asked["train"]}) == BLOCKS[1:]
    assert with_room(accounts, BLOCKS[1:], {"train": [Gaussian(noise_multiplier=3.0)]}) == BLOCKS[1:]


def test_a_block_that_was_never_charged_is_not_spent_and_nothing_is_planned_for_it(home):
    ledger = open_ledger(home)
    assert ledger.reading("window", BLOCKS, lambda: pytest.fail("it was planned")).fresh == BLOCKS
    assert verbs(ledger) == ["genesis", "read"]


def test_two_machines_decide_once_which_blocks_a_window_reads(tmp_path):
    url = fresh_url()
    here, there = (open_ledger(share(tmp_path / name, url)) for name in ("here", "there"))
    planned = {"train": [Gaussian(noise_multiplier=0.8)]}
    decided = here.reading("window", BLOCKS, lambda: planned)
    spend(here, Gaussian(noise_multiplier=0.7), "k")
    assert there.reading("window", BLOCKS, lambda: pytest.fail("it was planned")) == decided
    assert there.reading("next", BLOCKS, lambda: planned).spent == ("2000Q4",)
    assert here.reading("next", BLOCKS, lambda: {"train": []}).spent == ("2000Q4",)
    assert verbs(here).count("read") == 2
    here.verify()


def test_of_two_machines_that_ask_at_once_both_get_the_decision_of_the_first(tmp_path):
    url = fresh_url()
    here, there = (open_ledger(share(tmp_path / name, url)) for name in ("here", "there"))
    spend(here, Gaussian(noise_multiplier=0.7), "k")

    def meanwhile():
        there.reading("window", BLOCKS, lambda: {"train": [Gaussian(noise_multiplier=0.8)]})
        return {"train": []}  # by which nothing would be spent

    assert here.reading("window", BLOCKS, meanwhile).spent == ("2000Q4",)
    assert verbs(here).count("read") == 1


def test_where_every_block_is_spent_nothing_is_kept_so_that_less_may_be_asked_for(home):
    ledger = open_ledger(home)
    spend(ledger, Gaussian(noise_multiplier=0.7), "k")
    much, little = ({"train": [Gaussian(noise_multiplier=sigma)]} for sigma in (0.8, 3.0))
    assert ledger.reading("window", ("2000Q4",), lambda: much).fresh == ()
    assert "read" not in verbs(ledger)
    assert ledger.reading("window", ("2000Q4",), lambda: little).fresh == ("2000Q4",)


def test_a_hold_whose_process_died_unstarted_takes_no_room(home):
    from tests.fire.forks import die, fork, wait
    from tests.fire.judging import until_dead

    def reserve_and_die():
        with open_ledger(home).release(release_of(Gaussian(noise_multiplier=0.7)), key="k", of=private()):
            die()

    assert wait(fork(reserve_and_die)) == -9
    ledger = open_ledger(home)
    until_dead(ledger)
    planned = {"train": [Gaussian(noise_multiplier=0.8)]}
    assert ledger.reading("window", BLOCKS, lambda: planned).spent == ()
