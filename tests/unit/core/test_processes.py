from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from components.core.errors import Unavailable
from components.core.processes import Process

Make = Callable[..., Process]

SLEEPS = "import time; time.sleep(60)"
CHILD = """
import pathlib, subprocess, sys, time
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE)
child.stdout.readline()
pathlib.Path("child").write_text(str(child.pid))
time.sleep(60)
"""
ANSWERS = """
import http.server, sys
class Healthy(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Healthy).serve_forever()
"""


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Make processes of Python code, and stop those that a test leaves running."""
    made: list[Process] = []

    def process(code: str, *arguments: str, **options: object) -> Process:
        command = (sys.executable, "-c", f"import os; os.chdir({str(tmp_path)!r})\n{code}", *arguments)
        made.append(Process(name="toy", command=command, folder=tmp_path / "var", **options))  # type: ignore[arg-type]
        return made[-1]

    yield process
    for one in made:
        one.stop(seconds=1)


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def until(seen: Callable[[], bool]) -> None:
    for _ in range(500):
        if seen():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen in ten seconds")


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_what_was_started_is_found_again_and_not_started_twice(make: Make) -> None:
    make(SLEEPS).start()
    again = make(SLEEPS)
    found = again.running()
    assert found is not None
    assert again.ready()
    again.start()
    assert again.running() == found


def test_what_was_stopped_is_not_found(make: Make) -> None:
    process = make(SLEEPS)
    process.start()
    assert process.stop()
    assert process.running() is None
    assert not process.stop()


def test_a_recycled_process_id_is_not_taken_for_it_and_not_stopped(make: Make, tmp_path: Path) -> None:
    process = make(SLEEPS)
    (tmp_path / "var" / "run").mkdir(parents=True)
    other = {"pid": os.getpid(), "created": psutil.Process().create_time() - 1}
    (tmp_path / "var" / "run" / "toy.json").write_text(json.dumps(other))
    assert process.running() is None
    assert not process.stop()


def test_a_process_that_answers_is_ready_once_it_does(make: Make, port: int) -> None:
    process = make(ANSWERS, str(port), port=port, health=f"http://127.0.0.1:{port}/health")
    assert not process.ready()
    process.start()
    process.wait(10)
    assert process.ready()
    process.stop()
    assert not process.ready()


def test_a_port_that_another_program_listens_on_is_refused_and_the_setting_named(make: Make, port: int) -> None:
    process = make(ANSWERS, str(port), port=port)
    in_use = pytest.raises(Unavailable, match=rf"Port {port} for toy is in use.*JALI_TOY_PORT")
    with socket.create_server(("127.0.0.1", port)), in_use:
        process.start()
    assert process.running() is None


def test_a_process_that_dies_while_starting_tells_its_last_line(make: Make, port: int) -> None:
    dies = "import sys; print('reading'); sys.exit('the database is from a later version')"
    process = make(dies, port=port, health=f"http://127.0.0.1:{port}/health")
    process.start()
    with pytest.raises(Unavailable, match=r"toy ended while starting .*the database is from a later version.*toy\.log"):
        process.wait(10)


def test_a_process_that_never_answers_is_given_up(make: Make, port: int) -> None:
    process = make(SLEEPS, port=port, health=f"http://127.0.0.1:{port}/health")
    process.start()
    with pytest.raises(Unavailable, match=r"toy does not answer \(found 0\.3 s\)\. Read .*toy\.log"):
        process.wait(0.3)


def test_stopping_ends_its_children_also_one_that_does_not_listen(make: Make, tmp_path: Path) -> None:
    process = make(CHILD)
    process.start()
    written = tmp_path / "child"
    until(lambda: written.exists() and written.read_text() != "")
    child = int(written.read_text())
    assert not gone(child)
    process.stop(seconds=0.5)
    until(lambda: gone(child))


def test_its_output_goes_to_its_log_with_its_environment(make: Make) -> None:
    process = make("import os; print('speaks', os.environ['TONGUE'])", environment={"TONGUE": "plainly"})
    process.start()
    until(lambda: process.running() is None)
    assert process.log.read_text() == "speaks plainly\n"
