from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from components.core import service
from components.core.settings import Settings
from components.registry.store import prepare_store

from .echo import ECHO
from .people import people


def settings_in(folder: Path) -> Settings:
    return Settings(
        root=folder,
        home=folder / "home",
        identities=folder / "home" / "identities.yaml",
        mlflow_uri=f"sqlite:///{folder / 'mlruns' / 'mlflow.db'}",
    )


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory) -> Path:
    """One migrated database to copy: the migration takes a second."""
    made = settings_in(tmp_path_factory.mktemp("empty"))
    prepare_store(made)
    return made.artifacts.parent / "mlflow.db"


@pytest.fixture
def settings(tmp_path, empty_database) -> Settings:
    """A checkout with an empty registry, and three people."""
    found = settings_in(tmp_path)
    found.artifacts.parent.mkdir(parents=True)
    shutil.copy(empty_database, found.artifacts.parent / "mlflow.db")
    people(found.home, "ana", "ben", "cid")
    return found


@pytest.fixture
def echo(monkeypatch):
    """The fake service, found by name as a real one is."""
    monkeypatch.setattr(service, "find", {"echo": ECHO}.__getitem__)
    return ECHO
