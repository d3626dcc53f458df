"""What happens to a ledger when processes die, disks fill, rows are changed, and others hold the lock."""

import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from components.core.errors import ContractBroken, Unavailable
from components.privacy import accounting
from components.privacy.release import Gaussian
from tests.unit.privacy.builders import STEPS, balance, open_ledger, private, release_of, verbs

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


@pytest.mark.slow
def test_two_processes_that_race_for_the_last_of_a_budget_do_not_both_get_it(home):
    body = """
    from components.core.errors import BudgetExhausted
    won = 0
    for number in range(12):
        try:
            key = f"{pathlib.os.getpid()}-{number}"
            with ledger.release(release_of(Gaussian(noise_multiplier=2)), key=key, of=private()) as opened:
                opened.value
            won += 1
        except BudgetExhausted:
            pass
    print(won, flush=True)
    """
    children = [in_child(home, body) for _ in range(2)]
    won = [int(child.communicate(timeout=60)[0]) for child in children]
    ledger = open_ledger(home)
    account = balance(ledger)
    one = accounting.rdp(Gaussian(noise_multiplier=2), account.order)
    assert sum(won) == int(account.rdp_cap / one) == 12
    assert account.rdp_spent == pytest.approx(sum(won) * one)
    assert account.rdp_spent <= account.rdp_cap
    assert verbs(ledger).count("genesis") == verbs(ledger).count("open") == 1
    ledger.verify()


def test_a_ledger_locked_by_another_process_is_unavailable(home):
    ledger = open_ledger(home, busy_seconds=0.05)
    other = sqlite3.connect(home / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with (
        pytest.raises(Unavailable, match=r"locked by another process.*run the same one again"),
        ledger.release(release_of(), key="k", of=private()),
    ):
        pass
    other.execute("ROLLBACK")
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


def test_a_full_disk_under_the_ledger_lets_nothing_be_read(ledger):
    fill(ledger)
    long_key = "k" * 100_000
    with (
        pytest.raises(Unavailable, match="full"),
        ledger.release(release_of(), key=long_key, of=private()),
    ):
        pytest.fail("the release was opened")
    assert verbs(ledger) == ["genesis"]
    empty(ledger)
    with ledger.release(release_of(), key=long_key, of=private()) as opened:
        assert (opened.attempt, opened.value) == (1, (1, 2, 3))


def test_a_full_disk_where_the_lock_is_made_lets_nothing_be_read(ledger, monkeypatch):
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
        fill(ledger)
        with pytest.raises(Unavailable, match="full"):
            intend_until_full(opened)
        assert 0 < len(taken) < 500
        again = open_ledger(home)
        assert balance(again).rdp_held == accounting.rdp(many, balance(again).order)
        assert verbs(again).count("intend") == len(taken)
        empty(ledger)


def fill(ledger):
    """Make SQLite see a full disk: not one page more may be added."""
    connection = ledger._journal.chain._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")


def empty(ledger):
    ledger._journal.chain._connection.execute("PRAGMA max_page_count = 1000000")


def spend(ledger, keys="abc"):
    for key in keys:
        with ledger.release(release_of(), key=key, of=private()) as opened:
            _ = opened.value
    ledger._journal.chain._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.mark.parametrize(
    "tamper",
    [
        "UPDATE entries SET body = replace(body, '3.0', '9.0') WHERE seq = 3",
        "UPDATE entries SET verb = 'release' WHERE verb = 'settle'",
        "DELETE FROM entries WHERE seq = 5",
        "DELETE FROM entries WHERE seq = 1",
        "UPDATE entries SET hash = hash || '0' WHERE seq = 4",
        "INSERT INTO entries SELECT seq + 100, verb, body, hash FROM entries WHERE seq = 2",
    ],
)
def test_a_changed_removed_or_added_row_is_found(home, ledger, tamper):
    spend(ledger)
    with sqlite3.connect(home / "ledger.db") as other:
        assert other.execute(tamper).rowcount >= 1
    with pytest.raises(ContractBroken, match=r"ledger .* was (changed or removed|cut or replaced)"):
        ledger.verify()
    with pytest.raises(ContractBroken, match="nothing may be released"):
        open_ledger(home)


def test_rows_cut_from_the_end_are_found_by_whoever_kept_the_head(home, ledger):
    spend(ledger)
    anchor = ledger.head
    with sqlite3.connect(home / "ledger.db") as other:
        other.execute("DELETE FROM entries WHERE seq > ?", (anchor.seq - 2,))
    with pytest.raises(ContractBroken, match="cut or replaced"):
        ledger.accounts()
    with pytest.raises(ContractBroken, match="cut or replaced"):
        open_ledger(home).verify(anchor)


def test_a_file_that_is_no_ledger_is_refused(home):
    home.mkdir()
    (home / "ledger.db").write_bytes(b"not a database" * 100)
    with pytest.raises(ContractBroken, match="not a ledger"):
        open_ledger(home)


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
