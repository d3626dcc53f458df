"""What happens to a ledger when processes die, disks fill, rows are changed, and others hold the lock."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from components.core.errors import Unavailable
from components.privacy import accounting
from tests.unit.privacy.builders import STEPS, balance, locked, open_ledger, private, raw, release_of, url_of, verbs

ROOT = Path(__file__).parents[3]


def in_child(home, body):
    """Run `body` in a process of its own, with a ledger, an open release and a way to say where it is."""
    program = textwrap.dedent(
        f"""
        import pathlib, sys, time
        from tests.unit.privacy.builders import *
        ledger = open_ledger(pathlib.Path({str(home)!r}))
        def here():
            print("here", flush=True)
            time.sleep(60)
        """
    ) + textwrap.dedent(body)
    return subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def killed_at(home, body):
    child = in_child(home, body)
    assert child.stdout.readline() == "here\n", child.stderr.read()
    yield_to = open_ledger(home)
    live = verbs(yield_to)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    child.stderr.close()
    return live


RESERVED = """
with ledger.release(release_of(STEPS), key="k", of=private()) as opened:
    here()
"""
STARTED = """
with ledger.release(release_of(STEPS), key="k", of=private()) as opened:
    opened.value
    opened.intend(2)
    here()
"""


@pytest.mark.slow
def test_a_process_killed_before_it_started_gives_its_hold_back(home, output):
    assert killed_at(home, RESERVED)[-1] == "reserve"
    ledger = open_ledger(home)
    assert balance(ledger).rdp_held > 0  # until someone looks, it counts
    with ledger.release(release_of(STEPS), key="k", of=private()) as opened:
        assert opened.attempt == 2
        opened.keep(output)
    assert balance(ledger).rdp_spent == accounting.rdp(STEPS, balance(ledger).order)


@pytest.mark.slow
def test_a_process_killed_after_it_started_is_charged_in_full(home, output):
    assert killed_at(home, STARTED)[-2:] == ["start", "intend"]
    ledger = open_ledger(home)
    full = accounting.rdp(STEPS, balance(ledger).order)
    assert balance(ledger).rdp_held == full
    with ledger.release(release_of(STEPS), key="k", of=private()) as opened:
        assert balance(ledger).rdp_spent == full
        opened.keep(output)
    assert balance(ledger).rdp_spent == 2 * full
    assert [hold.charged for hold in ledger.holds()] == [STEPS, STEPS]


@pytest.mark.slow
def test_a_process_killed_between_storing_and_settling_is_charged_in_full(home):
    body = """
    import components.privacy.journal as journal, components.privacy.opened as opened_room, tempfile
    out = pathlib.Path(tempfile.mkdtemp()); (out / "model").write_text("x")
    with ledger.release(release_of(STEPS), key="k", of=private()) as opened:
        opened.value
        opened_room.settlement = lambda *a, **k: here()
        opened.keep(out)
    """
    assert killed_at(home, body)[-1] == "start"
    ledger = open_ledger(home)
    assert ledger.settled("k") is None
    assert balance(ledger).rdp_held == accounting.rdp(STEPS, balance(ledger).order)


@pytest.mark.slow
def test_the_hold_of_a_live_process_is_never_settled_by_another(home):
    child = in_child(home, STARTED)
    try:
        assert child.stdout.readline() == "here\n"
        ledger = open_ledger(home)
        with pytest.raises(Unavailable, match="at work"), ledger.release(release_of(STEPS), key="k", of=private()):
            pass
        with ledger.release(release_of(STEPS), key="other", of=private()):
            pass
        assert "settle" not in verbs(ledger)
    finally:
        child.kill()
        child.communicate()


def test_a_ledger_locked_by_another_process_is_unavailable(home):
    open_ledger(home)
    ledger = open_ledger(home, busy_seconds=0.05)
    with (
        locked(home),
        pytest.raises(Unavailable, match=r"locked by another process.*waited 0.05 s.*run the same one again"),
        ledger.release(release_of(), key="k", of=private()),
    ):
        pass
    with ledger.release(release_of(), key="k", of=private()) as opened:
        assert opened.attempt == 1


def test_a_full_disk_while_the_output_is_kept_is_unavailable_and_charged(ledger, output, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with (
        pytest.raises(Unavailable, match="disk is full"),
        ledger.release(release_of(STEPS), key="k", of=private()) as opened,
    ):
        opened.keep(output)
    assert ledger.settled("k").event == STEPS
    assert ledger.settled("k").folder is None
    assert list((ledger._home / "store").iterdir()) == []


def test_a_full_disk_under_the_ledger_lets_nothing_be_read(home, ledger):
    fill(home, ledger, rows=0)
    long_key = "k" * 100_000
    with (
        pytest.raises(Unavailable, match=r"full|No space left"),
        ledger.release(release_of(), key=long_key, of=private()),
    ):
        pytest.fail("the release was opened")
    assert verbs(ledger) == ["genesis"]
    empty(home, ledger)
    with ledger.release(release_of(), key=long_key, of=private()) as opened:
        assert (opened.attempt, opened.value) == (1, (1, 2, 3))


def test_a_full_disk_where_the_lock_is_made_lets_nothing_be_read(sqlite_home, monkeypatch):
    ledger = open_ledger(sqlite_home)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("components.privacy.holding.os.open", full)
    with (
        pytest.raises(Unavailable, match="No space left"),
        ledger.release(release_of(), key="k", of=private()),
    ):
        pytest.fail("the release was opened")
    monkeypatch.undo()
    assert verbs(ledger) == ["genesis"]


def test_a_full_disk_at_an_intent_stops_the_step_and_the_hold_stays_charged(home, ledger):
    many = STEPS.model_copy(update={"steps": 500})
    taken = []

    def intend_until_full(opened):
        for _ in range(500):
            opened.intend(1)
            taken.append(1)

    with ledger.release(release_of(many), key="k", of=private()) as opened:
        _ = opened.value
        fill(home, ledger, rows=20)
        with pytest.raises(Unavailable, match=r"full|No space left"):
            intend_until_full(opened)
        assert 0 < len(taken) < 500
        again = open_ledger(home)
        assert balance(again).rdp_held == accounting.rdp(many, balance(again).order)
        assert verbs(again).count("intend") == len(taken)
        empty(home, ledger)


def fill(home, ledger, rows):
    """Make the database see a full disk: SQLite has not one page more, PostgreSQL a few rows' place."""
    if url_of(home):
        full = "RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'"
        with raw(home) as execute:
            execute(f"CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {full}; END $$")
            execute(
                "CREATE TRIGGER full_disk BEFORE INSERT ON entries FOR EACH ROW "
                f"WHEN (NEW.seq > {ledger.head.seq + rows}) EXECUTE FUNCTION full_disk()"
            )
        return
    connection = ledger._journal.chain.backend._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")


def empty(home, ledger):
    if url_of(home):
        with raw(home) as execute:
            execute("DROP FUNCTION full_disk CASCADE")
    else:
        ledger._journal.chain.backend._connection.execute("PRAGMA max_page_count = 1000000")


def test_an_intent_is_cheap_enough_to_make_one_a_step(ledger):
    steps = STEPS.model_copy(update={"steps": 1000})
    reads = ledger._journal.chain
    with ledger.release(release_of(steps), key="k", of=private()) as opened:
        for _ in range(200):
            opened.intend(1)
        rows, original = [], reads.read
        reads.read = lambda *a: rows.extend(found := original(*a)) or found
        opened.intend(1)
    assert len(rows) <= 2  # however long the ledger is, an intent reads only what is new
