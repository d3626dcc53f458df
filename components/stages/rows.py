"""A service's rows as private values, and the DP count that everything public about them comes from."""

from __future__ import annotations

import math
from typing import Any

from components.core import digest
from components.core.private import Private
from components.core.records import Population
from components.privacy.release import Gaussian
from components.stages.dataset import dataset_of
from components.stages.run import Run

COUNT_SHARE = 0.01
"""Part of a split's μ² that its DP count takes: σ is then 10/μ users, which leaves q and δ within a percent."""


def private_rows(run: Run, name: str) -> dict[str, Private[Any]]:
    """Return a service's rows of each split, which only a release opens."""
    from components.data.split import private_tables

    service, params = run.service(name)
    split, dataset = run.data / "split", dataset_of(run)
    items = split / "items.parquet"
    view = f"{name} rows {digest.of_path(items)} {digest.of_json(params.model_dump(mode='json'))}"
    tables = private_tables(split, dataset.blocks, dataset.public)
    return {
        which: table.map(lambda path: service.rows(path, items, params), name=view) for which, table in tables.items()
    }


def counted(run: Run, rows: Private[Any], epsilon: float) -> tuple[Population, float]:
    """Return the DP count of a split that may spend `epsilon`, and the δ that follows from its lower bound."""
    from components.privacy.mechanisms import population

    count = population(run.ledger(), rows, count_event(run, epsilon).noise_multiplier)
    return count, min(run.params.training.max_delta, 1 / (10 * count.lower_bound))


def left_after_count(run: Run, epsilon: float, delta: float) -> float:
    """Return the Gaussian-DP μ that a split which may spend `epsilon` at `delta` has left once it is counted."""
    from components.privacy import accounting

    # Gaussian composition adds squares; the count's own μ is 1/σ, whatever δ came out of it.
    return math.sqrt(accounting.gaussian_mu(epsilon, delta) ** 2 - count_event(run, epsilon).noise_multiplier ** -2)


def count_event(run: Run, epsilon: float) -> Gaussian:
    """Return what that count costs. δ follows from the count, so it is made at the largest δ that may follow."""
    from components.privacy import accounting

    mu = accounting.gaussian_mu(epsilon, run.params.training.max_delta)
    return Gaussian(noise_multiplier=1 / (mu * math.sqrt(COUNT_SHARE)))
