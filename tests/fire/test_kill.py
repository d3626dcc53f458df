"""`kill -9`, or a connection that is lost, at every statement of reserve, start, intend and settle."""

import os

import psycopg
import pytest

from components.core.errors import ContractBroken, JaliError, Unavailable
from components.privacy.accounts import with_steps
from tests.fire.forks import at_statement, die, fork, wait
from tests.fire.judging import require_nothing_lost
from tests.postgres import fresh_url
from tests.unit.privacy.builders import (
    STEPS,
    new_home,
    open_ledger,
    private,
    release_of,
    share,
    url_of,
    verbs,
)

pytestmark = pytest.mark.slow

TAKEN = 2
"""Steps that a whole run takes of the ten that it holds."""


def work(home, output, told, key="k"):
    """Reserve, start, take steps and settle; whatever was drawn stands in the file `told` as soon as it was."""

    def tell(what):
        file = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, f"{what}\n".encode())
        os.close(file)

    with open_ledger(home).release(release_of(STEPS), key=key, of=private()) as opened:
        _ = opened.value
        tell("read")
        for _ in range(TAKEN):
            opened.intend(1)
            tell("step")
        opened.ran(with_steps(STEPS, TAKEN))
        opened.keep(output)
        tell("kept")


def statements(home, output, told, at=0, do=die):
    """Return how many statements `work` executes, in a process that does `do` at one of them."""
    count, write = os.pipe()

    def child():
        seen = at_statement(at, do)
        try:
            work(home, output, told)
        finally:
            os.write(write, str(seen()).encode())

    ended = wait(fork(child))
    os.close(write)
    with os.fdopen(count) as pipe:
        return ended, pipe.read()


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_kill_9_at_every_statement_never_loses_a_charge(tmp_path, output, backend):
    ended, count = statements(new_home(tmp_path / "whole", backend), output, tmp_path / "told")
    assert ended == 0
    assert int(count) > 20
    for at in range(1, int(count) + 1):
        home, told = new_home(tmp_path / f"home {at}", backend), tmp_path / f"told {at}"
        assert statements(home, output, told, at)[0] == -9
        require_nothing_lost(home, output, told)


def cut(backend):
    """Let the server end the session, as a network or a restart does."""
    with psycopg.connect(**backend._parameters, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (backend._connection.info.backend_pid,))


def test_a_connection_lost_at_every_statement_never_loses_a_charge(tmp_path, output):
    _, count = statements(new_home(tmp_path / "whole", "postgresql"), output, tmp_path / "told")
    went_on = 0
    for at in range(1, int(count) + 1):
        home, told = new_home(tmp_path / f"home {at}", "postgresql"), tmp_path / f"told {at}"
        ended, _ = statements(home, output, told, at, cut)
        went_on += ended == 0
        require_nothing_lost(home, output, told)
    assert 0 < went_on < int(count), "between two operations it connects again; within one it gives up"


def test_a_process_that_was_taken_for_dead_starts_and_intends_nothing_further(tmp_path):
    url = fresh_url()
    here, there = (open_ledger(share(tmp_path / name, url)) for name in ("here", "there"))
    with here.release(release_of(STEPS), key="a", of=private()) as started:
        _ = started.value
        started.intend(1)
        with here.release(release_of(STEPS), key="b", of=private()) as reserved:
            cut(here._journal.chain.backend)
            with there.release(release_of(STEPS), key="c", of=private()):
                pass
            with pytest.raises(ContractBroken, match="has ended"):
                _ = reserved.value
        with pytest.raises(ContractBroken, match="has ended"):
            started.intend(1)
        assert [hold.stage for hold in there.holds()] == ["settled", "released", "released"]
        assert there.settled("a").event == STEPS
    there.verify()


def test_a_connection_that_was_lost_and_made_again_holds_what_it_held(tmp_path):
    url = fresh_url()
    here, there = (open_ledger(share(tmp_path / name, url)) for name in ("here", "there"))
    with here.release(release_of(STEPS), key="a", of=private()) as opened:
        _ = opened.value
        cut(here._journal.chain.backend)
        opened.intend(1)
        with (
            pytest.raises(Unavailable, match="at work"),
            there.release(release_of(STEPS), key="a", of=private()),
        ):
            pass
        opened.intend(1)
    assert verbs(there).count("intend") == 2


def test_a_server_that_does_not_answer_is_unavailable_and_nothing_is_read(tmp_path):
    home = share(tmp_path / "home", f"postgresql:///jali?host={tmp_path}&user=jali")
    with pytest.raises(Unavailable, match=r"does not answer.*JALI_LEDGER_URL.*nothing was spent"):
        open_ledger(home)
    assert issubclass(Unavailable, JaliError)
    assert url_of(home)
