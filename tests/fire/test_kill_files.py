"""`kill -9` at every file operation between start and settle, and in the middle of a file's bytes."""

import os
import resource
import signal
import sys

import pytest

from components.core import digest
from components.core.records import Population
from components.privacy.accounts import with_steps
from tests.fire.forks import die, fork, wait
from tests.fire.judging import require_nothing_lost
from tests.unit.privacy.builders import STEPS, open_ledger, private, release_of

pytestmark = pytest.mark.slow

RECORD = Population(split="train", noised=12.5, lower_bound=9, release="r" * 64, ledger="l" * 32)
OPERATIONS = ("open", "shutil.copyfile", "tempfile.mkdtemp", "os.mkdir", "os.rename", "os.remove", "os.rmdir")
"""Audit events of what changes files; Python tells each right before it."""


@pytest.fixture(params=["folder", "record"])
def kept(request, output):
    """What a release leaves: a bundle of several files, or one record."""
    (output / "parts").mkdir()
    (output / "parts" / "weights").write_bytes(os.urandom(200_000))
    return output if request.param == "folder" else RECORD


def work(home, kept, told, hook):
    file = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with open_ledger(home).release(release_of(STEPS), key="k", of=private()) as opened:
        _ = opened.value
        os.write(file, b"read\n")
        opened.intend(2)
        os.write(file, b"step\nstep\n")
        opened.ran(with_steps(STEPS, 2))
        sys.addaudithook(hook)
        opened.keep(kept)
        os.write(file, b"kept\n")


def operations(home, kept, told, at=0):
    """Return how a process ended that dies at one of its file operations, and how many there were."""
    count, write = os.pipe()
    seen = 0

    def hook(event, _):
        nonlocal seen
        if event in OPERATIONS:
            seen += 1
            if seen == at:
                die()

    def child():
        try:
            work(home, kept, told, hook)
        finally:
            os.write(write, str(seen).encode())

    ended = wait(fork(child))
    os.close(write)
    with os.fdopen(count) as pipe:
        return ended, pipe.read()


def require_whole_or_nothing(home, kept):
    """What is found as settled is what was kept, to the last byte."""
    done = open_ledger(home).settled("k")
    if done is not None and done.folder is not None:
        assert digest.of_path(done.folder) == done.output
        assert done.record(Population) == kept if kept is RECORD else done.output == digest.of_path(kept)


def test_kill_9_at_every_file_operation_never_loses_a_charge_nor_leaves_half_an_output(tmp_path, kept):
    ended, count = operations(tmp_path / "whole", kept, tmp_path / "told")
    assert ended == 0
    assert int(count) > 12
    require_whole_or_nothing(tmp_path / "whole", kept)
    for at in range(1, int(count) + 1):
        home, told = tmp_path / f"home {at}", tmp_path / f"told {at}"
        assert operations(home, kept, told, at)[0] == -9
        require_whole_or_nothing(home, kept)
        require_nothing_lost(home, kept, told)
        require_whole_or_nothing(home, kept)


@pytest.mark.parametrize("bytes_written", [0, 1, 4_096, 100_000])
def test_a_process_that_dies_within_a_files_bytes_leaves_nothing_that_is_found(tmp_path, output, bytes_written):
    (output / "weights").write_bytes(os.urandom(200_000))
    home, told = tmp_path / "home", tmp_path / "told"

    def hook(event, arguments):
        if event == "shutil.copyfile" and str(arguments[0]).endswith("weights"):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # the kernel ends whoever writes beyond the limit
            resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_written, bytes_written))

    assert wait(fork(lambda: work(home, output, told, hook))) == -signal.SIGXFSZ
    sizes = [path.stat().st_size for path in (home / "store").rglob("weights")]
    assert sizes == [bytes_written], "it lies half written, under no name that is looked for"
    assert open_ledger(home).settled("k") is None
    require_nothing_lost(home, output, told)
    require_whole_or_nothing(home, output)
