from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from components.core.errors import Misconfigured, Unavailable
from components.serving import server

from . import signed

UNIT = Path(__file__).parents[1]


def test_a_port_in_use_is_named_with_the_variable_that_changes_it() -> None:
    with server.hold_port(0) as held:
        port = held.getsockname()[1]
        with pytest.raises(Unavailable, match=rf"Port {port} .* in use .*JALI_SERVING_PORT"):
            server.hold_port(port)


def test_a_number_that_is_no_port_is_a_mistake_in_the_configuration() -> None:
    with pytest.raises(Misconfigured, match=r"JALI_SERVING_PORT .*70000.*1024 to 65535"):
        server.hold_port(70000)


def test_only_this_machine_can_reach_the_port() -> None:
    with server.hold_port(0) as held:
        assert held.getsockname()[0] == "127.0.0.1"


@pytest.mark.slow
def test_jali_serve_on_a_port_in_use_is_one_sentence_and_an_exit_code(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("source: shop\nsources: {shop: {kind: shop}}\nservices: {}\n")
    with server.hold_port(0) as held:
        port = str(held.getsockname()[1])
        environment = {**os.environ, "JALI_ROOT": str(tmp_path), "JALI_HOME": str(tmp_path), "JALI_SERVING_PORT": port}
        ended = subprocess.run(
            [sys.executable, "-m", "components.cli", "serve"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert ended.returncode == Unavailable.exit_code
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert f"Port {port}" in ended.stderr


@pytest.mark.slow
def test_a_running_server_swaps_under_load_and_serves_the_champion_again_after_a_kill(tmp_path: Path) -> None:
    signed.promote(tmp_path, 1)
    with _process(tmp_path) as (process, url):
        _wait_for_version(url, 1)
        with _hammering(url) as answers:
            for version in range(2, 6):
                signed.promote(tmp_path, version)
                _wait_for_version(url, version)
        assert {answer.status_code for answer in answers} == {200}
        assert all(set(body["items"]) == {f"v{body['model_version']}"} for body in map(httpx.Response.json, answers))
        assert {answer.json()["model_version"] for answer in answers} >= {2, 3, 4}
        process.kill()
    with _process(tmp_path) as (process, url):
        _wait_for_version(url, 5)
        answer = httpx.post(f"{url}/v1/echo", json={"history": ["tea"]}).json()
        assert (answer["model_version"], answer["items"][0]) == (5, "v5")


@pytest.mark.slow
def test_a_server_that_is_told_to_stop_finishes_the_request_in_flight(tmp_path: Path) -> None:
    signed.promote(tmp_path, 1)
    with _process(tmp_path) as (process, url):
        _wait_for_version(url, 1)
        host, port = url.removeprefix("http://").split(":")
        body = b'{"history": ["slow"], "k": 1}'
        head = b"POST /v1/echo HTTP/1.1\r\nHost: jali\r\nContent-Type: application/json\r\nContent-Length: 29\r\n\r\n"
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(head + body[:10])
            time.sleep(0.2)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            connection.sendall(body[10:])
            connection.settimeout(10)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        process.wait(15)
    assert "Traceback" not in (tmp_path / "log").read_text()


@contextmanager
def _process(home: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with (home / "log").open("a") as log:  # a pipe that nobody reads would fill, and stop the server
        process = subprocess.Popen(
            [sys.executable, "-m", "serving.signed", str(home)],
            cwd=UNIT,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert process.stdout is not None
        yield process, f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.communicate(timeout=10)


@contextmanager
def _hammering(url: str) -> Iterator[list[httpx.Response]]:
    answers: list[httpx.Response] = []
    stop = threading.Event()

    def ask() -> None:
        with httpx.Client() as client:
            while not stop.is_set():
                answers.append(client.post(f"{url}/v1/echo", json={"history": ["tea"], "k": 20}))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)


def _wait_for_version(url: str, version: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        ready = httpx.get(f"{url}/readyz")
        if ready.json()["versions"] == {"echo": version}:
            return
        assert time.monotonic() < deadline, ready.text
        time.sleep(0.02)
