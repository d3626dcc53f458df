"""The model stages of one service: train → evaluate → audit → gate. What they leave is released and charged."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from components.core import digest
from components.core.files import atomic_path, write_bytes
from components.core.private import Private
from components.core.progress import Progress, no_progress
from components.core.records import Dataset, Evaluation, Population, Trained
from components.core.service import Candidate, Service
from components.stages.budget import Budget, Share
from components.stages.run import Run

COUNT_SHARE = 0.01
"""Part of a split's μ² that its DP count takes: σ is then 10/μ users, which leaves q and δ within a percent."""

SEED = 20_240_229
"""Which items of a test user are targets; any fixed number."""


def private_rows(run: Run, name: str) -> dict[str, Private[Any]]:
    """Return a service's rows of each split, which only a release opens."""
    from components.data.split import private_tables

    service, params = run.service(name)
    split = run.data / "split"
    dataset = Dataset.read(split / "dataset.json")
    items = split / "items.parquet"
    view = f"{name} rows {digest.of_path(items)} {digest.of_json(params.model_dump(mode='json'))}"
    tables = private_tables(split, dataset.blocks, dataset.public)
    return {
        which: table.map(lambda path: service.rows(path, items, params), name=view) for which, table in tables.items()
    }


def train(run: Run, name: str, progress: Progress = no_progress) -> tuple[Trained, ...]:
    """Count the users, divide the budget, and fit every candidate: the floor first, which the others build on.

    The whole of it, counts and losing candidates included, is at most `training.epsilon` by PLD.
    """
    from components.privacy import accounting
    from components.privacy.plan import allocate

    service, params = run.service(name)
    budget, rows = run.params.training, private_rows(run, name)["train"]
    count, delta = _counted(run, rows, budget.epsilon)
    shares = {candidate.name: candidate.share for candidate in service.candidates.values()}
    floor, others = service.floor, {key: share for key, share in shares.items() if key != service.floor.name}
    facts = {"delta": delta, "population": count.lower_bound, "params": params}

    mu = accounting.gaussian_mu(budget.epsilon, delta) * math.sqrt(1 - COUNT_SHARE)
    floor_plan = floor.plan(mu=mu * math.sqrt(shares[floor.name] / sum(shares.values())), floor=None, **facts)
    trained = [_fitted(run, service, floor, floor_plan, rows, None, progress)]
    floor_bundle = run.models(name) / floor.name
    counted = _count_event(run, budget.epsilon)
    plans, epsilon = allocate(
        budget.epsilon,
        delta,
        [counted, floor_plan.event],
        others,
        lambda key, mu: service.candidates[key].plan(mu=mu, floor=floor_bundle, **facts),
    )
    for key, plan in plans.items():
        trained.append(_fitted(run, service, service.candidates[key], plan, rows, floor_bundle, progress))

    record = Budget(
        epsilon=epsilon,
        delta=delta,
        count=Share(mechanism="dp_count", release=count.release, event=counted, parameters={}),
        plans={
            one.candidate: Share(
                mechanism=one.candidate, release=one.release, event=plan.event, parameters=plan.model_dump(mode="json")
            )
            for one, plan in zip(trained, [floor_plan, *plans.values()], strict=True)
        },
    )
    with atomic_path(run.evidence(name, "train")) as part:
        count.write(part / "population.json")
        record.write(part / "budget.json")
        for one in trained:
            one.write(part / f"{one.candidate}.json")
    return tuple(trained)


def evaluate(run: Run, name: str, progress: Progress = no_progress) -> Evaluation:
    """Choose among the candidates on the validation users, and measure the chosen one on the test users.

    Each split's users are charged once, for everything that is measured on them.
    """
    from components.evaluation import evaluate as room
    from components.privacy import accounting

    service, params = run.service(name)
    dataset, rows = Dataset.read(run.data / "split" / "dataset.json"), private_rows(run, name)
    bundles = {candidate: run.models(name) / candidate for candidate in service.candidates}
    budget, evaluations = run.params.training.evaluation_epsilon, dict[str, Evaluation]()
    out = run.evidence(name, "evaluate")
    with atomic_path(out) as part:
        for done, which in enumerate(("validation", "test")):
            progress(done, 2)
            count, delta = _counted(run, rows[which], budget)
            testing = which == "test"
            evaluations[which] = room.evaluate(
                service=service,
                rows=rows[which],
                dataset=dataset.digest,
                bundles=bundles,
                chosen=evaluations["validation"].chosen if testing else None,
                champion=champion_bundle(run, name) if testing else None,
                population=count,
                mu=accounting.gaussian_mu(budget, delta) * math.sqrt(1 - COUNT_SHARE),
                ledger=run.ledger(),
                confidence=run.params.gates.confidence,
                seed=SEED,
            )
            count.write(part / f"population-{which}.json")
            evaluations[which].write(part / f"{which}.json")
        progress(2, 2)
    return evaluations["test"]


def champion_bundle(run: Run, name: str) -> Path | None:
    """Return the bundle of the present champion, its approval verified, or None where nothing was ever promoted."""
    from components.registry.champions import ApprovedChampions

    champion = ApprovedChampions(run.settings.home, run.settings.identities).current(name)
    return champion.bundle if champion else None


def _counted(run: Run, rows: Private[Any], epsilon: float) -> tuple[Population, float]:
    """Return a split's DP count and the δ that follows from its lower bound."""
    from components.privacy.mechanisms import population

    count = population(run.ledger(), rows, _count_event(run, epsilon).noise_multiplier)
    return count, min(run.params.training.max_delta, 1 / (10 * count.lower_bound))


def _count_event(run: Run, epsilon: float) -> Any:
    from components.privacy import accounting
    from components.privacy.release import Gaussian

    # δ follows from the count, so the count itself is made at the largest δ that may follow.
    mu = accounting.gaussian_mu(epsilon, run.params.training.max_delta)
    return Gaussian(noise_multiplier=1 / (mu * math.sqrt(COUNT_SHARE)))


def _fitted(
    run: Run,
    service: Service,
    candidate: Candidate,
    plan: Any,
    rows: Private[Any],
    floor: Path | None,
    progress: Progress,
) -> Trained:
    """Release one candidate, or find it settled, and put its bundle into the workspace."""
    from components.privacy.ledger import once
    from components.privacy.release import Release, content_key

    params = run.service(service.name)[1]
    ledger, split = run.ledger(), run.data / "split"
    catalogue = service.catalogue(split / "items.parquet", params)
    release = Release(
        mechanism=candidate.name,
        service=service.name,
        sensitivity=plan.sensitivity,
        event=plan.event,
        blocks=rows.blocks,
        split=cast(Any, rows.split),
    )
    modules = digest.of_modules(candidate.modules)
    key = content_key(service=service.name, dataset=rows.digest, plan=plan, mechanism_digest=modules)

    def mechanism(value: Any, intend: Any, out: Path) -> Any:
        return candidate.fit(value, plan, catalogue, floor=floor, intend=intend, out=out)

    settled = once(ledger, release, key, rows, mechanism)
    assert settled.folder is not None and settled.output is not None, "what was just settled is there"
    with atomic_path(run.models(service.name) / candidate.name) as part:
        shutil.copytree(settled.folder, part)
    return Trained(
        service=service.name,
        candidate=candidate.name,
        personal=candidate.personal,
        bundle=settled.output,
        release=release.digest,
        key=key,
        dataset=Dataset.read(split / "dataset.json").digest,
        ledger=ledger.genesis,
        steps=getattr(settled.event, "steps", None),
    )


def _figures(evaluation: Evaluation) -> Mapping[str, Mapping[str, float]]:
    return {
        candidate: {metric: interval.value for metric, interval in metrics.items()}
        for candidate, metrics in evaluation.metrics.items()
    }
