import contextlib
import sqlite3
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.errors import ContractBroken, Unavailable
from components.registry.history import History, Promotion, Rollback

from .people import NOW


def moved(version, sequence, previous, service="echo"):
    return Promotion(
        service=service, version=version, sequence=sequence, previous_champion=previous, request="r", moved_at=NOW
    )


def back(version, sequence, previous):
    return Rollback(
        service="echo",
        version=version,
        sequence=sequence,
        previous_champion=previous,
        reason="worse",
        rolled_back_by="ana",
        moved_at=NOW,
    )


def written(home, *entries):
    history = History(home)
    for entry in entries:
        with history.writing() as append:
            append(entry)
    return history


def test_an_empty_history_has_no_champion_and_makes_no_file(tmp_path):
    history = History(tmp_path)
    assert history.champion("echo") is None
    assert history.sequence("echo") == 0
    assert history.revision() == "0"
    assert not history.path.exists()


def test_the_last_promotion_is_champion_of_its_own_service(tmp_path):
    history = written(tmp_path, moved(1, 1, None), moved(5, 1, None, "other"), moved(2, 2, 1))
    assert history.champion("echo").version == 2
    assert history.champion("other").version == 5
    assert history.sequence("echo") == 2


def test_rolling_back_twice_goes_two_champions_back(tmp_path):
    history = written(tmp_path, moved(1, 1, None), moved(2, 2, 1), moved(3, 3, 2), back(2, 4, 3))
    assert (history.champion("echo").version, history.predecessor("echo").version) == (2, 1)
    written(tmp_path, back(1, 5, 2))
    assert history.champion("echo").version == 1
    assert history.predecessor("echo") is None
    assert history.sequence("echo") == 5


@pytest.mark.parametrize(
    "entry", [moved(3, 5, 2), moved(3, 3, 1), back(2, 3, 2)], ids=["sequence", "champion", "target"]
)
def test_a_move_that_does_not_follow_is_found(tmp_path, entry):
    history = written(tmp_path, moved(1, 1, None), moved(2, 2, 1), entry)
    with pytest.raises(ContractBroken, match="does not follow"):
        history.champion("echo")


@pytest.mark.parametrize(
    "statement",
    [
        "update entries set body = replace(body, '\"version\":1', '\"version\":9') where position = 1",
        "delete from entries where position = 1",
        "update entries set kind = 'nonsense' where position = 2",
        "update entries set position = position + 1 where position = 2",
    ],
)
def test_a_changed_history_is_found(tmp_path, statement):
    history = written(tmp_path, moved(1, 1, None), moved(2, 2, 1))
    with sqlite3.connect(history.path) as connection:
        connection.executescript("drop trigger entries_stay; drop trigger entries_remain;" + statement)
    connection.close()
    with pytest.raises(ContractBroken, match="was changed after it was written"):
        history.champion("echo")


def test_the_table_refuses_a_change(tmp_path):
    history = written(tmp_path, moved(1, 1, None))
    connection = sqlite3.connect(history.path)
    with pytest.raises(sqlite3.IntegrityError, match="append only"):
        connection.execute("delete from entries")
    connection.close()


def test_a_failure_while_writing_leaves_nothing(tmp_path):
    history = written(tmp_path, moved(1, 1, None))
    with contextlib.suppress(RuntimeError), history.writing() as append:
        append(moved(2, 2, 1))
        raise RuntimeError
    assert history.champion("echo").version == 1


def test_a_lock_held_by_another_process_is_unavailable(tmp_path):
    written(tmp_path, moved(1, 1, None))
    impatient = History(tmp_path, patience=0.05)
    with (
        History(tmp_path).writing(),
        pytest.raises(Unavailable, match="database is locked"),
        impatient.writing() as append,
    ):
        append(moved(2, 2, 1))
    assert impatient.champion("echo").version == 1


def test_reading_does_not_wait_for_a_writer(tmp_path):
    history = written(tmp_path, moved(1, 1, None))
    with history.writing() as append:
        append(moved(2, 2, 1))
        assert History(tmp_path, patience=0.05).champion("echo").version == 1


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "promotions.db").write_bytes(b"no database" * 100)
    with pytest.raises(ContractBroken, match="cannot be read"):
        History(tmp_path).entries()


def test_writers_at_the_same_time_lose_nothing_and_keep_one_chain(tmp_path):
    def write(name):
        for sequence in range(1, 6):
            with History(tmp_path, patience=30).writing() as append:
                append(moved(sequence, sequence, sequence - 1 or None, name))

    threads = [threading.Thread(target=write, args=(f"service{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history = History(tmp_path)
    assert len(history.entries()) == 20
    assert [history.champion(f"service{n}").version for n in range(4)] == [5] * 4


def test_the_revision_differs_after_every_entry(tmp_path):
    seen = {written(tmp_path).revision()}
    for n in range(1, 4):
        seen.add(written(tmp_path, moved(n, n, n - 1 or None)).revision())
    assert len(seen) == 4


@settings(max_examples=25, deadline=None)
@given(promotes=st.lists(st.booleans(), max_size=12))
def test_any_promotions_and_rollbacks_leave_the_champion_of_a_stack(tmp_path_factory, promotes):
    history, stack = History(tmp_path_factory.mktemp("history")), []
    for number, promote in enumerate(promotes, start=1):
        sequence, before = history.sequence("echo") + 1, stack[-1] if stack else None
        if promote:
            stack.append(number)
            written(history.path.parent, moved(number, sequence, before))
        elif len(stack) > 1:
            stack.pop()
            written(history.path.parent, back(stack[-1], sequence, before))
    standing, predecessor = history.champion("echo"), history.predecessor("echo")
    assert (standing.version if standing else None) == (stack[-1] if stack else None)
    assert (predecessor.version if predecessor else None) == (stack[-2] if len(stack) > 1 else None)
