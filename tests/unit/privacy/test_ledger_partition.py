"""An account is of a block and a split: what those are is fixed by the first release that says so."""

import pytest

from components.core.errors import ContractBroken, Misconfigured
from components.core.params import Split
from components.privacy.accounts import Partition
from components.privacy.ledger import once
from tests.unit.privacy.builders import ONE_SHOT, open_ledger, private, release_of, verbs

QUARTERS = Partition(block="quarter", split=Split())
MONTHS = Partition(block="month", split=Split())
OTHER_SHARES = Partition(block="quarter", split=Split(train=0.7, validation=0.2, test=0.1))


def spend(ledger, key="k"):
    def mechanism(value, intend, out):
        (out / "model").write_text("learnt")
        return ONE_SHOT

    return once(ledger, release_of(), key, private(), mechanism)


def test_the_first_release_fixes_blocks_and_splits_in_a_row_of_its_own(home):
    ledger = open_ledger(home, partition=QUARTERS)
    assert verbs(ledger) == ["genesis"]
    spend(ledger)
    spend(ledger, "another")
    assert verbs(ledger)[1:3] == ["partition", "open"]
    assert verbs(ledger).count("partition") == 1
    assert open_ledger(home).partition == QUARTERS
    ledger.verify()


@pytest.mark.parametrize(
    ("other", "found"),
    [(MONTHS, "privacy.block: month"), (OTHER_SHARES, r"train: 0\.7, validation: 0\.2, test: 0\.1")],
)
def test_other_blocks_or_splits_are_no_fresh_budget(home, other, found):
    spend(open_ledger(home, partition=QUARTERS))
    with pytest.raises(Misconfigured, match=rf"{found}.*limit privacy\.block: quarter.*Set them back"):
        open_ledger(home, partition=other)


def test_of_two_first_users_the_second_is_refused(home):
    one, two = open_ledger(home, partition=QUARTERS), open_ledger(home, partition=MONTHS)
    spend(one)
    with pytest.raises(Misconfigured, match=r"privacy\.block: month"):
        spend(two, "another")
    assert len(one.holds()) == 1


def test_a_release_that_does_not_say_what_its_blocks_are_is_refused_once_that_is_fixed(home):
    spend(open_ledger(home, partition=QUARTERS))
    with pytest.raises(Misconfigured, match="found no blocks and splits"):
        spend(open_ledger(home), "another")


def test_reading_needs_no_partition(home):
    spend(open_ledger(home, partition=QUARTERS))
    assert [account.block for account in open_ledger(home).accounts()] == ["2000Q4"]


def test_nothing_is_fixed_by_a_release_that_was_refused(home):
    ledger = open_ledger(home, partition=MONTHS)
    with pytest.raises(ContractBroken), ledger.release(release_of(split="test"), key="k", of=private()):
        pass
    assert verbs(ledger) == ["genesis"]
    spend(open_ledger(home, partition=QUARTERS))
