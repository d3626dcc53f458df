"""A file system that is really full: a small tmpfs in a name space of the process' own, where that is permitted."""

import ctypes
import os
import shutil
from pathlib import Path

import pytest

from components.core.errors import Unavailable
from tests.fire import recount
from tests.fire.forks import fork, wait
from tests.unit.privacy.builders import STEPS, open_ledger, private, release_of, rows

pytestmark = pytest.mark.slow

NEW_MOUNTS, NEW_USERS, PRIVATE = 0x20000, 0x10000000, 0x40000 | 0x4000
NOT_PERMITTED, FULL = 77, 75


def mount(folder: Path, kilobytes: int) -> None:
    """Mount a tmpfs that this process alone sees, and that is gone with it; exit where that is not permitted."""
    libc = ctypes.CDLL(None, use_errno=True)
    spaces = NEW_MOUNTS if os.getuid() == 0 else NEW_MOUNTS | NEW_USERS
    if (
        libc.unshare(spaces)
        or libc.mount(b"none", b"/", None, ctypes.c_ulong(PRIVATE), None)
        or libc.mount(b"tmpfs", str(folder).encode(), b"tmpfs", ctypes.c_ulong(0), f"size={kilobytes}k".encode())
    ):
        print(f"no tmpfs: {os.strerror(ctypes.get_errno())}")
        os._exit(NOT_PERMITTED)


@pytest.mark.parametrize("kilobytes", [16, 40, 60, 80, 100, 140, 320, 900])
def test_on_a_disk_that_is_full_nothing_is_drawn_without_a_charge(tmp_path, output, kilobytes):
    (output / "weights").write_bytes(os.urandom(300_000))
    small, after, told = tmp_path / "small", tmp_path / "after", tmp_path / "told"
    small.mkdir()

    def work():
        file = os.open(told, os.O_WRONLY | os.O_CREAT)
        mount(small, kilobytes)
        code = 0
        try:
            with open_ledger(small / "home").release(release_of(STEPS), key="k", of=private()) as opened:
                for _ in range(STEPS.steps):
                    opened.intend(1)
                    os.write(file, b"step\n")
                opened.keep(output)
        except Unavailable:
            code = FULL
        if (small / "home").exists():
            shutil.copytree(small / "home", after)  # the mount ends with this process
        os._exit(code)

    ended = wait(fork(work))
    if ended == NOT_PERMITTED:
        pytest.skip("NOT TESTED ON A FULL FILE SYSTEM: mounting a tmpfs is not permitted here; test_disk limits files")
    drawn = told.read_text().count("step")
    assert ended in (0, FULL)
    assert (ended == 0) == (kilobytes == 900)
    if not (after / "ledger.db").exists():
        assert drawn == 0
        return
    found = rows(after)
    assert recount.intended(found) >= drawn
    recount.require_within(found)
    [charged] = [event for _, event in recount.charges(found).values()] or [None]
    assert drawn == 0 or recount.steps_of(charged) >= drawn
    ledger = open_ledger(after)
    ledger.verify()
    if ended == FULL:
        assert ledger.settled("k") is None or ledger.settled("k").folder is None
        with ledger.release(release_of(STEPS), key="k", of=private()) as opened:
            opened.keep(output)
    recount.require_within(rows(after))
