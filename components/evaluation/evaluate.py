"""The released evaluation of bundles on one split: noised metrics, paired differences, and the choice between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from components.core import digest
from components.core.errors import ContractBroken
from components.core.evidence import Record
from components.core.private import Private
from components.core.records import Evaluation, Interval
from components.core.service import Metric, Service
from components.evaluation import histograms, metrics, moments
from components.evaluation.derived import derived
from components.evaluation.histograms import JointPlan, NoisedHistograms, release_joint
from components.evaluation.intervals import counted, intervals
from components.evaluation.moments import Figure, Floats, MomentsPlan, NoisedMoments, release_moments
from components.privacy import mechanisms
from components.privacy.ledger import Ledger, once
from components.privacy.release import Event, Release, content_key

CHAMPION = "champion"
"""Name of the present champion's bundle among an evaluation's."""

_PAIRED, _FIRST, _OTHERS = 0.5, 0.25, 0.25  # of the precision; gates read the paired differences


class Probed(Record):
    """What the service's `probe` found about each bundle; kept with the release, since it may take longer."""

    kind: ClassVar[str] = "probed"
    figures: dict[str, dict[str, float]]


def evaluate(
    *,
    service: Service,
    rows: Private[Any],
    dataset: str,
    bundles: Mapping[str, Path],
    chosen: str | None,
    champion: Path | None,
    mu: float,
    ledger: Ledger,
    confidence: float,
    seed: int,
) -> Evaluation:
    """Return the evaluation of `bundles` on `rows`: one μ-Gaussian-DP release for adding or removing one user.

    A mean is over the users who have a row, whose number is a part of the release. It is settled under its content key:
    the same again is read from the store and costs nothing, also at another `confidence`, which is post-processing; so
    are figures derived from a histogram.

    Args:
        service: says how a bundle is scored, by which metrics and in which ranges.
        rows: the users of the validation or the test split.
        dataset: `Dataset.digest`.
        bundles: folder by candidate, the floor among them.
        chosen: the candidate that is evaluated, beside the floor (test); or None to choose among all the one with the
            largest noised paired difference to the floor, whose own is 0 (validation).
        champion: the present champion's bundle, compared with the chosen one and with the floor; only with `chosen`.
        mu: Gaussian-DP parameter to be spent.
        ledger: what charges it.
        confidence: two-sided coverage of each interval, one at a time.
        seed: what the service draws targets with, the same for all bundles.

    Raises:
        BudgetExhausted: the release does not fit; nothing was read.
        ContractBroken: the bundles or the split are not as said above, or `score` did not give one line of metrics for
            each row.
    """
    _check(service, rows, bundles, chosen, champion)
    floor = service.floor.name
    read = [name for name in service.candidates if name in bundles and (chosen is None or name in (chosen, floor))]
    folders = {name: bundles[name] for name in read} | ({CHAMPION: champion} if champion else {})
    pairs = [(name, floor) for name in read if name != floor]
    pairs += [(name, CHAMPION) for name in read if champion]
    plan = _plan(service, folders, pairs, mu, seed)
    release = Release.model_validate(
        {
            "mechanism": "metrics",
            "service": service.name,
            "sensitivity": plan.sensitivity,
            "event": plan.event,
            "blocks": rows.blocks,
            "split": rows.split,
        }
    )
    key = content_key(service=service.name, dataset=rows.digest, plan=plan, mechanism_digest=_mechanism(service))

    def mechanism(opened: Any, intend: Callable[[int], None], out: Path) -> Event:
        probed = Probed(figures={name: service.probe(folder) for name, folder in folders.items()})
        probed.write(out / f"{Probed.kind}.json")
        values = {name: _scored(service, folder, opened, seed) for name, folder in folders.items()}
        vectors = _cells(service, folders, opened, seed)
        intend(1)
        if isinstance(plan, JointPlan):
            noised, cells = release_joint(plan, values, vectors)
            cells.write(out / f"{NoisedHistograms.kind}.json")
        else:
            noised = release_moments(plan, values)
        noised.write(out / f"{NoisedMoments.kind}.json")
        return plan.event

    settled = once(ledger, release, key, rows, mechanism)
    alone = plan.moments if isinstance(plan, JointPlan) else plan
    sums = settled.record(NoisedMoments)
    bounds = intervals(alone, sums, confidence=confidence)
    further = dict[str, dict[str, Interval]]()
    if isinstance(plan, JointPlan) and service.histogram:
        cells = settled.record(NoisedHistograms)
        further = derived(plan, cells, service.histogram, rows=counted(alone, sums), confidence=confidence)
    probed = settled.record(Probed).figures
    means = {(f.bundle, f.metric): bound for f, bound in zip(plan.figures, bounds, strict=True) if f.against is None}
    gains = {(f.bundle, f.against): bound for f, bound in zip(plan.figures, bounds, strict=True) if f.against}
    best = chosen or max(read, key=lambda name: gains[name, floor].value if name != floor else 0.0)
    return Evaluation(
        service=service.name,
        dataset=dataset,
        split=release.split,
        bundles=plan.bundles,
        metrics={
            name: {metric.name: means[name, place] for place, metric in enumerate(service.metrics)}
            | further.get(name, {})
            | {metric: Interval(value=value, low=value, high=value) for metric, value in probed[name].items()}
            for name in folders
        },
        paired={_pair_name(*pair, best, floor): bound for pair, bound in gains.items()},
        chosen=best,
        confidence=confidence,
        release=release.digest,
        ledger=ledger.genesis,
    )


def floor_instead(evaluation: Evaluation, floor: str) -> Evaluation:
    """Return the same release read for the floor: its own paired difference to the champion is the one that counts."""
    turned = {
        f"{evaluation.chosen}/{name}" if "/" not in name else name: bound for name, bound in evaluation.paired.items()
    }
    if (own := turned.pop(f"floor/{CHAMPION}", None)) is not None:
        turned[CHAMPION] = own
    return evaluation.model_copy(update={"chosen": floor, "paired": turned})


def figures(metrics: Sequence[Metric], names: Sequence[str], pairs: Sequence[tuple[str, str]]) -> tuple[Figure, ...]:
    """Return what is released: half of the precision goes to `pairs`, a quarter to the first metric of all `names`."""
    reach = metrics[0].paired * (metrics[0].high - metrics[0].low)
    groups: list[tuple[float, list[dict[str, Any]]]] = [
        (
            _PAIRED,
            [{"bundle": name, "against": other, "metric": 0, "low": -reach, "high": reach} for name, other in pairs],
        ),
        (_FIRST, [{"bundle": name, "metric": 0, "low": metrics[0].low, "high": metrics[0].high} for name in names]),
        (
            _OTHERS,
            [
                {"bundle": name, "metric": place, "low": metric.low, "high": metric.high}
                for name in names
                for place, metric in enumerate(metrics)
                if place > 0
            ],
        ),
    ]
    total = sum(share for share, group in groups if group)
    return tuple(Figure(**figure, share=share / total / len(group)) for share, group in groups for figure in group)


def _plan(
    service: Service, folders: Mapping[str, Path], pairs: Sequence[tuple[str, str]], mu: float, seed: int
) -> MomentsPlan:
    parts: dict[str, Any] = {
        "bundles": {name: digest.of_path(folder) for name, folder in folders.items()},
        "figures": figures(service.metrics, list(folders), pairs),
        "mu": mu,
        "seed": seed,
    }
    histogram = service.histogram
    return JointPlan(size=histogram.size, mass=histogram.mass, **parts) if histogram else MomentsPlan(**parts)


def _cells(service: Service, folders: Mapping[str, Path], rows: Any, seed: int) -> dict[str, Floats]:
    histogram = service.histogram
    return {name: histogram.of(folder, rows, seed) for name, folder in folders.items()} if histogram else {}


def _scored(service: Service, folder: Path, rows: Any, seed: int) -> Floats:
    values = np.asarray(service.score(folder, rows, seed), dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != len(service.metrics):
        raise ContractBroken(
            f"{service.name} scored other metrics than it declares",
            limit=", ".join(metric.name for metric in service.metrics),
            next_step="Let score return (users, metrics) in the order of SERVICE.metrics.",
        )
    return values


def mechanism_modules(service: Service) -> set[str]:
    """Return the modules that score and release: those of `score` and `probe` with all that they use of the services
    and of this room. A module that draws a user's targets shapes the answer as much as the one that adds the noise.
    Where there is a histogram, what makes and releases it is one of them; what derives figures from it is not.
    """
    starts = {moments.__name__, mechanisms.__name__, metrics.__name__}
    starts |= {function.__module__ for function in (service.score, service.probe)}
    if service.histogram:
        starts |= {histograms.__name__, service.histogram.of.__module__}
    return digest.reached(starts, within=("components.services", "components.evaluation"))


def _mechanism(service: Service) -> str:
    """Return the digest of the code that scores and releases; what fits a bundle has moved the bundle's own digest."""
    return digest.of_modules(mechanism_modules(service))


def _pair_name(name: str, other: str, best: str, floor: str) -> str:
    opponent = "floor" if other == floor else other
    if name == best:
        return opponent
    return f"{'floor' if name == floor else name}/{opponent}"


def _check(
    service: Service,
    rows: Private[Any],
    bundles: Mapping[str, Path],
    chosen: str | None,
    champion: Path | None,
) -> None:
    if rows.split not in ("validation", "test"):
        raise ContractBroken(
            "An evaluation is of the validation or of the test users",
            value=f"rows of {rows.split}",
            limit="validation, test",
            next_step="Evaluate on users that were not trained on.",
        )
    needed = {service.floor.name} | ({chosen} if chosen else set())
    if not needed <= set(bundles) <= set(service.candidates) - {CHAMPION}:
        raise ContractBroken(
            "An evaluation reads bundles of the service's candidates, the floor and the chosen one among them",
            value=", ".join(sorted(bundles)) or "none",
            limit=", ".join(service.candidates),
            next_step=f"Train {', '.join(sorted(needed - set(bundles))) or 'no others'}.",
        )
    if champion and not chosen:
        raise ContractBroken(
            "A champion is compared with a chosen candidate, and none is chosen",
            next_step="Choose on the validation users first, without it.",
        )
