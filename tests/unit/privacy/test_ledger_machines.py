"""Homes, machines and ledgers: nobody gets a second budget over the same people, by mistake or by moving house."""

import shutil
from datetime import UTC, datetime, timedelta

import pytest

from components.core.errors import BudgetExhausted, ContractBroken, Misconfigured, Unavailable
from components.core.params import Cap, Split
from components.core.settings import load
from components.privacy import accounting, chain
from components.privacy.accounts import LIFETIME, Partition
from components.privacy.ledger import once
from components.privacy.release import Gaussian
from tests.postgres import fresh_url
from tests.unit.privacy.builders import (
    CAP,
    ONE_SHOT,
    balance,
    new_home,
    open_ledger,
    private,
    raw,
    release_of,
    rows,
    share,
    verbs,
)

QUARTERS = Partition(block="quarter", split=Split())


def mechanism(value, intend, out):
    (out / "model").write_text("learnt")
    return ONE_SHOT


def spend(ledger, event, key):
    with ledger.release(release_of(event), key=key, of=private()) as opened:
        _ = opened.value


def test_two_machines_on_one_database_share_the_accounts_and_the_budget(tmp_path):
    url = fresh_url()
    here, there = (open_ledger(share(tmp_path / name, url)) for name in ("here", "there"))
    assert here.genesis == there.genesis
    large = Gaussian(noise_multiplier=0.75)
    with here.release(release_of(large), key="a", of=private()) as opened:
        _ = opened.value
    assert balance(there) == balance(here)
    with (
        pytest.raises(BudgetExhausted, match="does not fit"),
        there.release(release_of(large), key="b", of=private()),
    ):
        pytest.fail("a second budget")


def test_an_output_that_another_machine_keeps_is_charged_again_here_unless_it_is_copied(tmp_path):
    url = fresh_url()
    here, there = (open_ledger(share(tmp_path / name, url)) for name in ("here", "there"))
    first = once(here, release_of(), "k", private(), mechanism)
    assert there.settled("k").folder is None
    shutil.copytree(first.folder, tmp_path / "there" / "store" / first.output)
    assert once(there, release_of(), "k", private(), mechanism).attempt == 1
    shutil.rmtree(tmp_path / "there" / "store")
    assert once(there, release_of(), "k", private(), mechanism).attempt == 2
    assert balance(here).rdp_spent == pytest.approx(2 * accounting.rdp(ONE_SHOT, balance(here).order))


def test_two_machines_do_not_work_on_one_release_at_once(tmp_path):
    url = fresh_url()
    here, there = (open_ledger(share(tmp_path / name, url)) for name in ("here", "there"))
    with (
        here.release(release_of(), key="k", of=private()),
        pytest.raises(Unavailable, match="at work"),
        there.release(release_of(), key="k", of=private()),
    ):
        pass


def test_users_who_are_named_by_another_key_are_other_splits_and_refused(home):
    once(open_ledger(home, people="key of here"), release_of(), "k", private(), mechanism)
    assert verbs(open_ledger(home)).count("people") == 1
    with pytest.raises(Misconfigured, match=r"named and split by another key.*Copy pseudonym.key"):
        open_ledger(home, people="key of there")
    with pytest.raises(Misconfigured, match="found no key"):
        once(open_ledger(home), release_of(), "l", private(), mechanism)
    assert balance(open_ledger(home)).rdp_spent == accounting.rdp(ONE_SHOT, balance(open_ledger(home)).order)


def test_a_clone_of_the_checkout_has_the_same_budget(tmp_path, monkeypatch):
    monkeypatch.delenv("JALI_HOME", raising=False)
    homes = []
    for name in ("checkout", "clone"):
        monkeypatch.setenv("JALI_ROOT", str(tmp_path / name))
        homes.append(load().home)
        assert not homes[-1].is_relative_to(tmp_path / name)
    assert homes[0] == homes[1]


def test_a_ledger_that_is_gone_is_not_made_anew(sqlite_home):
    once(open_ledger(sqlite_home), release_of(), "k", private(), mechanism)
    (sqlite_home / "ledger.db").unlink()
    with pytest.raises(ContractBroken, match=r"is gone, and a new one would be a second budget.*Restore it"):
        open_ledger(sqlite_home)
    assert not (sqlite_home / "ledger.db").exists()


def test_a_table_that_is_gone_is_not_made_anew(tmp_path):
    home = new_home(tmp_path / "home", "postgresql")
    ledger = open_ledger(home)
    with raw(home) as execute:
        execute("DROP TABLE entries")
    with pytest.raises(ContractBroken, match="not a ledger"):
        ledger.accounts()
    with pytest.raises(ContractBroken, match=r"is gone"):
        open_ledger(home)


def test_another_ledger_at_the_url_is_a_second_genesis_and_refused(home, tmp_path):
    first = open_ledger(home)
    other = open_ledger(new_home(tmp_path / "other", "postgresql"))
    share(home, (tmp_path / "other" / "url").read_text())
    with pytest.raises(
        ContractBroken, match=rf"second budget.*{other.genesis[:12]}.*limit genesis {first.genesis[:12]}"
    ):
        open_ledger(home)
    assert verbs(other) == ["genesis"]


def test_a_second_genesis_in_the_log_is_refused(home):
    ledger = open_ledger(home)
    with ledger._journal.write() as append:
        append("genesis", {"genesis": "f" * 32, "version": 1})
    for look in (ledger.accounts, ledger.verify, lambda: open_ledger(home)):
        with pytest.raises(ContractBroken, match=r"second beginning.*row 2"):
            look()


def test_a_ledger_of_a_later_version_is_refused(home, monkeypatch):
    monkeypatch.setattr(chain, "VERSION", 2)
    with pytest.raises(Misconfigured, match=r"later version.*version 2, limit version 1.*Install"):
        open_ledger(home)
    assert len(rows(home)) == 1


def test_a_row_that_only_a_later_version_understands_is_refused(home):
    ledger = open_ledger(home)
    with ledger._journal.write() as append:
        append("open", {"block": "2000Q4", "split": "train", "curve": "renyi"})
    with pytest.raises(ContractBroken, match=r"Row 2 of the ledger cannot be understood as 'open'"):
        open_ledger(home)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://root:hidden@host/ledger", r"no URL of a ledger.*limit sqlite:////absolute/path or postgresql://"),
        ("ledger.db", "no URL of a ledger"),
        ("sqlite:///relative.db", "not an absolute path"),
        ("postgresql://host:port/database?nonsense=1", "no URL of a PostgreSQL database"),
    ],
)
def test_a_url_of_no_ledger_is_refused_without_showing_its_password(sqlite_home, url, said):
    with pytest.raises(Misconfigured, match=said) as refusal:
        open_ledger(sqlite_home, url=url)
    assert "hidden" not in str(refusal.value)
    assert not sqlite_home.exists()


def test_a_database_that_does_not_exist_is_refused_with_what_to_do(sqlite_home):
    with pytest.raises(Misconfigured, match=r"does not let JALI_LEDGER_URL in.*nobody_made_this.*nothing was spent"):
        open_ledger(sqlite_home, url=fresh_url().replace("///postgres?", "///nobody_made_this?"))


def test_a_server_that_may_lose_what_it_confirmed_is_refused(sqlite_home, monkeypatch):
    from components.privacy import postgres

    monkeypatch.setattr(postgres, "_SESSION", postgres._SESSION.replace("current_setting('fsync')", "'off'"))
    with pytest.raises(Misconfigured, match=r"may lose.*fsync = off"):
        open_ledger(sqlite_home, url=fresh_url())


@pytest.mark.parametrize("block", ["2000Q5", "2000-11", "nonsense", LIFETIME])
def test_a_charge_for_an_unknown_block_is_refused_and_nothing_is_spent(home, block):
    ledger = open_ledger(home, partition=QUARTERS)
    with (
        pytest.raises(ContractBroken, match=rf"a block that no calendar has \(found {block}, limit .*quarter"),
        ledger.release(release_of(blocks=(block,)), key="k", of=private(blocks=(block,))),
    ):
        pytest.fail("it was opened")
    assert verbs(ledger) == ["genesis"]


def test_a_release_charges_no_block_that_its_value_is_not_from(home):
    ledger, both = open_ledger(home), ("2000Q4", "2001Q1")
    with (
        pytest.raises(ContractBroken, match="charges other accounts"),
        ledger.release(release_of(blocks=both), key="k", of=private()),
    ):
        pytest.fail("it was opened")


def test_a_cap_below_what_is_spent_is_refused_and_nothing_more_is_spent(home):
    spend(open_ledger(home), Gaussian(noise_multiplier=1.0), "k")
    spent = balance(open_ledger(home))
    low = open_ledger(home, Cap(epsilon=spent.spent - 0.5, delta=CAP.delta))
    with pytest.raises(Misconfigured, match=r"cap in params.yaml is below what the account 2000Q4/train has spent"):
        once(low, release_of(), "l", private(), mechanism)
    assert balance(low) == spent
    lower = open_ledger(home, Cap(epsilon=spent.spent + 1, delta=CAP.delta))
    assert once(lower, release_of(), "l", private(), mechanism).attempt == 1


def test_a_clock_that_goes_backward_or_far_ahead_changes_nothing(home, monkeypatch):
    ledger, now = open_ledger(home), datetime.now(UTC)

    class Clock(datetime):
        jumps = iter([timedelta(days=days) for days in (-9000, 9000, -1, 1, -400, 400, 0, 0)])

        @classmethod
        def now(cls, tz=None):
            return now + next(cls.jumps)

    monkeypatch.setattr(chain, "datetime", Clock)
    for key in ("a", "b"):
        once(ledger, release_of(), key, private(), mechanism)
    assert [account.block for account in ledger.accounts()] == ["2000Q4"]  # of the rows' time, not of the clock's
    assert balance(open_ledger(home)).rdp_spent == pytest.approx(2 * accounting.rdp(ONE_SHOT, 4))
    ledger.verify()
