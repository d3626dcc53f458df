"""What goes wrong on a machine: one sentence, an exit code of its class, and nothing lost."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from .checkout import Checkout, refused

pytestmark = [pytest.mark.slow, pytest.mark.e2e]


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    """A checkout in which nothing runs yet."""
    made = Checkout.make(tmp_path)
    yield made
    made.run("down")


@pytest.mark.parametrize("process", ["prefect", "mlflow", "serving"])
def test_a_port_in_use_is_named_with_the_setting_that_changes_it(checkout: Checkout, process: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", checkout.port(process)))
        other.listen()
        said = refused(checkout.run("up"), 75)
    assert f"Port {checkout.port(process)} for {process} is in use" in said
    assert f"JALI_{process.upper()}_PORT" in said


def test_a_flow_without_its_server_says_what_to_run(checkout: Checkout) -> None:
    assert "jali up" in refused(checkout.run("run", "pipeline"), 75)
    assert not (checkout.home / "ledger.db").exists()


def test_an_unknown_key_is_refused_with_the_keys_that_are_allowed_before_anything_starts(checkout: Checkout) -> None:
    path = checkout.root / "params.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"pirvacy": {}}))
    said = refused(checkout.run("ledger", "show"), 78)
    assert "unknown key pirvacy" in said
    assert "privacy" in said.split("allowed keys")[1]
    assert not checkout.home.exists() or not (checkout.home / "ledger.db").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount the small disk that this fills")
def test_a_full_disk_keeps_what_was_there_and_the_same_command_goes_on_once_there_is_room(checkout: Checkout) -> None:
    with small_disk(checkout.root / "data", kilobytes=64):
        said = refused(checkout.run("stage", "collect"), 75)
        assert "disk is full" in said
        assert list((checkout.root / "data").iterdir()) == []
    checkout.jali("stage", "collect")
    assert json.loads((checkout.root / "data" / "raw" / "collected.json").read_text())["kind"] == "collected"


@contextmanager
def small_disk(folder: Path, *, kilobytes: int) -> Iterator[None]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine lets nobody mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)
