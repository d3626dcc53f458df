"""How much of a claim the audit can prove: canaries through the code of each mechanism that ships, exactly as it runs.

    python bench/audit.py [--services ads demand] [--candidates rates] [--epsilons 1 3] [--canaries 1000 10000 100000]
                          [--users 6000] [--runs 5] [--patience 60]

For each service, candidate, ε and number of canaries it prints the lower bound at 99.9% as a share of the claim, and
the one-run bound; with as few canaries as a training has also the bound where half of the noise is missing (above 1:
refuted). Then what the canaries of a training do to its quality (the first metric with them and without, over several
runs; none with `--runs 0`) and to its time. Needs no server and charges no ledger: the rows are those of the simulated
shop. Where a training takes longer than `--patience` seconds of CPU, ten times as many canaries are not tried, and the
output says so. It exits with 1 where a bound is outside [0.85, 1] of its claim.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import mean, stdev
from typing import Any
from unittest.mock import patch

import numpy as np
from machine import machine  # beside this script

from components.core import params as parameters
from components.core.progress import bar
from components.core.service import Candidate, Service, find
from components.privacy import accounting, engine, mechanisms
from components.privacy.audit import proof
from components.privacy.canaries import Canaries
from components.privacy.lower_bounds import ceiling
from components.privacy.release import Event
from components.stages.run import Run

SEED = 20_240_229
POPULATION, DELTA = 20_000, 5e-6
FULL = (10_000, 100_000)
"""Numbers of canaries for which the bound must lie within RANGE of the claim."""
RANGE = (0.85, 1.0)


@dataclass
class Bench:
    """One service on the rows of the simulated shop.

    Attributes:
        service, options: with all its candidates, also those that take part only where they are named.
        train, test, catalogue: as the stages make them.
        scratch: where bundles go.
    """

    service: Service
    options: Any
    train: Any
    test: Any
    catalogue: Any
    scratch: Path
    floor: Path | None = None

    def fitted(self, candidate: Candidate, epsilon: float, canaries: Canaries | None) -> tuple[Event, Path, float]:
        """Return what ran, the bundle and the seconds of CPU that it took."""
        below = self.floor if candidate.personal else None
        mu = accounting.gaussian_mu(epsilon, DELTA)
        plan: Any = candidate.plan(mu=mu, delta=DELTA, population=POPULATION, params=self.options, floor=below)
        out, start = Path(tempfile.mkdtemp(dir=self.scratch)), time.process_time()
        facts: dict[str, Any] = {"floor": below, "intend": _charge_nothing, "out": out, "canaries": canaries}
        candidate.fit(self.train, plan, self.catalogue, **facts)
        return plan.event, out, time.process_time() - start

    def proved(self, candidate: Candidate, epsilon: float, users: int) -> tuple[dict[str, float], float]:
        """Return shares of the claim, and the seconds of CPU that the training took."""
        canaries = Canaries.flipped(users)
        event, _, seconds = self.fitted(candidate, epsilon, canaries)
        seen = proof(canaries.required(), event, DELTA)
        claim = seen["epsilon_claimed"]
        found = {
            "claim": round(claim, 3),
            "proved": round(seen["epsilon_lower_bound"] / claim, 3),
            "ceiling": round(seen["epsilon_ceiling"] / claim, 3),
            "one_run": round(seen["one_run_lower_bound"] / claim, 3),
        }
        if users in FULL:
            found["all_alone"] = round(_all_alone(event, users) / claim, 3)
        else:
            canaries = Canaries.flipped(users)
            with _noise(0.5):
                self.fitted(candidate, epsilon, canaries)
            halved = proof(canaries.required(), event, DELTA)
            found["halved"] = round(halved["epsilon_lower_bound"] / claim, 3)
        return found, seconds


def main() -> int:
    arguments = _arguments()
    run, shares, left_out = Run.open(Path(__file__).parents[1]), dict[str, dict[str, float]](), list[str]()
    with tempfile.TemporaryDirectory() as scratch:
        benches = _benches(run, arguments, Path(scratch))
        cases = [
            (bench, candidate)
            for bench in benches
            for candidate in bench.service.candidates.values()
            if not arguments.candidates or candidate.name in arguments.candidates
        ]
        whole = len(cases) * len(arguments.epsilons) * len(arguments.canaries)
        with bar("what canaries prove") as progress:
            done = 0
            for bench, candidate in cases:
                if candidate.personal and bench.floor is None:
                    bench.floor = bench.fitted(bench.service.floor, 3.0, None)[1]
                for epsilon in arguments.epsilons:
                    seconds = 0.0
                    for users in sorted(arguments.canaries):
                        progress(done, whole)
                        done += 1
                        case = f"{bench.service.name}/{candidate.name}, ε = {epsilon:g}, {users:,}"
                        if seconds > arguments.patience:
                            left_out.append(case)
                            print(f"{case} canaries: left out, one training with fewer took {seconds:.0f} s of CPU")
                            continue
                        shares[case], seconds = bench.proved(candidate, epsilon, users)
                        print(_line(case, shares[case], seconds), flush=True)
        if arguments.runs > 1:
            _quality(cases, run.params.training.canaries, arguments.runs)
    full = {case: found for case, found in shares.items() if "all_alone" in found}
    outside = [case for case, found in full.items() if not RANGE[0] <= found["proved"] <= RANGE[1]]
    for case in outside:
        found = full[case]
        print(f"OUTSIDE [{RANGE[0]}, {RANGE[1]:g}] of the claim: {case} canaries prove {found['proved']:.1%}", end="")
        print(f" where as many prove {found['ceiling']:.1%} in the median if the claim is exactly tight")
    least, alone = (min((found[name] for found in full.values()), default=None) for name in ("proved", "all_alone"))
    print(machine())
    result = {
        "name": "audit",
        "ours": least,
        "peer": alone,
        "ratio": round(least / alone, 3) if least and alone else None,
        "unit": "least share of the claimed ε that is proved at 99.9% (peer: the same number of canaries, all alone)",
        "cores": os.cpu_count(),
        "within": bool(full) and not outside,
        "left_out": left_out,
        "shares": shares,
    }
    print(json.dumps(result, ensure_ascii=False))
    return 1 if outside else 0


def _line(case: str, found: dict[str, float], seconds: float) -> str:
    halved = f"; noise halved {found['halved']:.0%}" if "halved" in found else ""
    return (
        f"{case:44} canaries prove {found['proved']:.1%} of {found['claim']:.2f} (ceiling {found['ceiling']:.0%}), "
        f"one-run bound {found['one_run']:.0%}{halved}; {seconds:.0f} s of CPU"
    )


def _quality(cases: list[tuple[Bench, Candidate]], users: int, runs: int) -> None:
    """Print the first metric of each candidate at ε = 3 with a training's canaries and without, and the CPU time."""
    with bar("quality with canaries and without") as progress:
        for done, (bench, candidate) in enumerate(cases):
            progress(done, len(cases))
            quality, seconds = ([], []), ([], [])  # type: tuple[list[float], list[float]], tuple[list[float], list[float]]
            for _ in range(runs):
                for which, canaries in enumerate((None, Canaries.flipped(users))):
                    _, bundle, took = bench.fitted(candidate, 3.0, canaries)
                    quality[which].append(float(np.nanmean(bench.service.score(bundle, bench.test, SEED)[:, 0])))
                    seconds[which].append(took)
            pair = [f"{mean(one):.4f} ± {stdev(one):.4f}" for one in quality]
            metric = bench.service.metrics[0].name
            print(
                f"{bench.service.name}/{candidate.name:12} {metric} without canaries {pair[0]}, with {pair[1]}; ",
                end="",
            )
            print(f"CPU time × {mean(seconds[1]) / mean(seconds[0]):.2f}", flush=True)


def _benches(run: Run, arguments: argparse.Namespace, scratch: Path) -> list[Bench]:
    """Return the services on the simulated shop, whose rows are made as the stages make them."""
    from components.data.activity import extend
    from components.data.collect import collect
    from components.data.prepare import prepare
    from components.data.sources import open_source
    from components.data.split import split

    tree = run.params.but(source="shop")
    sizes = {"users": arguments.users, "items": arguments.items}
    source = tree.chosen_source.model_copy(update={name: size for name, size in sizes.items() if size})
    block, raw = tree.privacy.block, scratch / "raw"
    with bar("the simulated shop") as progress:
        collect(open_source(source, scratch), source, tree.window, block, scratch / "home", raw, progress=progress)
    prepare(raw / "events.parquet", raw / "items.parquet", tree.prepare, block, scratch / "prepared")
    extend(raw, tree.prepare, block, scratch / "prepared")
    paths = split(scratch / "prepared", tree.split, scratch / "split")
    public, found = scratch / "split" / "public", []
    for name in arguments.services or _installed(tree.services):
        service = find(name)
        options = parameters.parse(service.params, tree.services.get(name, {}), f"params.yaml: services.{name}")
        train, test = (service.rows(paths[part], public, options) for part in ("train", "test"))
        found.append(Bench(service, options, train, test, service.catalogue(public, options), scratch))
    return found


def _installed(named: Any) -> list[str]:
    """Return the services of params.yaml that are there."""
    folder = Path(__file__).parents[1] / "components" / "services"
    return [name for name in named if (folder / name / "__init__.py").exists()]


def _charge_nothing(steps: int) -> None:
    """The rows are simulated."""


@cache
def _all_alone(event: Any, users: int) -> float:
    """Return what the estimator reports in the median of as many canaries with a coin each, and no cohort."""
    alone = Canaries.flipped(users, alone=users)
    alone.observe(np.zeros(alone.coordinates), steps=getattr(event, "steps", 1))
    return ceiling(alone.required(), event, DELTA).epsilon


@contextmanager
def _noise(factor: float) -> Iterator[None]:
    """Scale every draw of noise, where it is drawn."""
    gaussian, add = mechanisms.gaussian_noise, engine.add_noise_
    with (
        patch.object(mechanisms, "gaussian_noise", lambda shape, sigma: gaussian(shape, factor * sigma)),
        patch.object(engine, "add_noise_", lambda sums, sigma, scale: add(sums, factor * sigma, scale)),
    ):
        yield


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--services", nargs="+", help="all of params.yaml unless named")
    parser.add_argument("--candidates", nargs="+", help="all of each service unless named")
    parser.add_argument("--epsilons", nargs="+", type=float, default=[1.0, 3.0], help="claims of a mechanism alone")
    parser.add_argument("--canaries", nargs="+", type=int, default=[1000, *FULL], help="canary users")
    parser.add_argument("--users", type=int, help="of the simulated shop; as in params.yaml unless given")
    parser.add_argument("--items", type=int, help="likewise")
    parser.add_argument("--runs", type=int, default=5, help="trainings with canaries, and as many without")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds of CPU of a training")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
