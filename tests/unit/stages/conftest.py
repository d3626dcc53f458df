"""A workspace of a few hundred users, already split, and the toy service to run on it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.core import params, service, settings
from components.core.records import DataCheck
from components.data.collect import Collected
from components.data.tables import INTERACTIONS, ITEMS
from components.stages import split as split_stage
from components.stages.run import Run
from tests.unit.stages.toy import SERVICE

CHECKOUT = Path(__file__).parents[3]
USERS = 2000


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """An empty workspace."""
    monkeypatch.setenv("JALI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("JALI_ROOT", str(tmp_path / "checkout"))
    monkeypatch.setattr(service, "find", lambda name: SERVICE)
    tree = params.load(CHECKOUT / "params.yaml")
    chosen = tree.but(source="shop", training={"evaluation_epsilon": 6.0})
    chosen = chosen.model_copy(update={"services": {"toy": {}}})  # instead of those of params.yaml
    return Run(root=tmp_path / "workspace", params=chosen, settings=settings.load())


@pytest.fixture
def prepared(run: Run) -> Run:
    """A workspace whose tables were collected, checked and prepared."""
    interactions = [
        {"user": f"{user:032x}", "item": f"I{item}", "category": f"G{item % 3}", "weight": 1.0, "block": "2024Q1"}
        for user in range(USERS)
        for item in range(user % 4, user % 4 + 3)
    ]
    write_prepared(run, interactions)
    Collected(source="shop", public=True, start=None, end=None, blocks=("2024Q1",), digest_keyed="a" * 64).write(
        run.data / "raw" / "collected.json"
    )
    for folder, table in (("checked", "events"), ("checked", "items"), ("prepared", "prepared")):
        DataCheck(table=table, suite="b" * 64, passed=True).write(run.data / folder / f"{table}-check.json")
    return run


@pytest.fixture
def divided(prepared: Run) -> Run:
    """A workspace whose users are divided into train, validation and test."""
    split_stage.split(prepared)
    return prepared


def write_prepared(run: Run, interactions: list[dict[str, Any]]) -> None:
    folder = run.data / "prepared"
    folder.mkdir(parents=True, exist_ok=True)
    items = [{"item": f"I{item}", "title": f"Item {item}", "category": f"G{item % 3}"} for item in range(7)]
    pq.write_table(pa.Table.from_pylist(interactions, INTERACTIONS), folder / "interactions.parquet")
    pq.write_table(pa.Table.from_pylist(items, ITEMS), folder / "items.parquet")


def but(run: Run, **changes: Any) -> Run:
    """The same workspace with other parameters."""
    return Run(root=run.root, params=run.params.but(**changes), settings=run.settings)


NOW = datetime(2024, 6, 1, tzinfo=UTC)
