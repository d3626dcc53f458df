"""A service's rows as private values, and the DP count that everything public about them comes from."""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

from components.core import digest
from components.core.errors import BudgetExhausted, ContractBroken
from components.core.private import Private
from components.core.records import Population
from components.privacy.release import Gaussian
from components.stages.dataset import dataset_of
from components.stages.run import Run


def private_rows(run: Run, name: str) -> dict[str, Private[Any]]:
    """Return a service's rows of each split, which only a release opens."""
    service, params = run.service(name)
    tables = _tables(run, service.private)  # says what is missing, where there is no dataset
    public = public_tables(run)
    if missing := [table for table in service.public if not (public / f"{table}.parquet").exists()]:
        raise ContractBroken(f"The public table {missing[0]} is missing", next_step="Run the split again.")
    shown = digest.of_json({table: digest.of_path(public / f"{table}.parquet") for table in service.public})
    view = f"{name} rows {shown} {digest.of_json(params.model_dump(mode='json'))}"
    return {
        which: table.map(lambda folder: service.rows(folder, public, params), name=view)
        for which, table in tables.items()
    }


def public_tables(run: Run) -> Path:
    """Return the folder of the dataset's public tables: items and ads."""
    return run.data / "split" / "public"


def counted(run: Run, which: str, name: str) -> tuple[Population, float]:
    """Return the DP count of a split's users in the tables that a service reads, and the δ that is stated by
    its lower bound. Services that read the same tables share one count.
    """
    from components.privacy.adaptive import stated_delta
    from components.privacy.mechanisms import population

    reads = sorted(run.service(name)[0].private)
    users = _tables(run, reads)[which].map(lambda folder: _users(folder, reads), name="distinct users")
    count = population(run.ledger(), users, count_event(run).noise_multiplier)
    return count, stated_delta(count.lower_bound, run.params.training.max_delta)


def kept_within(run: Run, stated: float) -> float:
    """Return the δ at which what follows a count is planned, so that the δ that is `stated` by the count holds."""
    from components.privacy.adaptive import proved_delta

    return proved_delta(stated, run.params.privacy.count_noise)


def left_after_count(run: Run, epsilon: float, delta: float) -> float:
    """Return the Gaussian-DP μ that a split which may spend `epsilon` at `delta` has left once it is counted.

    Raises:
        BudgetExhausted: the count alone costs as much.
    """
    from components.privacy import accounting

    # Gaussian composition adds squares; the count's own μ is 1/σ, whatever δ came out of it.
    square = accounting.gaussian_mu(epsilon, delta) ** 2 - run.params.privacy.count_noise**-2
    if square <= 0:
        spent = accounting.epsilon_of([count_event(run)], delta)
        raise BudgetExhausted(
            "The count of the users leaves nothing for the training",
            value=f"spent ε = {spent:.3g}, asked ε = {epsilon:g}, left 0",
            limit=f"ε above {spent:.3g} at δ = {delta:.2g}",
            next_step="Raise training.epsilon, or privacy.count_noise, in params.yaml.",
        )
    return math.sqrt(square)


def count_event(run: Run) -> Gaussian:
    """Return what a split's count costs."""
    return Gaussian(noise_multiplier=run.params.privacy.count_noise)


def _tables(run: Run, reads: Collection[str]) -> dict[str, Private[Path]]:
    from components.data.pseudonym import digest_key
    from components.data.split import private_tables

    split, dataset = run.data / "split", dataset_of(run)
    return private_tables(split, dataset.blocks, dataset.public, digest_key(run.settings.home), reads)


def _users(folder: Path, reads: Collection[str]) -> list[str]:
    import pyarrow.parquet as pq

    tables = (pq.read_table(folder / f"{name}.parquet", columns=["user"]) for name in reads)
    return sorted({user for table in tables for user in table["user"].unique().to_pylist()})
