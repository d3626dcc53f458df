"""Clocks that are wrong, on one machine or two: no budget is freed or lost by them."""

import json
import multiprocessing
from datetime import datetime, timedelta

import pytest

from components.core.errors import BudgetExhausted
from components.privacy import accounting, chain
from components.privacy.release import Gaussian
from tests.unit.privacy.builders import ONE_SHOT, open_ledger, private, release_of, rows, share, url_of, verbs
from tests.unit.privacy.test_ledger_machines import balance, spend


class Skewed(datetime):
    """A clock that is off by `by`."""

    by = timedelta()

    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) + cls.by


def spend_until_nothing_fits(home, by, gate):
    """Release on a machine whose clock is off by `by`, together with another that does so: once, and then in a race."""
    chain.datetime = type("Clock", (Skewed,), {"by": by})
    gate.wait()
    ledger = open_ledger(home)
    spend(ledger, ONE_SHOT, f"{home.name} {by}")
    gate.wait()
    for number in range(1000):
        try:
            spend(ledger, ONE_SHOT, f"{home.name} {by} {number}")
        except BudgetExhausted:
            return


def machines_of(home, tmp_path):
    """Return the homes of two machines on the ledger of `home`; that of a file is on one."""
    url = url_of(home)
    return [share(tmp_path / name, url) for name in ("here", "there")] if url else [home, home]


def test_two_machines_whose_clocks_are_a_year_apart_never_overspend_together(home, tmp_path):
    machines, forked = machines_of(home, tmp_path), multiprocessing.get_context("fork")
    gate = forked.Barrier(2)
    work = [
        forked.Process(target=spend_until_nothing_fits, args=(machine, timedelta(days=days), gate))
        for machine, days in zip(machines, (0, -366), strict=True)
    ]
    for process in work:
        process.start()
    for process in work:
        process.join(60)
    assert [process.exitcode for process in work] == [0, 0]
    ledger, account = open_ledger(home), balance(open_ledger(home))
    ended = [json.loads(body) for _, verb, body, _ in rows(home) if verb == "settle"]
    assert len({body["at"][:4] for body in ended}) == 2  # both clocks are in the log
    assert account.rdp_spent == pytest.approx(len(ended) * accounting.rdp(ONE_SHOT, account.order))
    assert account.rdp_cap - accounting.rdp(ONE_SHOT, account.order) < account.rdp_spent <= account.rdp_cap
    assert [account.block for account in ledger.accounts()] == ["2000Q4"]
    ledger.verify()


@pytest.mark.parametrize("days", [-400, 400, 9000])
def test_a_clock_that_jumps_between_reserve_and_settle_frees_no_budget(home, tmp_path, days, monkeypatch):
    here, there = (open_ledger(machine) for machine in machines_of(home, tmp_path))
    clock, large = type("Clock", (Skewed,), {}), Gaussian(noise_multiplier=0.75)
    (tmp_path / "model").mkdir()
    monkeypatch.setattr(chain, "datetime", clock)
    with here.release(release_of(large), key="here", of=private()) as opened:
        for by in (days, -days, days):
            clock.by = timedelta(days=by)
            with pytest.raises(BudgetExhausted):  # what is held is no older for it
                spend(there, large, f"there {by}")
        opened.intend(1)
        clock.by = timedelta(days=-days)
        settled = opened.keep(tmp_path / "model")
    with pytest.raises(BudgetExhausted):
        spend(there, large, "after")
    account = balance(there)
    assert (settled.attempt, settled.intended) == (1, 1)
    assert account.rdp_spent == pytest.approx(accounting.rdp(large, account.order))
    assert account.rdp_spent <= account.rdp_cap
    assert account == balance(here)
    assert verbs(here).count("settle") == 1
    assert here.verify() == there.verify()
