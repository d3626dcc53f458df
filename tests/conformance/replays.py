"""A service's candidate on neighbouring rows with the same randomness."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from components.core.service import Candidate
from components.privacy.canaries import Canaries
from components.privacy.release import Event
from components.privacy.replay import Replayed, replay

if TYPE_CHECKING:
    from .makings import Makings


def replayed(
    suite: Makings, candidate: Candidate, folder: Path, *, mu: float, delta: float, audited: bool = False
) -> Replayed:
    """Replay `candidate` with one more user: of every item, of one, of the same one many times, of broken weights.

    The floor that a personal candidate starts from is the same for all rows: it is already released. Where it is
    `audited` canaries take part in each run, the same ones.
    """
    everyone = suite.baskets()
    whole = list(range(len(suite.items)))
    rows = suite.rows(folder / "rows", suite.table(everyone))
    tables = {
        "a user of everything": suite.table([*everyone, whole]),
        "a user of one item": suite.table([*everyone, whole[:1]]),
        "a user of two items": suite.table([*everyone, whole[:2]]),
        "a user of one item many times": suite.table([*everyone, whole[:1] * 50]),
        "a user of weights that are no numbers": _weighing(suite, everyone, whole, float("nan")),
        "a user of weights beyond measure": _weighing(suite, everyone, whole, 1e300),
    }
    neighbours = {name: suite.rows(folder / name.replace(" ", "-"), table) for name, table in tables.items()}
    nobody = suite.rows(folder / "nobody", suite.table([]))
    catalogue = suite.service.catalogue(suite.items_path(folder), suite.params())
    floor = suite.trained(suite.service.floor, rows, folder)[0] if candidate.personal else None
    population = len(everyone)
    plan = candidate.plan(mu=mu, delta=delta, population=population, params=suite.params(), floor=floor)
    users, taking_part = np.array([1, 1, 1, 1, 5, 5]), np.arange(6) % 2 == 0

    def mechanism(value: Any, intend: Callable[[int], None], out: Path) -> Event:
        canaries = Canaries(users, taking_part) if audited else None
        return candidate.fit(value, plan, catalogue, floor=floor, intend=intend, out=out, canaries=canaries)

    return replay(
        mechanism,
        plan,
        rows,
        neighbours=neighbours,
        nobody=nobody,
        behind=int(users[taking_part].sum()) if audited else 0,
    )


def _weighing(suite: Makings, everyone: Sequence[Sequence[int]], basket: Sequence[int], weight: float) -> pa.Table:
    """Return everyone's table with one user more, whose events weigh `weight`, where there are weights."""
    table = suite.table([*everyone, basket])
    if "weight" not in table.column_names:
        return table
    weights = np.array(table["weight"].to_numpy(zero_copy_only=False), dtype=np.float64)
    weights[suite.table(everyone).num_rows :] = weight
    return table.set_column(table.column_names.index("weight"), "weight", pa.array(weights))
