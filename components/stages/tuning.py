"""A search for a service's parameters on a public source: free, each trial a training of its own that nobody charges.

What a trial trains is the private mechanism, with the noise of a training at `training.epsilon`: values that are good
without noise are not those that are good with it. On people's rows the whole search is one release: `searching`.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from components.core import digest, params, service
from components.core.errors import Misconfigured, Refused
from components.core.evidence import Record
from components.core.files import atomic_path
from components.core.grids import Choice, Grid, grids
from components.core.service import Service
from components.stages.dataset import dataset_of
from components.stages.evaluate import SEED
from components.stages.rows import kept_within, left_after_count, private_rows, public_tables
from components.stages.run import Run
from components.stages.tracking import git_commit

if TYPE_CHECKING:
    from components.privacy.release import Trials
    from components.training.proposals import Proposals


class Tuned(Record):
    """What a search found, and what it cost. Of a private source nothing else of it is told to anybody.

    Attributes:
        candidate, changes: the best trial's; empty where no trial ended.
        score: its mean of `metric` on the validation users of a public source; of a private one the noised mean gain
            over the floor that it was chosen by.
        trials: how many there were; None for a private source, whose number is secret.
        epsilon, delta: by split, of all releases of the search together; empty for a public source.
        order: the Rényi order, by split, at which they were kept.
        accountant: how ε was found. There is no privacy loss distribution of a search.
        releases: digest by split, of the search itself.
    """

    kind: ClassVar[str] = "tuned"
    service: str
    dataset: str
    public: bool
    metric: str
    candidate: str = ""
    changes: dict[str, Any] = Field(default_factory=dict)
    score: float | None = None
    trials: int | None = None
    epsilon: dict[str, float] = Field(default_factory=dict)
    delta: dict[str, float] = Field(default_factory=dict)
    order: dict[str, int] = Field(default_factory=dict)
    accountant: str = ""
    releases: dict[str, str] = Field(default_factory=dict)
    ledger: str = ""


@dataclass(frozen=True)
class Search:
    """One search before it begins.

    Attributes:
        public: whether it is free.
        trials: how many, or their expected number.
        grids: what is tried.
        tracked: its run in MLflow.
    """

    service: str
    public: bool
    trials: float
    grids: dict[str, Grid]
    tracked: str = ""


def open_search(run: Run, name: str, trials: float | None = None, seconds: float | None = None) -> Search:
    """Check what is asked for as `asked` does, open the search's run in MLflow, and return what is to be done."""
    from components.registry import searches

    search, dataset = asked(run, name, trials, seconds), dataset_of(run)
    parameters = {
        "grid": search.grids,
        "trials": search.trials,
        "training": run.params.training.model_dump(mode="json"),
    }
    if not search.public:
        parameters["law"] = law(run, search).model_dump(mode="json")
    tracked = searches.start_search(
        run.settings,
        service=name,
        dataset=dataset,
        epsilon=None if search.public else run.params.training.epsilon,
        git_commit=git_commit(run.settings.root),
        started_at=datetime.now(UTC),
        parameters=parameters,
    )
    return replace(search, tracked=tracked)


def asked(run: Run, name: str, trials: float | None = None, seconds: float | None = None) -> Search:
    """Return what is to be done.

    Args:
        trials: instead of `tuning.trials`.
        seconds: after which no further trial begins; public sources only.

    Raises:
        Misconfigured: the grid is none, or a private search was to stop by time: how long trials take is computed from
            people's rows, so that the number of trials would no longer be of the declared law.
    """
    tuned, own = base(run, name)
    dataset, tuning = dataset_of(run), run.params.tuning
    if seconds is not None and not dataset.public:
        raise Misconfigured(
            "A search on people's rows does not stop by time",
            value=f"--seconds {seconds:g} on {dataset.source}",
            next_step="Leave it out, and ask for fewer --trials.",
        )
    found = grids(tuned, own, tuning.grids.get(name, {}))
    return Search(name, dataset.public, trials or tuning.trials, found)


def proposals(search: Search) -> Proposals:
    """Return what gives one choice after the other; on a public source it learns from what it is told."""
    from components.training.proposals import Proposals

    return Proposals(search.grids, learning=search.public)


def fit_floor(run: Run, name: str) -> Path:
    """Fit the floor of a public source, on which all trials build, and return its bundle."""
    tuned, own = base(run, name)
    rows = private_rows(run, name)["train"].open_public()
    delta, mu, shares = _division(run, tuned, own, rows)
    plan = tuned.floor.plan(
        mu=mu * math.sqrt(shares[tuned.floor.name]), delta=delta, population=users_of(rows), params=own, floor=None
    )
    folder = run.reports / "tuning" / name / "floor"
    with atomic_path(folder) as part:
        part.mkdir()
        tuned.floor.fit(rows, plan, _catalogue(run, tuned, own), floor=None, intend=lambda steps: None, out=part)
    return folder


def try_one(run: Run, search: Search, number: int, choice: Choice, floor: Path) -> float:
    """Fit one choice on the train users of a public source and return its mean metric on the validation users.

    Raises:
        ContractBroken: the source is private.
    """
    from components.registry import searches

    tuned, own = base(run, search.service)
    rows = private_rows(run, search.service)
    train, validation = rows["train"].open_public(), rows["validation"].open_public()
    delta, mu, shares = _division(run, tuned, own, train)
    candidate, changed = tuned.candidates[choice.candidate], choice.of(own)
    share = mu * math.sqrt(shares[candidate.name])
    plan = candidate.plan(mu=share, delta=delta, population=users_of(train), params=changed, floor=floor)
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "bundle"
        out.mkdir()
        started = datetime.now(UTC)
        candidate.fit(train, plan, _catalogue(run, tuned, own), floor=floor, intend=lambda steps: None, out=out)
        score = float(np.mean(tuned.score(out, validation, SEED)[:, 0]))
    searches.log_trial(
        run.settings,
        search.tracked,
        number=number,
        candidate=choice.candidate,
        changes=dict(choice.changes),
        metric=tuned.metrics[0].name,
        score=score,
        seconds=(datetime.now(UTC) - started).total_seconds(),
    )
    return score


def best_of(run: Run, search: Search, tried: list[tuple[Choice, float]]) -> Tuned:
    """Return the best of what was tried on a public source.

    Raises:
        Refused: nothing was.
    """
    if not tried:
        raise Refused("No trial of the search ended", next_step="Read the failed steps in Prefect, or give more time.")
    choice, score = max(tried, key=lambda one: one[1])
    return Tuned(
        service=search.service,
        dataset=dataset_of(run).digest,
        public=True,
        metric=base(run, search.service)[0].metrics[0].name,
        candidate=choice.candidate,
        changes=dict(choice.changes),
        score=score,
        trials=len(tried),
    )


def finish_search(run: Run, search: Search, found: Tuned) -> None:
    """Close the search's run in MLflow with what it found."""
    from components.registry import searches

    searches.finish_search(
        run.settings,
        search.tracked,
        record=found,
        candidate=found.candidate,
        changes=found.changes,
        metric=found.metric,
        score=found.score,
        epsilon=found.epsilon.get("train"),
        delta=found.delta.get("train"),
    )


def base(run: Run, name: str) -> tuple[Service, Any]:
    """Return a service with the candidates that take part, without the trials that a training charges by name."""
    found = service.find(name)
    own = params.parse(found.params, run.params.services.get(name, {}), f"params.yaml: services.{name}")
    return found.taking_part(own), own


def law(run: Run, search: Search) -> Trials:
    """Return the law of the number of trials on people's rows."""
    from components.privacy.release import Trials

    tuning = run.params.tuning
    return Trials(law=tuning.law, expected=search.trials, shape=tuning.shape)


def users_of(rows: Any) -> int:
    """Return how many users there are: of a public source."""
    return int(rows.shape[0]) if hasattr(rows, "shape") else len(rows)


def key_of(tuned: Service, modules: set[str]) -> str:
    """Return the digest of the code that shapes the answer of a search over the candidates of a service."""
    from components.evaluation.evaluate import mechanism_modules

    fitted = {module for candidate in tuned.candidates.values() for module in candidate.modules}
    return digest.of_modules(fitted | mechanism_modules(tuned) | modules)


def _division(run: Run, tuned: Service, own: Any, rows: Any) -> tuple[float, float, dict[str, float]]:
    """Return δ, μ and its shares as a training would have them with so many users."""
    from components.privacy.adaptive import stated_delta

    users = users_of(rows)
    delta = kept_within(run, stated_delta(users, run.params.training.max_delta))
    mu = left_after_count(run, run.params.training.epsilon, delta)
    return delta, mu, tuned.shares(mu, users, _catalogue(run, tuned, own))


def _catalogue(run: Run, tuned: Service, own: Any) -> Any:
    return tuned.catalogue(public_tables(run), own)
