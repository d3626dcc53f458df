"""Sixty-four processes at once, of one machine or of two, and an account that nearly is empty."""

import os

import pytest

from components.core.errors import BudgetExhausted
from components.privacy import accounting
from components.privacy.release import Gaussian
from tests.fire import recount
from tests.fire.forks import fork, wait
from tests.unit.privacy.builders import CAP, open_ledger, private, release_of, rows, share, url_of

pytestmark = pytest.mark.slow

PROCESSES = 64
FIT = 8
"""How many of them fit into the last tenth."""


def test_of_64_processes_that_race_for_the_last_tenth_of_an_account_exactly_those_get_it_that_fit(home, tmp_path):
    order, budget = accounting.rdp_budget(CAP.epsilon, CAP.delta)
    most = Gaussian(noise_multiplier=(order / (2 * 0.9 * budget)) ** 0.5)
    small = Gaussian(noise_multiplier=(order / (2 * 0.1 * budget / (FIT + 0.5))) ** 0.5)
    with open_ledger(home).release(release_of(most), key="most", of=private()) as opened:
        _ = opened.value
    other = share(tmp_path / "other", url_of(home)) if url_of(home) else home
    begin, gate = os.pipe()

    def race(number: int) -> None:
        os.close(gate)
        ledger = open_ledger((home, other)[number % 2], busy_seconds=120)
        os.read(begin, 1)  # comes back for all at once, when the last writer has closed it
        try:
            with ledger.release(release_of(small), key=f"key {number}", of=private()) as opened:
                _ = opened.value
        except BudgetExhausted:
            os._exit(2)

    children = [fork(lambda number=number: race(number)) for number in range(PROCESSES)]
    os.close(begin)
    os.close(gate)
    ended = [wait(child) for child in children]

    found = rows(home)
    recount.require_within(found)
    assert sorted(ended) == [0] * FIT + [2] * (PROCESSES - FIT)
    [(spent, limit)] = recount.balances(found).values()
    assert spent + recount.divergence(small.model_dump(), order) > limit, "one more would have fitted"
    assert len(recount.charges(found)) == FIT + 1
    assert [row[1] for row in found].count("open") == 1
    open_ledger(home).verify()
