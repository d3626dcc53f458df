"""Train: count the users, divide the budget, fit every candidate, and make its bundle smaller where that is asked."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from components.core import digest
from components.core.errors import Misconfigured
from components.core.files import atomic_path
from components.core.private import Private
from components.core.progress import Progress, no_progress
from components.core.records import Trained
from components.core.service import Candidate, Service
from components.privacy.canaries import Canaries, Observed
from components.privacy.release import Event
from components.stages.budget import Budget, Share
from components.stages.dataset import dataset_of
from components.stages.rows import (
    count_event,
    counted,
    kept_within,
    left_after_count,
    private_rows,
    public_tables,
)
from components.stages.run import Run
from components.stages.smaller import carry, shrunk


def train(run: Run, name: str, progress: Progress = no_progress) -> tuple[Trained, ...]:
    """Fit every candidate of a service: the floor first, on whose ranking the others build.

    All of it together, counts and losing candidates included, costs `training.epsilon` at the δ that is stated, though
    noise and δ follow the count: that is the theorem of `components.privacy.adaptive`.

    Raises:
        BudgetExhausted: it does not fit.
        Misconfigured: customers would be told what the simulated shop says; nothing was charged.
    """
    from components.privacy.plan import allocate

    service, params = run.service(name)
    _require_own_words(run, service, params)
    epsilon, rows = run.params.training.epsilon, private_rows(run, name)["train"]
    catalogue = service.catalogue(public_tables(run), params)
    count, stated = counted(run, "train", name)
    delta = kept_within(run, stated)
    facts = {"delta": delta, "population": count.lower_bound, "params": params}
    floor, mu = service.floor, left_after_count(run, epsilon, delta)
    shares = service.shares(mu, count.lower_bound, catalogue)
    floor_plan = floor.plan(mu=mu * math.sqrt(shares.pop(floor.name)), floor=None, **facts)
    trained = [_fitted(run, service, floor, floor_plan, catalogue, rows, None, progress)]
    floor_bundle = run.models(name) / floor.name
    spent = [count_event(run), floor_plan.event]
    plans, _ = allocate(
        epsilon,
        delta,
        spent,
        shares,
        lambda key, mu: service.candidates[key].plan(mu=mu, floor=floor_bundle, **facts),
    )
    for key, plan in plans.items():
        trained.append(_fitted(run, service, service.candidates[key], plan, catalogue, rows, floor_bundle, progress))

    budget = Budget(
        epsilon=epsilon,
        delta=stated,
        count=Share(mechanism="dp_count", release=count.release, event=spent[0], parameters={}),
        plans={
            one.candidate: Share(
                mechanism=one.candidate, release=one.release, event=plan.event, parameters=plan.model_dump(mode="json")
            )
            for one, plan in zip(trained, [floor_plan, *plans.values()], strict=True)
        },
    )
    with atomic_path(run.evidence(name, "train")) as part:
        count.write(part / "population.json")
        budget.write(part / "budget.json")
        for one in trained:
            one.write(part / f"{one.candidate}.json")
            if form := shrunk(run, one.bundle):
                form.write(part / f"{one.candidate}-smaller.json")
            if seen := observed(run, one):
                seen.write(part / f"{one.candidate}-canaries.json")
    return tuple(trained)


def telemetry(run: Run, name: str, key: str) -> Path:
    """Return the folder for un-noised curves and checkpoints of the release with this key: the trusted zone."""
    return run.reports / name / key[:16]


def observed(run: Run, one: Trained) -> Observed | None:
    """Return what was seen of the canaries of the release that made a bundle; None where there were none."""
    form = shrunk(run, one.bundle)
    return run.records().find(Observed, _observed_key(one.key, form.whole if form else one.bundle))


def _observed_key(key: str, bundle: str) -> str:
    return digest.of_json(["canaries", key, bundle])


def _require_own_words(run: Run, service: Service, params: Any) -> None:
    if not dataset_of(run).public and (kept := service.made_up(params)):
        raise Misconfigured(
            f"A real shop's customers would be told what the simulated shop says: {', '.join(kept)} is not set",
            next_step=f"Set services.{service.name}.{kept[0]} in params.yaml to your own.",
        )


def _fitted(
    run: Run,
    service: Service,
    candidate: Candidate,
    plan: Any,
    catalogue: Any,
    rows: Private[Any],
    floor: Path | None,
    progress: Progress,
) -> Trained:
    """Release one candidate, or find it settled, and put its bundle into the workspace."""
    from components.privacy.ledger import once
    from components.privacy.release import Release, content_key

    ledger = run.ledger()
    release = Release(
        mechanism=candidate.name,
        service=service.name,
        sensitivity=plan.sensitivity,
        event=plan.event,
        blocks=rows.blocks,
        split=cast(Any, rows.split),
    )
    modules, audited = digest.of_modules(candidate.modules), run.params.training.audit
    if audited:  # a release without canaries is another one: it cannot be audited
        modules = digest.of_json([modules, run.params.training.canaries])
    key = content_key(service=service.name, dataset=rows.digest, plan=plan, mechanism_digest=modules)

    aside = telemetry(run, service.name, key)

    def mechanism(value: Any, intend: Callable[[int], None], out: Path) -> Event:
        canaries = Canaries.flipped(run.params.training.canaries) if audited else None
        ran = candidate.fit(
            value,
            plan,
            catalogue,
            floor=floor,
            intend=intend,
            out=out,
            telemetry=aside,
            canaries=canaries,
            flags=run.params.performance,
            progress=progress,
        )
        if canaries:  # before the release is settled: whatever is settled can be audited
            run.records().keep(_observed_key(key, digest.of_path(out)), canaries.required())
        return ran

    settled = once(ledger, release, key, rows, mechanism)
    shutil.rmtree(aside / "checkpoints", ignore_errors=True)
    assert settled.folder is not None, "what was just settled is there"
    assert settled.output is not None, "a candidate leaves a bundle"
    bundle = carry(run, service, candidate, settled.folder)
    return Trained(
        service=service.name,
        candidate=candidate.name,
        personal=candidate.personal,
        bundle=bundle,
        release=release.digest,
        key=key,
        dataset=dataset_of(run).digest,
        ledger=ledger.genesis,
        steps=getattr(settled.event, "steps", None),
    )
