"""A training before it runs: everything that it would release, how, and what each would cost. Nothing is charged."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from components.core.errors import ContractBroken, Misconfigured
from components.core.records import SPLITS, Dataset, Population
from components.privacy.adaptive import stated_delta
from components.privacy.outlook import Planned, require_caps_above_spent
from components.privacy.release import Gaussian
from components.stages.dataset import dataset_of
from components.stages.rows import count_event, kept_within, left_after_count, public_tables
from components.stages.run import Run


@dataclass(frozen=True)
class Users:
    """How many users each split has, as far as is public: lower bounds of DP counts, or somebody's guess."""

    by_split: Mapping[str, int]
    source: str

    @classmethod
    def guessed(cls, run: Run, train: int) -> Users:
        """Return a guess from `train` users of the training, the others by their shares.

        Raises:
            Misconfigured: there is nobody to train on.
        """
        if train < 1:
            raise Misconfigured("A training needs users", value=train, limit="at least 1", next_step="Say how many.")
        shares = run.params.split.model_dump()
        by_split = {split: max(1, math.floor(train * shares[split] / shares["train"])) for split in SPLITS}
        return cls(by_split, "as was asked")


def planned(run: Run, name: str, users: Users) -> list[Planned]:
    """Return every release of one training of a service, in the order in which they are charged.

    The counts, the floor, every candidate (each trial of a tuning is one) and both evaluations. The audit and the gate
    are not among them: they read what is released, and what is simulated.

    Raises:
        Misconfigured: δ may be above what any gate lets through.
        BudgetExhausted: the counts leave nothing for the rest.
    """
    require_delta(run)
    found = []
    for split in SPLITS:
        delta = delta_for(run, users.by_split[split])
        found.append(Planned("count", "dp_count", split, delta, count_event(run)))
        if split == "train":
            found += _candidates(run, name, users.by_split[split], delta)
        else:
            mu = left_after_count(run, run.params.training.epsilon_of_evaluation, kept_within(run, delta))
            found.append(Planned("evaluation", "metrics", split, delta, Gaussian(noise_multiplier=1 / mu)))
    return found


def delta_for(run: Run, users: int) -> float:
    """Return the δ that is stated of a split with at least so many users."""
    return stated_delta(users, run.params.training.max_delta)


def require_delta(run: Run) -> None:
    """Refuse a training whose δ no gate would let through, before it has spent anything.

    Raises:
        Misconfigured: `training.max_delta` is above `gates.delta`.
    """
    most, limit = run.params.training.max_delta, run.params.gates.delta
    if most > limit:
        raise Misconfigured(
            "params.yaml: training.max_delta is above what the gate lets through",
            value=f"δ = {most:g}",
            limit=f"gates.delta = {limit:g}",
            next_step="Lower it; a version at such a δ would be refused after its ε was spent.",
        )


def require_caps(run: Run) -> None:
    """Refuse caps of the parameters that the dataset's accounts have already passed.

    Raises:
        Misconfigured: a cap is below what is spent.
    """
    require_caps_over(run, dataset_of(run).blocks)


def require_caps_over(run: Run, blocks: tuple[str, ...]) -> None:
    """Refuse the same for the accounts of `blocks`."""
    ledger, privacy = run.ledger(), run.params.privacy
    require_caps_above_spent(
        ledger.accounts(), ledger.holds(), blocks=blocks, cap=privacy.cap, lifetime_cap=privacy.lifetime_cap
    )


def known_dataset(run: Run) -> tuple[Run, Dataset] | None:
    """Return the workspace that holds the dataset of the chosen source, with its record; None where none was made."""
    source = run.params.source
    for root in (run.settings.var / "workspaces" / source, run.root):
        there = Run(root=root, params=run.params, settings=run.settings)
        if (there.data / "split" / "dataset.json").exists() and (dataset := dataset_of(there)).source == source:
            return there, dataset
    return None


def counted_before(run: Run, name: str) -> Users | None:
    """Return the users by the DP counts of the last training in a workspace, of this ledger; None where it has none."""
    trained, evaluated = run.evidence(name, "train"), run.evidence(name, "evaluate")
    paths = {split: evaluated / f"population-{split}.json" for split in SPLITS[1:]}
    paths["train"] = trained / "population.json"
    try:
        counts = {split: Population.read(paths[split]) for split in SPLITS}
    except ContractBroken:
        return None
    if {count.ledger for count in counts.values()} != {run.ledger().genesis}:
        return None
    return Users({split: count.lower_bound for split, count in counts.items()}, "by the last DP counts")


def _candidates(run: Run, name: str, users: int, delta: float) -> list[Planned]:
    """Divide the budget as `train` does, up to the floor's bundle, of which a plan holds the digest alone."""
    from components.privacy.plan import allocate

    service, params = run.service(name)
    stated, delta = delta, kept_within(run, delta)
    facts = {"delta": delta, "population": users, "params": params}
    floor, mu = service.floor, left_after_count(run, run.params.training.epsilon, delta)
    known = known_dataset(run)
    catalogue = service.catalogue(public_tables(known[0]), params) if known else None
    shares = service.shares(mu, users, catalogue)
    first = floor.plan(mu=mu * math.sqrt(shares.pop(floor.name)), floor=None, **facts)
    found = [Planned("floor", floor.name, "train", stated, first.event)]
    with tempfile.TemporaryDirectory() as nothing:
        plans, _ = allocate(
            run.params.training.epsilon,
            delta,
            [count_event(run), first.event],
            shares,
            lambda key, mu: service.candidates[key].plan(mu=mu, floor=Path(nothing), **facts),
        )
    return [*found, *(Planned("candidate", key, "train", stated, plan.event) for key, plan in plans.items())]
