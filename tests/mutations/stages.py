"""The detector of a whole training: who is counted, and whether every noised answer is charged. It finds no fault."""

from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq

from components.core import params, service, settings
from components.core.records import DataCheck
from components.data.collect import Collected
from components.data.tables import INTERACTIONS, ITEMS
from components.privacy.accounts import steps_of
from components.privacy.draws import Fault
from components.privacy.trace import traced
from components.stages.rows import counted
from components.stages.run import Run
from components.stages.split import split
from components.stages.train import train
from tests.unit.stages.toy import SERVICE

CHECKOUT = Path(__file__).parents[2]
USERS = 2000
TRIALS = {"toy": {"linear": [{"scale": 2.0}, {"scale": 3.0}]}}
_MOST = 6
"""Standard deviations of the count's noise that are never seen: once in half a billion runs."""


def training(folder: Path) -> list[Fault]:
    """Train a tuned service with canaries, and compare what was drawn and counted with what the ledger says."""
    where = {"JALI_HOME": str(folder / "home"), "JALI_ROOT": str(folder / "checkout")}
    with patch.dict(os.environ, where), patch.object(service, "find", lambda name: SERVICE):
        run = _workspace(folder / "workspace")
        with traced(normaliser=None) as trace:
            train(run, "toy")
        drawn, holds = len(trace.answers), run.ledger().holds()
        charged = sum(steps_of(hold.release.event) for hold in holds)
        count = counted(run, "train", "toy")[0].noised
    found = []
    if drawn != charged:
        found.append(Fault("ledger", f"{drawn} noised answers", f"{charged} charged"))
    users = len(pq.read_table(run.data / "split" / "train" / "interactions.parquet")["user"].unique())
    if abs(count - users) > _MOST * run.params.privacy.count_noise:
        found.append(Fault("count", f"{count:.0f} are counted", f"{users} users"))
    return found


def _workspace(root: Path) -> Run:
    """Return a workspace whose users are divided."""
    tree = params.load(CHECKOUT / "params.yaml")
    chosen = tree.but(source="shop", services={"toy": {}}, training={"trials": TRIALS, "audit": True})
    run = Run(root=root, params=chosen, settings=settings.load())
    items = [{"item": f"I{item}", "title": f"Item {item}", "category": "G"} for item in range(4)]
    events = [
        {"user": f"{user:032x}", "item": f"I{user % 4}", "category": "G", "weight": 1.0, "block": "2024Q1"}
        for user in range(USERS)
    ]
    for name in ("raw", "checked", "prepared"):
        (run.data / name).mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(events, INTERACTIONS), run.data / "prepared" / "interactions.parquet")
    pq.write_table(pa.Table.from_pylist(items, ITEMS), run.data / "prepared" / "items.parquet")
    Collected(source="shop", public=True, start=None, end=None, blocks=("2024Q1",), digest_keyed="a" * 64).write(
        run.data / "raw" / "collected.json"
    )
    for place, table in (("checked", "events"), ("checked", "items"), ("prepared", "prepared")):
        DataCheck(table=table, suite="b" * 64, passed=True).write(run.data / place / f"{table}-check.json")
    split(run)
    return run
