"""A search on people's rows: one release of the train users and one of the validation users, charged before it begins.

A trial draws a choice of the public grid, fits it on the train users and scores it on the validation users with noise.
For a train user, the trial is the training of that choice (its score reads other people); for a validation user, it is
the noised score. The number of trials is drawn from a declared law and secret, as everything is of all trials but the
best. What that costs either user is `components.privacy.tuning`; docs/decisions has the proof that it composes with the
count and the floor, though noise and δ follow the count.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
from pydantic import BaseModel, ConfigDict

from components.core import digest
from components.core.files import write_bytes
from components.core.grids import Choice, choices
from components.core.progress import Progress, no_progress
from components.core.service import Service
from components.privacy import mechanisms, tuning
from components.privacy.ledger import once
from components.privacy.release import BestOf, Gaussian, Release, Trials, content_key
from components.stages.dataset import dataset_of
from components.stages.evaluate import SEED
from components.stages.rows import count_event, counted, private_rows, public_tables
from components.stages.run import Run
from components.stages.search_budget import (
    Division,
    accounts_of,
    divided,
    held,
    order_of,
    require_room,
    require_within,
)
from components.stages.tuning import Search, Tuned, base, key_of, law, proposals

_MODULES = (
    __name__,
    "components.stages.search_budget",
    "components.stages.tuning",
    "components.training.proposals",
    tuning.__name__,
)
"""The code beside the service's own that shapes what a search answers."""


class SearchPlan(BaseModel):
    """Everything that shapes a search's answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trials: Trials
    floor: str
    choices: list[dict[str, Any]]
    noise_of_score: float
    reach: float
    seed: int


@dataclass(frozen=True)
class _Planned:
    """A search that may begin: what it releases, under which keys, and all that it needs beside people's rows."""

    released: dict[str, Release]
    keys: dict[str, str]
    found: Tuned
    """What will be said of it whatever it finds."""
    trials: Trials
    trial: _Trial


def search(run: Run, asked: Search, progress: Progress = no_progress) -> Tuned:
    """Search once; asked again for the same, return what was found, for nothing.

    Raises:
        BudgetExhausted: it does not fit into the accounts; nothing was read.
        Refused: with so many trials nothing is left for any of them.
    """
    if known := run.records().find(Tuned, key := _key(run, asked)):
        return known
    planned = _planned(run, asked)
    done = run.ledger().settled(planned.keys["train"])  # by a process that ended before it said so
    if done is not None and done.folder is not None:
        return run.records().keep(key, done.record(Tuned))
    progress(0, None)  # how many trials there are is told to nobody
    found = run.records().keep(key, _released(run, planned))
    progress(1, 1)
    return found


def _released(run: Run, planned: _Planned) -> Tuned:
    """Reserve both releases, and only then read, search and settle them with one output."""
    ledger, rows = run.ledger(), private_rows(run, planned.found.service)
    released, keys = planned.released, planned.keys
    with (
        ledger.release(released["train"], key=keys["train"], of=rows["train"]) as learnt,
        ledger.release(released["validation"], key=keys["validation"], of=rows["validation"]) as scored,
        tempfile.TemporaryDirectory() as scratch,
    ):
        learnt.intend(1)
        scored.intend(1)
        number = tuning.number(planned.trials)
        best = planned.trial.best_of(learnt.value, scored.value, number, Path(scratch))
        out = Path(scratch) / "out"
        planned.found.model_copy(update=best).write(out / f"{Tuned.kind}.json")
        scored.keep(out)
        return learnt.keep(out).record(Tuned)


def _key(run: Run, asked: Search) -> str:
    """Return the digest of all that a search follows from, so that what it found is found again."""
    tuned, own = base(run, asked.service)
    return digest.of_json(
        {
            "search": asked.service,
            "ledger": run.ledger().genesis,
            "dataset": dataset_of(run).digest,
            "params": run.params.model_dump(mode="json", include={"training", "privacy"}),
            "service": own.model_dump(mode="json"),
            "law": law(run, asked).model_dump(mode="json"),
            "grids": {name: dict(grid) for name, grid in asked.grids.items()},
            "modules": key_of(tuned, set(_MODULES)),
        }
    )


def _planned(run: Run, asked: Search) -> _Planned:
    """Count the users, release the floor, and divide what is left among trials that were not drawn yet."""
    name, trials = asked.service, law(run, asked)
    tuned, own = base(run, name)
    catalogue, rows = tuned.catalogue(public_tables(run), own), private_rows(run, name)
    orders = {which: order_of(run, which, trials) for which in ("train", "validation")}
    require_room(run, tuned, catalogue, trials, orders)

    counts = {which: counted(run, which, name)[0] for which in orders}
    size = {
        which: divided(run, tuned, catalogue, trials, orders[which], which, count.lower_bound)
        for which, count in counts.items()
    }
    train, judges = size["train"], size["validation"]
    facts: dict[str, Any] = {"delta": train.delta, "population": counts["train"].lower_bound}
    floor_plan = tuned.floor.plan(mu=train.floor, params=own, floor=None, **facts)
    floor = _floor(run, tuned, floor_plan, catalogue, rows["train"])
    at = {train.order, *(account.order for account in accounts_of(run, "train"))}
    at = {order for one in at for order in tuning.held_to(one, trials, train.trial)}
    plans = {
        choice: held(one, one.plan(mu=train.trial, params=choice.of(own), floor=floor, **facts), at, train)
        for choice in choices(asked.grids)
        for one in [tuned.candidates[choice.candidate]]
    }
    fitted = BestOf(choices=tuple(dict.fromkeys((plan.event,) for plan in plans.values())), trials=trials)
    judged = BestOf(choices=((_score_event(judges),),), trials=trials)
    require_within(run, "train", train, [count_event(run), floor_plan.event, fitted])
    require_within(run, "validation", judges, [count_event(run), judged])
    released = {
        "train": _release(name, rows["train"], fitted, 1.0),  # each choice's noise is in units of its own sensitivity
        "validation": _release(name, rows["validation"], judged, _reach(tuned)),
    }
    plan = SearchPlan(
        trials=trials,
        floor=digest.of_path(floor),
        choices=[
            {"candidate": choice.candidate, "changes": choice.tree, "plan": plan.model_dump(mode="json")}
            for choice, plan in plans.items()
        ],
        noise_of_score=_score_event(judges).noise_multiplier,
        reach=_reach(tuned),
        seed=SEED,
    )
    modules = key_of(tuned, set(_MODULES))
    training = run.params.training
    found = Tuned(
        service=name,
        dataset=dataset_of(run).digest,
        public=False,
        metric=f"{tuned.metrics[0].name} over {tuned.floor.name}",
        epsilon={"train": training.epsilon, "validation": training.epsilon_of_evaluation},
        delta={which: one.stated for which, one in size.items()},
        order=orders,
        accountant="RDP, converted (Papernot and Steinke 2022)",
        releases={which: release.digest for which, release in released.items()},
        ledger=run.ledger().genesis,
    )
    keys = {
        which: content_key(service=name, dataset=rows[which].digest, plan=plan, mechanism_digest=modules)
        for which in released
    }
    trial = _Trial(run, tuned, catalogue, asked, plans, floor, judges, counts["validation"].lower_bound)
    return _Planned(released, keys, found, trials, trial)


@dataclass(frozen=True)
class _Trial:
    """What a trial needs beside people's rows."""

    run: Run
    tuned: Service
    catalogue: Any
    asked: Search
    plans: Mapping[Choice, Any]
    floor: Path
    judged: Division
    judges: int

    def best_of(self, train: Any, validation: Any, number: int, scratch: Path) -> dict[str, Any]:
        """Make `number` trials, leave the best bundle in `scratch`/out, and return what is said of it.

        A trial that fails is the worst of all; of why, a file in the trusted zone tells.
        """
        out = scratch / "out"
        out.mkdir()
        draws, best, found = proposals(self.asked), -math.inf, dict[str, Any]()
        common = self._metric(self.floor, validation)
        for place in range(number):
            choice, bundle = draws.ask(), scratch / f"bundle-{place}"
            bundle.mkdir()
            try:
                score = self._score(choice, train, validation, common, bundle)
            except Exception as fault:
                self._tell(fault)
                continue
            if score > best:
                shutil.rmtree(out / "bundle", ignore_errors=True)
                bundle.rename(out / "bundle")
                best = score
                found = {"candidate": choice.candidate, "changes": dict(choice.changes), "score": score}
            shutil.rmtree(bundle, ignore_errors=True)
        return found

    def _score(self, choice: Choice, train: Any, validation: Any, common: Any, bundle: Path) -> float:
        """Fit one choice and return its noised mean gain over the floor, clipped by user."""
        self.tuned.candidates[choice.candidate].fit(
            train, self.plans[choice], self.catalogue, floor=self.floor, intend=lambda steps: None, out=bundle
        )
        reach = _reach(self.tuned)
        gains = np.nan_to_num(self._metric(bundle, validation) - common, nan=-reach)
        whole = np.array([np.clip(gains, -reach, reach).sum()])
        noised = mechanisms.noised_sum(whole, reach, _score_event(self.judged).noise_multiplier)
        return float(noised[0]) / self.judges

    def _metric(self, bundle: Path, validation: Any) -> Any:
        return np.asarray(self.tuned.score(bundle, validation, SEED), dtype=np.float64)[:, 0]

    def _tell(self, fault: Exception) -> None:
        page = self.run.reports / "faults" / f"trial-{datetime.now(UTC):%Y%m%dT%H%M%S%f}.txt"
        write_bytes(page, "".join(traceback.format_exception(fault)).encode())


def _floor(run: Run, tuned: Service, plan: Any, catalogue: Any, rows: Any) -> Path:
    """Release the floor, or find it settled, and return its bundle."""
    release = Release(
        mechanism=tuned.floor.name,
        service=tuned.name,
        sensitivity=plan.sensitivity,
        event=plan.event,
        blocks=rows.blocks,
        split="train",
    )
    modules = digest.of_modules(tuned.floor.modules)
    key = content_key(service=tuned.name, dataset=rows.digest, plan=plan, mechanism_digest=modules)

    def mechanism(value: Any, intend: Any, out: Path) -> Any:
        return tuned.floor.fit(value, plan, catalogue, floor=None, intend=intend, out=out)

    settled = once(run.ledger(), release, key, rows, mechanism)
    assert settled.folder is not None, "what was just settled is there"
    return settled.folder


def _release(name: str, rows: Any, event: BestOf, sensitivity: float) -> Release:
    return Release(
        mechanism="search",
        service=name,
        sensitivity=sensitivity,
        event=event,
        blocks=rows.blocks,
        split=cast(Any, rows.split),
    )


def _score_event(judged: Division) -> Gaussian:
    return Gaussian(noise_multiplier=1 / judged.trial)


def _reach(tuned: Service) -> float:
    """Return how far one user's gain over the floor is counted."""
    return tuned.metrics[0].paired * (tuned.metrics[0].high - tuned.metrics[0].low)
