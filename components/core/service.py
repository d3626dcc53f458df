"""What a service is: the one object that a folder under `components/services/` exports as `SERVICE`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from pydantic import BaseModel

from components.core.errors import Misconfigured
from components.core.params import PerformanceFlags
from components.core.progress import Progress, no_progress

if TYPE_CHECKING:
    from components.privacy.canaries import Canaries
    from components.privacy.release import Event


PAIRED_RANGE = 0.5
"""What `Metric.paired` is where a service says nothing else."""


@dataclass(frozen=True)
class Metric:
    """One figure about a version: a mean over users, each user's value clipped to `[low, high]`.

    The range is declared, not measured: the sensitivity of the release follows from it.
    """

    name: str
    low: float = 0.0
    high: float = 1.0
    paired: float = PAIRED_RANGE
    """Half the range of a user's difference between two bundles, as a share of the metric's; what is larger is clipped.
    Less than the half is less noise where bundles never differ by as much as users do."""


@dataclass(frozen=True)
class Histogram:
    """Figures that are no means over users (AUC, macro F1), by way of a mean that is one.

    Each user gives a vector of cells (score bin by label, or true by predicted intent); their noised sum is a part of
    the evaluation's one release, and the figures are computed from it for nothing.

    Attributes:
        size: cells of a vector.
        of: `(bundle folder, rows, seed) -> (users, size)` un-noised: private. One line a user, whose impressions are
            averaged within it: each cell ≥ 0, L2 norm ≤ 1, L1 norm ≤ `mass`. What exceeds that is clipped.
        figures: `means (size,) -> {metric: value}`, pure, defined for every non-negative vector. It is called some
            thousand times for the intervals.
        metrics: names and ranges of what `figures` returns, in the order in which they are shown.
        mass: bound on each user's L1 norm; 1 where a user's impressions are averaged. Up to √k where a user's k
            impressions in different cells are each given 1/√k, which is less noise for each of them.
    """

    size: int
    of: Callable[[Path, Any, int], np.ndarray]
    figures: Callable[[np.ndarray], Mapping[str, float]]
    metrics: tuple[Metric, ...]
    mass: float = 1.0


class Candidate(Protocol):
    """One way to make a bundle. All candidates of a service are called alike."""

    name: str
    personal: bool
    """False for the floor."""
    share: float
    """Its part of the training's budget beside the others', in units of μ² (Gaussian composition adds squares); only
    ratios matter. A service may give its floor more, see `Service.shares`."""
    modules: tuple[str, ...]
    """Names of the modules that shape its answer; a change in one is a new release."""

    def plan(self, *, mu: float, delta: float, population: int, params: Any, floor: Path | None) -> BaseModel:
        """Return everything that shapes the release, its `event` and `sensitivity` included.

        Args:
            mu: the candidate's budget as a Gaussian-DP parameter: a Gaussian mechanism takes σ = sensitivity/μ.
            delta: the δ at which a mechanism that is not Gaussian matches μ.
            population: lower bound of the users in the split; the only thing known about how many there are.
            params: the service's parameters.
            floor: the floor's bundle, already released, which later candidates may use freely (its ranking decides
                the columns); None for the floor itself. Its digest belongs in the plan.
        """
        ...

    def at_noise(self, plan: Any, noise_multiplier: float) -> BaseModel:
        """Return the same plan with another noise: for audits, on simulated rows."""
        ...

    def fit(
        self,
        rows: Any,
        plan: Any,
        catalogue: Any,
        *,
        floor: Path | None,
        intend: Callable[[int], None],
        out: Path,
        telemetry: Path | None = None,
        canaries: Canaries | None = None,
        flags: PerformanceFlags | None = None,
        progress: Progress = no_progress,
    ) -> Event:
        """Run the mechanism on the private `rows`, write the bundle to the folder `out`, return what really ran.

        Args:
            rows, plan, catalogue: the private rows, from `plan`, and the public items.
            floor: as for `plan`.
            intend: `intend(n)` makes the intent of n further noisy steps durable, before their noise is drawn.
            out: an empty folder, for what is released.
            telemetry: a folder of the trusted zone, of this plan and these rows alone: for `checkpoints/`, which go
                once the release is settled, and for un-noised curves (`loss.json`, a list by step).
            canaries: users that are nobody's, to be put beside the rows on columns of their own, of which nothing goes
                into `out`; what was seen of them is told to `canaries.observe`. None where nothing is audited.
            flags: how it is computed; they cannot change what is guaranteed, and are no part of the plan.
            progress: called with the steps done and their number.
        """
        ...


@dataclass(frozen=True)
class Exposure:
    """What a membership inference attack needs of a service: to rearrange users, and to read answers about them.

    It is for rows of public sources alone.

    Attributes:
        pick: `(rows, places) -> rows`: those users.
        join: `[rows, …] -> rows`: all of them, in order.
        eligible: `rows -> (users,)` whether a part of a user's history can be hidden and asked for.
        signals: `(bundle folder, rows) -> (users, questions)`: what the served answers to questions about each user
            say; only what the API tells is used. The questions depend on the user's own row alone; NaN where there
            are fewer of them.
    """

    pick: Callable[[Any, np.ndarray], Any]
    join: Callable[[Sequence[Any]], Any]
    eligible: Callable[[Any], np.ndarray]
    signals: Callable[[Path, Any], np.ndarray]


@dataclass(frozen=True)
class Smaller:
    """How a released bundle is made smaller. It costs nothing: what comes of a release alone is post-processing.

    Attributes:
        ways: by name, `(bundle folder, out)`: write another bundle of the service to the empty folder `out`, the same
            files for the same bundle. It reads the bundle and what is public, and nobody's rows.
        simulated: `(bundle folder, seed) -> rows` of people who are nobody, drawn from what the bundle itself answers,
            on whom the loss is measured.
    """

    ways: Mapping[str, Callable[[Path, Path], None]]
    simulated: Callable[[Path, int], Any]


@dataclass(frozen=True)
class Service:
    """A service by its parts; flows, stages, gates, registry, serving and tests know nothing else about it.

    Attributes:
        name: its folder, its suite (`expectations/<name>.json`) and its key in `params.yaml: services`.
        params: its own parameters.
        metrics: what is released about a version; gates compare the first.
        candidates: by name; exactly one has `personal=False`, the floor, and it comes first.
        rows: `(folder of a split's tables, folder of public tables, params) -> rows`: one row a user, contributions
            bounded.
        catalogue: `(folder of public tables, params) -> catalogue`: public.
        score: `(bundle folder, rows, seed) -> (users, metrics)` per-user values, un-noised: private. Every row has its
            line, in the order of `rows` and with the same target for every bundle under one seed, whatever catalogue it
            was made on: lines are paired.
        ceiling: `(rows of train, rows of test, catalogue, params) -> {name: {metric: value}}`: for public sources only.
        load: bundle folder -> an object that `router` and pyfunc models call.
        predict: `(loaded bundle, request model) -> answer model`; raises `Unanswerable` where the request names what
            this version does not know.
        request, answer: pydantic models of the API.
        example: a request that works.
        probe: bundle folder -> {metric: value}, over public inputs only (catalogue coverage, with each item once as the
            whole history): properties of the released bundle alone, so exact and free.
        private: tables of people that `rows` reads (`components.data.split.PRIVATE`); the service's users are theirs.
        public: public tables that `rows` and `catalogue` read (`components.data.split.PUBLIC`).
        exposure: for `jali attack`; None where a service cannot be attacked yet.
        histogram: what is released for figures that are no means over users; None where there are none.
        histogram_of: params -> the histogram, with the same metrics, where its size follows from the parameters.
        route: where it is asked; None is `/v1/<name>`. Its statement is at `/v1/<name>/statement` in any case.
        method: "GET" takes the fields of `request` as query parameters, lists repeated; "POST" takes them as JSON.
        story: what a demonstration shows: `ask -> lines of text`, where `ask` gives the served answer to a request;
            the example, where None.
        floor_needs: `(mu, population, catalogue) -> part` of μ², between 0 and 1, below which a floor is so noisy that
            nothing can be built on it (see `shares`); None where its `share` is always enough.
        smaller: how a personal bundle is made smaller before it is evaluated; None where there is no way.
        grid: what a search may try, by personal candidate and key of the parameters; the keys are those that shape a
            plan, since all trials read the same rows. Public: nothing in it was chosen by looking at people's rows.
        chosen: params -> the candidates that take part, the floor among them; all, where None. The others cost nothing.
        made_up: params -> keys whose value is still the simulated shop's own, of what a customer is told: nothing is
            trained with them on people's rows.
    """

    name: str
    params: type[BaseModel]
    metrics: tuple[Metric, ...]
    candidates: Mapping[str, Candidate]
    rows: Callable[[Path, Path, Any], Any]
    catalogue: Callable[[Path, Any], Any]
    score: Callable[[Path, Any, int], np.ndarray]
    ceiling: Callable[[Any, Any, Any, Any], dict[str, dict[str, float]]]
    load: Callable[[Path], Any]
    predict: Callable[[Any, Any], Any]
    request: type[BaseModel]
    answer: type[BaseModel]
    example: Mapping[str, Any]
    probe: Callable[[Path], dict[str, float]] = lambda bundle: {}
    private: tuple[str, ...] = ("interactions",)
    public: tuple[str, ...] = ("items",)
    exposure: Exposure | None = None
    histogram: Histogram | None = None
    histogram_of: Callable[[Any], Histogram] | None = None
    route: str | None = None
    method: Literal["GET", "POST"] = "POST"
    story: Callable[[Callable[[Mapping[str, Any]], dict[str, Any]]], list[str]] | None = None
    floor_needs: Callable[[float, int, Any], float] | None = None
    smaller: Smaller | None = None
    chosen: Callable[[Any], Sequence[str]] | None = None
    grid: Mapping[str, Mapping[str, Sequence[Any]]] = field(default_factory=dict)
    made_up: Callable[[Any], Sequence[str]] = lambda params: ()

    @property
    def path(self) -> str:
        """Where it is asked."""
        return self.route or f"/v1/{self.name}"

    @property
    def figures(self) -> tuple[Metric, ...]:
        """Everything that is released about a version: means over users, then what is derived from the histogram."""
        return self.metrics + (self.histogram.metrics if self.histogram else ())

    @property
    def floor(self) -> Candidate:
        """The candidate that gives everyone the same answer."""
        return next(candidate for candidate in self.candidates.values() if not candidate.personal)

    def shares(self, mu: float, population: int, catalogue: Any) -> dict[str, float]:
        """Return each candidate's part of μ², by name: they are positive, sum to 1, and follow from what is public.

        The floor has what it declares, or what it needs where that is more; the others divide the rest as they declare.

        Args:
            mu: Gaussian-DP μ of the whole training, its counts taken out.
            population: lower bound of the users by their DP count.
            catalogue: the public items; None where a training is planned before they are known.
        """
        declared = {name: candidate.share for name, candidate in self.candidates.items()}
        others = sum(declared.values()) - declared[self.floor.name]
        first = declared[self.floor.name] / (declared[self.floor.name] + others)
        if self.floor_needs and others:
            first = max(first, self.floor_needs(mu, population, catalogue))
        shares = {name: (1 - first) * share / others for name, share in declared.items() if name != self.floor.name}
        return {self.floor.name: first, **shares}

    def taking_part(self, params: Any) -> Service:
        """Return the service as `params` shape it: with the candidates that they choose, and with their histogram."""
        shaped = replace(self, histogram=self.histogram_of(params)) if self.histogram_of else self
        if self.chosen is None:
            return shaped
        names = self.chosen(params)
        return replace(shaped, candidates={name: one for name, one in self.candidates.items() if name in names})


def find(name: str) -> Service:
    """Return the service in `components/services/<name>/`.

    Raises:
        Misconfigured: there is no such folder.
    """
    folder = Path(__file__).parents[1] / "services"
    known = sorted(path.name for path in folder.iterdir() if (path / "__init__.py").exists())
    if name not in known:
        raise Misconfigured(
            "There is no such service",
            value=name,
            limit=", ".join(known),
            next_step="Name one of these in params.yaml: services.",
        )
    service: Service = import_module(f"components.services.{name}").SERVICE
    return service
