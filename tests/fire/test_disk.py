"""A disk that is really full: the kernel writes no further byte of any file."""

import os
import resource

import pytest

from components.core.errors import Unavailable
from tests.fire import recount
from tests.fire.forks import fork, wait
from tests.unit.privacy.builders import STEPS, new_home, open_ledger, private, release_of, rows

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("largest", range(4_000, 64_000, 6_000))
def test_wherever_the_disk_fills_up_nothing_is_drawn_without_a_charge(tmp_path, output, largest):
    home, told = new_home(tmp_path / "home", "sqlite"), tmp_path / "told"
    open_ledger(home)

    def work():
        file = os.open(told, os.O_WRONLY | os.O_CREAT)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))  # Python ignores the signal: writes fail
        try:
            with open_ledger(home).release(release_of(STEPS), key="k", of=private()) as opened:
                for _ in range(STEPS.steps):
                    opened.intend(1)
                    os.write(file, b"step\n")
                opened.keep(output)
        except Unavailable as refusal:
            os._exit(75 if "cannot be written" in str(refusal) or "disk is full" in str(refusal) else 1)

    ended = wait(fork(work))
    found, drawn = rows(home), told.read_text().count("step")
    assert ended == (75 if drawn < STEPS.steps else ended)
    assert ended in (0, 75)
    assert recount.intended(found) >= drawn
    recount.require_within(found)
    [charged] = [event for _, event in recount.charges(found).values()] or [None]
    assert charged is not None or drawn == 0
    assert drawn == 0 or recount.steps_of(charged) >= drawn
    ledger = open_ledger(home)
    ledger.verify()
    if ledger.settled("k") is None or ledger.settled("k").folder is None:
        with ledger.release(release_of(STEPS), key="k", of=private()) as opened:
            opened.keep(output)
    recount.require_within(rows(home))
