"""`kill -9`, or a connection that is lost, at every statement of reserve, start, intend and settle."""

import os
import time

import psycopg
import pytest

from components.core.errors import ContractBroken, JaliError, Unavailable
from components.privacy.accounts import with_steps
from tests.fire import recount
from tests.fire.forks import at_statement, die, fork, wait
from tests.postgres import fresh_url
from tests.unit.privacy.builders import (
    STEPS,
    new_home,
    open_ledger,
    private,
    release_of,
    rows,
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


def until_dead(ledger):
    """Wait until nobody seems to work: a server needs a moment to notice that a process is gone."""
    open_holds = [hold for hold in ledger.holds() if hold.open]
    deadline = time.monotonic() + 20
    while any(ledger._journal.chain.backend.is_held(name_of(hold)) for hold in open_holds):
        assert time.monotonic() < deadline, "a dead process still holds"
        time.sleep(0.005)


def name_of(hold):
    from components.privacy.ledger import _name_of

    return _name_of(hold)


def require_nothing_lost(home, output, told):
    """What was read or drawn is charged; the next one who comes ends what is open, and pays for what it does again."""
    ledger, lines = open_ledger(home), told.read_text().split() if told.exists() else []
    ledger.verify()
    before = recount.charges(rows(home))
    recount.require_within(rows(home))
    until_dead(ledger)
    kept = (done := ledger.settled("k")) is not None and done.folder is not None
    assert kept or "kept" not in lines
    with ledger.release(release_of(STEPS), key="another", of=private()) as opened:
        _ = opened.value
    after = recount.charges(rows(home))
    [charged] = [event for (key, _), (_, event) in after.items() if key == "k"] or [None]
    drawn = lines.count("step")
    if "read" in lines:
        assert charged is not None, "rows were read, and nobody pays"
        assert recount.steps_of(charged) >= (drawn if kept else STEPS.steps)
    else:
        assert drawn == 0
    assert recount.intended(rows(home)) >= drawn
    for name, (_, event) in before.items():
        assert after[name][1] == event or verbs_of(home, name[1])[1:2] != ["start"], "a charge was changed"
    if not kept:
        with ledger.release(release_of(STEPS), key="k", of=private()) as opened:
            assert opened.attempt == len(before) + 1
            opened.keep(output)
        recount.require_within(rows(home))
    ledger.verify()


def verbs_of(home, attempt):
    import json

    bodies = [(verb, json.loads(body)) for _, verb, body, _ in rows(home)]
    return [verb for verb, body in bodies if body.get("key") == "k" and body.get("attempt") == attempt]


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
