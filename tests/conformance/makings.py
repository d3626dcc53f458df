"""What a conformance class makes of a service: parameters, tables, rows, bundles and un-noised answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.core import digest
from components.core.service import Candidate, Service
from components.privacy.canaries import Canaries

from .patches import noiseless

MU, DELTA, POPULATION = 1.0, 1e-5, 40

Basket = Sequence[int]
"""What one user takes, as positions in the catalogue."""


class Makings:
    """To be inherited, with:

    service: the service.
    items: its catalogue's table.
    options: its parameters, small enough to train in a moment.
    iterative: candidates that take many noisy steps instead of one; their clipping is the engine's and tested there.
    reads: the table of a split that `table` makes; a service that reads several overrides `write`.
    """

    service: ClassVar[Service]
    items: ClassVar[pa.Table]
    options: ClassVar[dict[str, Any]] = {}
    iterative: ClassVar[frozenset[str]] = frozenset()
    reads: ClassVar[str] = "interactions"

    def params(self) -> Any:
        return self.service.params.model_validate(self.options)

    def table(self, baskets: Sequence[Basket]) -> pa.Table:
        """Return a split's table, one basket a user; override it where a service reads another table."""
        names = self.items["item"].to_pylist()
        pairs = [(pseudonym(user), names[item]) for user, basket in enumerate(baskets) for item in basket]
        return pa.table(
            {
                "user": pa.array([user for user, _ in pairs], pa.string()),
                "item": pa.array([item for _, item in pairs], pa.string()),
                "category": pa.nulls(len(pairs), pa.string()),
                "weight": np.ones(len(pairs)),
                "block": pa.array(["2000Q4"] * len(pairs), pa.string()),
            }
        )

    def baskets(self, users: int = 40, seed: int = 5) -> list[list[int]]:
        drawn = np.random.default_rng(seed)
        return [drawn.choice(len(self.items), size=drawn.integers(1, 7), replace=False).tolist() for _ in range(users)]

    def rows(self, folder: Path, table: pa.Table) -> Any:
        public = self.items_path(folder)
        self.write(folder, table)
        return self.service.rows(folder, public, self.params())

    def write(self, folder: Path, table: pa.Table) -> None:
        """Write the private tables of a split into the folder; override it where a service reads several."""
        pq.write_table(table, folder / f"{self.reads}.parquet")

    def items_path(self, folder: Path) -> Path:
        """Write the public tables into the folder and return it; override it where there are more than items."""
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(self.items, folder / "items.parquet")
        return folder

    def trained(
        self, candidate: Candidate, rows: Any, folder: Path, canaries: Canaries | None = None
    ) -> tuple[Path, Any, Any]:
        """Return the candidate's bundle, its plan and the event that ran."""
        catalogue = self.service.catalogue(self.items_path(folder), self.params())
        floor = None
        if candidate.personal:
            floor, _, _ = self.trained(self.service.floor, rows, folder)
        plan = candidate.plan(mu=MU, delta=DELTA, population=POPULATION, params=self.params(), floor=floor)
        out = folder / candidate.name
        given = {"floor": floor, "intend": lambda steps: None, "out": out, "canaries": canaries}
        return out, plan, candidate.fit(rows, plan, catalogue, **given)

    def with_items(self, items: pa.Table) -> Makings:
        """Return the same service's makings over another catalogue."""
        return type("OtherItems", (type(self),), {"items": items})()

    def statistic(self, candidate: Candidate, rows: Any, folder: Path) -> tuple[np.ndarray, float]:
        """Return the un-noised answer of a one-shot candidate and the sensitivity that its noise was scaled to.

        The floor that a personal candidate starts from is the same for all rows: it is already released.
        """
        catalogue = self.service.catalogue(self.items_path(folder), self.params())
        floor = folder / "floor"
        if candidate.personal and not floor.exists():
            fixed = self.rows(folder / "fixed", self.table(self.baskets()))
            with noiseless():
                self.trained(self.service.floor, fixed, folder / "fixed")[0].rename(floor)
        given_floor = floor if candidate.personal else None
        plan = candidate.plan(mu=MU, delta=DELTA, population=POPULATION, params=self.params(), floor=given_floor)
        with noiseless() as sums:
            candidate.fit(rows, plan, catalogue, floor=given_floor, intend=lambda steps: None, out=folder / "bundle")
        assert len(sums) == 1
        return sums[0]


def pseudonym(user: int) -> str:
    """Return what stands for a user in the tables."""
    return digest.of_bytes(str(user).encode())[:32]
