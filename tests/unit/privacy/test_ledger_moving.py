"""From its file to a server: the same rows, the same budget, and never in two places."""

import pytest

from components.core.errors import BudgetExhausted, ContractBroken, Misconfigured, Unavailable
from components.privacy.moving import move
from components.privacy.release import Gaussian
from tests.postgres import fresh_url
from tests.unit.privacy.builders import new_home, open_ledger, private, release_of, rows, share, verbs

LARGE = Gaussian(noise_multiplier=0.75)


@pytest.fixture
def url():
    return fresh_url()


def spend(ledger, key, event=LARGE):
    with ledger.release(release_of(event), key=key, of=private()) as opened:
        _ = opened.value


def test_the_rows_move_as_they_are_and_what_was_spent_stays_spent(sqlite_home, url):
    spend(open_ledger(sqlite_home), "a")
    anchor, before = open_ledger(sqlite_home).head, rows(sqlite_home)
    assert move(sqlite_home, url) == anchor
    there = open_ledger(share(sqlite_home, url))
    assert rows(sqlite_home) == before
    assert there.verify(anchor) == anchor
    with pytest.raises(BudgetExhausted):
        spend(there, "b")


def test_the_file_is_charged_no_more_even_by_who_had_it_open(sqlite_home, url):
    had_open = open_ledger(sqlite_home)
    move(sqlite_home, url)
    for charge in (lambda: spend(had_open, "a"), lambda: open_ledger(sqlite_home), lambda: move(sqlite_home, url)):
        with pytest.raises(Misconfigured, match=r"has moved.*limit postgresql://.*Set JALI_LEDGER_URL"):
            charge()
    assert verbs(open_ledger(share(sqlite_home, url))) == ["genesis"]


def test_a_move_that_was_cut_off_before_the_file_was_closed_is_finished_by_another(sqlite_home, url, monkeypatch):
    from components.privacy import chain

    ledger = open_ledger(sqlite_home)
    real = chain.Chain._append

    def full(self, verb, body):
        if verb == "moved":
            raise Unavailable("the disk is full")
        real(self, verb, body)

    monkeypatch.setattr(chain.Chain, "_append", full)
    with pytest.raises(Unavailable):
        move(sqlite_home, url)
    monkeypatch.undo()
    spend(ledger, "meanwhile")
    head = move(sqlite_home, url)
    assert open_ledger(share(sqlite_home, url)).verify(head) == head


def test_nothing_moves_while_a_release_is_under_way(sqlite_home, url):
    ledger = open_ledger(sqlite_home)
    with (
        ledger.release(release_of(), key="k", of=private()),
        pytest.raises(Unavailable, match="releases under way"),
    ):
        move(sqlite_home, url)
    move(sqlite_home, url)


def test_nothing_moves_over_another_ledger(sqlite_home, tmp_path):
    spend(open_ledger(sqlite_home), "a")
    other = new_home(tmp_path / "other", "postgresql")
    spend(open_ledger(other), "b")
    with pytest.raises(ContractBroken, match="Another ledger lies at"):
        move(sqlite_home, (other / "url").read_text())
    spend(open_ledger(sqlite_home), "c", Gaussian(noise_multiplier=9.0))


@pytest.mark.parametrize("target", ["sqlite:////tmp/ledger.db", "mysql://a:hidden@host/b"])
def test_only_to_a_server_and_only_what_is_there(sqlite_home, target):
    open_ledger(sqlite_home)
    with pytest.raises(Misconfigured, match="Only a ledger in its file moves") as refusal:
        move(sqlite_home, target)
    assert "hidden" not in str(refusal.value)


def test_a_home_without_a_ledger_has_none_to_move(sqlite_home, url):
    with pytest.raises(Misconfigured, match="which is not there"):
        move(sqlite_home, url)
