"""A checkout and a home of its own for each command line."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from components.cli import jali
from components.core import settings

PARAMS = """
source: shop
sources: {shop: {kind: shop, public: true}}
services: {recommend: {}}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> settings.Settings:
    """The settings of a checkout whose ports nobody listens on."""
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "params.yaml").write_text(PARAMS)
    monkeypatch.setenv("JALI_ROOT", str(root))
    monkeypatch.setenv("JALI_HOME", str(tmp_path / "home"))
    for name in ("PREFECT", "MLFLOW", "SERVING"):
        monkeypatch.setenv(f"JALI_{name}_PORT", str(free_port()))
    return settings.load()


@pytest.fixture
def run(here: settings.Settings) -> Callable[..., str]:
    """Run one command line and return what it printed."""

    def command(*words: str) -> str:
        return CliRunner().invoke(jali, words, catch_exceptions=False, standalone_mode=False).output

    return command


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
