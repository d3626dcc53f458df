"""A checkout and a home of its own for each command line."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from components.cli import jali
from components.core import settings
from tests.unit.privacy.builders import new_home, url_of

PARAMS = """
source: shop
sources: {shop: {kind: shop, public: true}}
services: {recommend: {}}
"""


ON_BOTH = pytest.mark.parametrize("backend", ["sqlite", "postgresql"], indirect=True)
"""What holds of a ledger in a file holds of one on a server."""


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> str:
    """Where the ledger lies: in a file, but for tests that are marked `ON_BOTH`."""
    return str(getattr(request, "param", "sqlite"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str) -> settings.Settings:
    """The settings of a checkout whose ports nobody listens on."""
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "params.yaml").write_text(PARAMS)
    monkeypatch.setenv("JALI_ROOT", str(root))
    home = new_home(tmp_path / "home", backend)
    monkeypatch.setenv("JALI_HOME", str(home))
    monkeypatch.setenv("JALI_LEDGER_URL", url_of(home) or "")
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
