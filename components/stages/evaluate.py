"""Evaluate: choose on the validation users, measure on the test users; each are charged once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from components.core import digest
from components.core.evidence import Record
from components.core.files import atomic_path, write_bytes
from components.core.progress import Progress, no_progress
from components.core.records import Dataset, Evaluation
from components.core.service import Service
from components.stages.budget import Budget
from components.stages.dataset import dataset_of
from components.stages.rows import counted, kept_within, left_after_count, private_rows, public_tables
from components.stages.run import Run

SEED = 20_240_229
"""Which items of a test user are targets; any fixed number."""


class Ceilings(Record):
    """Un-noised metrics of models without privacy, by model; of public sources alone."""

    kind: ClassVar[str] = "ceilings"
    metrics: dict[str, dict[str, float]]


def evaluate(run: Run, name: str, progress: Progress = no_progress) -> Evaluation:
    """Choose the candidate with the best noised validation score, measure it, and draw what was released.

    Where the source is public, models without privacy are measured beside it, as ceilings.
    """
    from components.evaluation.evaluate import evaluate as evaluate_bundles

    service, _ = run.service(name)
    dataset, rows = dataset_of(run), private_rows(run, name)
    bundles = {candidate: run.models(name) / candidate for candidate in service.candidates}
    budget, found = run.params.training.epsilon_of_evaluation, dict[str, Evaluation]()
    with atomic_path(run.evidence(name, "evaluate")) as part:
        for done, which in enumerate(("validation", "test")):
            progress(done, 3)
            count, delta = counted(run, which, name)
            testing = which == "test"
            found[which] = evaluate_bundles(
                service=service,
                rows=rows[which],
                dataset=dataset.digest,
                bundles=bundles,
                chosen=found["validation"].chosen if testing else None,
                champion=champion_bundle(run, name) if testing else None,
                mu=left_after_count(run, budget, kept_within(run, delta)),
                ledger=run.ledger(),
                confidence=run.params.gates.confidence,
                seed=SEED,
            )
            count.write(part / f"population-{which}.json")
            found[which].write(part / f"{which}.json")
        progress(2, 3)
        ceilings = _ceilings(run, name, dataset)
        ceilings.write(part / "ceilings.json")
        progress(3, 3)
    _draw(run, service, found["test"], ceilings.metrics)
    return found["test"]


def evaluation_of(run: Run, name: str, candidate: str) -> Evaluation:
    """Return the test evaluation, read for `candidate`: the chosen one, or the floor that goes instead."""
    from components.evaluation.evaluate import floor_instead

    found = Evaluation.read(run.evidence(name, "evaluate") / "test.json")
    return found if candidate == found.chosen else floor_instead(found, candidate)


def ceilings_of(run: Run, name: str) -> dict[str, dict[str, float]]:
    """Return the metrics of the models without privacy; none for a private source."""
    return Ceilings.read(run.evidence(name, "evaluate") / "ceilings.json").metrics


def champion_bundle(run: Run, name: str) -> Path | None:
    """Return the bundle of the present champion, its approval verified, or None where nothing was ever promoted."""
    from components.registry.champions import ApprovedChampions

    champion = ApprovedChampions(run.settings.home, run.settings.identities).current(name)
    return champion.bundle if champion else None


def _ceilings(run: Run, name: str, dataset: Dataset) -> Ceilings:
    if not (dataset.public and run.params.training.ceiling):
        return Ceilings(metrics={})
    service, params = run.service(name)
    modules = digest.reached([service.ceiling.__module__], within=("components.services", "components.evaluation"))
    modules |= {name for one in service.candidates.values() for name in one.modules}
    key = digest.of_json([dataset.digest, params.model_dump(mode="json"), digest.of_modules(modules)])
    if known := run.records().find(Ceilings, key):
        return known
    rows = private_rows(run, name)
    catalogue = service.catalogue(public_tables(run), params)
    metrics = service.ceiling(rows["train"].open_public(), rows["test"].open_public(), catalogue, params)
    return run.records().keep(key, Ceilings(metrics=metrics))


def _draw(run: Run, service: Service, test: Evaluation, ceilings: dict[str, dict[str, float]]) -> None:
    from components.evaluation import burndown, plots

    budget = Budget.read(run.evidence(service.name, "train") / "budget.json")
    figures = json.dumps(_figures(run, service, test, budget), indent=1)
    write_bytes(run.metrics(service.name), figures.encode() + b"\n")
    with atomic_path(run.plots(service.name)) as part:
        part.mkdir()
        plots.plot_metrics(plots.bars(service, test, ceilings), part)
        longest = max((budget.curve(candidate) for candidate in budget.plans), key=len)
        plots.plot_epsilon(longest, run.params.training.epsilon, part)
        book = run.ledger()
        burndown.plot_burn_down(burndown.burn_down(book.accounts(), book.holds()), part)


def _figures(run: Run, service: Service, test: Evaluation, budget: Budget) -> dict[str, Any]:
    """Return the few figures that `dvc metrics diff` compares: what was spent, and the first metric with its bounds."""
    from components.evaluation.footprint import bundle_megabytes

    first, floor = service.metrics[0].name, service.floor.name
    gain = test.paired.get("floor")
    return {
        "epsilon": budget.epsilon,
        "delta": budget.delta,
        "bundle_megabytes": bundle_megabytes(run.models(service.name) / test.chosen),
        "chosen": test.chosen,
        first: test.metrics[test.chosen][first].model_dump(),
        f"{first} of {floor}": test.metrics[floor][first].model_dump(),
        "gain over floor": gain.model_dump() if gain else {},
    }
