"""How much of a claim the audit can prove: canaries through the code of each mechanism that ships, exactly as it runs.

    python bench/audit.py [--epsilons 1 3] [--canaries 1000 10000 100000] [--mechanisms gram] [--runs 5]

For each mechanism, ε and number of canaries it prints the lower bound at 99.9% as a share of the claim, with all of the
noise and with half of it (above 1: refuted), and the one-run bound. Then what the canaries of a training do to its
quality (ndcg@100 with them and without, over several runs) and to its time. Needs no server and charges no ledger: the
rows are those of the simulated shop.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import mean, stdev
from typing import Any
from unittest.mock import patch

import numpy as np
from machine import machine  # beside this script

from components.core.params import Params
from components.core.progress import bar
from components.core.service import Candidate, Service
from components.privacy import accounting, engine, mechanisms
from components.privacy.audit import proof
from components.privacy.canaries import Canaries
from components.privacy.lower_bounds import ceiling
from components.stages.run import Run

SEED = 20_240_229
POPULATION, DELTA = 20_000, 5e-6
FULL = (10_000, 100_000)
"""Numbers of canaries for which the bound must lie within [0.85, 1] of the claim."""


def main() -> None:
    arguments = _arguments()
    run, shares, peers = Run.open(Path(__file__).parents[1]), dict[str, dict[str, Any]](), list[float]()
    service, options = run.service("recommend")
    with tempfile.TemporaryDirectory() as scratch:
        train, test, catalogue = _shop(run.params.but(source="shop"), service, options, Path(scratch))

        def fitted(candidate: Candidate, epsilon: float, floor: Path | None, canaries: Canaries | None) -> tuple:
            mu = accounting.gaussian_mu(epsilon, DELTA)
            plan = candidate.plan(mu=mu, delta=DELTA, population=POPULATION, params=options, floor=floor)
            out, start = Path(tempfile.mkdtemp(dir=scratch)), time.process_time()
            facts = {"floor": floor, "intend": _charge_nothing, "out": out, "canaries": canaries}
            candidate.fit(train, plan, catalogue, **facts)
            return plan.event, out, time.process_time() - start

        floor = fitted(service.floor, 3.0, None, None)[1]
        chosen = {name: service.candidates[name] for name in arguments.mechanisms or service.candidates}
        for name, candidate in chosen.items():
            below = floor if candidate.personal else None
            for epsilon in arguments.epsilons:
                for users in arguments.canaries:
                    seen = []
                    for noise in (1.0, 0.5):
                        canaries = Canaries.flipped(users)
                        with _noise(noise):
                            event = fitted(candidate, epsilon, below, canaries)[0]
                        seen.append(proof(canaries.required(), event, DELTA))
                    claim = seen[0]["epsilon_claimed"]
                    found = {
                        "proved": round(seen[0]["epsilon_lower_bound"] / claim, 3),
                        "ceiling": round(seen[0]["epsilon_ceiling"] / claim, 3),
                        "halved": round(seen[1]["epsilon_lower_bound"] / claim, 3),
                        "one_run": round(seen[0]["one_run_lower_bound"] / claim, 3),
                    }
                    shares[f"{name}, ε = {epsilon:g}, {users:,}"] = found
                    if users in FULL:
                        peers.append(_all_alone(event, users) / claim)
                    print(
                        f"{name:12} ε = {claim:.2f}  {users:7,} canaries prove {found['proved']:.0%} (ceiling ", end=""
                    )
                    print(f"{found['ceiling']:.0%}), one-run bound {found['one_run']:.0%}; noise halved ", end="")
                    print(f"{found['halved']:.0%}", flush=True)
        with bar("quality with canaries and without") as progress:
            for done, (name, candidate) in enumerate(chosen.items()):
                progress(done, len(chosen))
                below, quality, seconds = floor if candidate.personal else None, ([], []), ([], [])
                for _ in range(arguments.runs):
                    for which, canaries in enumerate((None, Canaries.flipped(run.params.training.canaries))):
                        _, bundle, took = fitted(candidate, 3.0, below, canaries)
                        quality[which].append(float(np.mean(service.score(bundle, test, SEED)[:, 0])))
                        seconds[which].append(took)
                pair = [f"{mean(one):.4f} ± {stdev(one):.4f}" for one in quality]
                print(f"{name:12} ndcg@100 without canaries {pair[0]}, with {pair[1]}; ", end="")
                print(f"CPU time × {mean(seconds[1]) / mean(seconds[0]):.2f}")
    full = [found["proved"] for key, found in shares.items() if int(key.split(", ")[-1].replace(",", "")) in FULL]
    print(machine())
    result = {
        "name": "audit",
        "ours": min(full, default=None),
        "peer": round(min(peers), 3) if peers else None,
        "ratio": round(min(full) / min(peers), 3) if peers and min(peers) else None,
        "unit": "least share of the claimed ε that is proved at 99.9% (peer: the same number of canaries, all alone)",
        "cores": os.cpu_count(),
        "within": bool(full) and min(full) >= 0.85 and max(full) <= 1,
        "shares": shares,
    }
    print(json.dumps(result, ensure_ascii=False))


def _shop(tree: Params, service: Service, options: object, scratch: Path) -> tuple[Any, Any, Any]:
    """Return the service's rows of train and test of the simulated shop, and its items, as the stages make them."""
    from components.data.collect import collect
    from components.data.prepare import prepare
    from components.data.sources import open_source
    from components.data.split import split

    source, block, raw = tree.chosen_source, tree.privacy.block, scratch / "raw"
    collect(open_source(source, scratch), source, tree.window, block, scratch / "home", raw)
    prepare(raw / "events.parquet", raw / "items.parquet", tree.prepare, block, scratch / "prepared")
    paths = split(scratch / "prepared", tree.split, scratch / "split")
    public = scratch / "split" / "public"
    train, test = (service.rows(paths[name], public, options) for name in ("train", "test"))
    return train, test, service.catalogue(public, options)


def _charge_nothing(steps: int) -> None:
    """The rows are simulated."""


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
    parser.add_argument("--epsilons", nargs="+", type=float, default=[1.0, 3.0], help="claims of a mechanism alone")
    parser.add_argument("--canaries", nargs="+", type=int, default=[1000, *FULL], help="canary users")
    parser.add_argument("--mechanisms", nargs="+", help="candidates of recommend; all of them unless named")
    parser.add_argument("--runs", type=int, default=5, help="trainings with canaries, and as many without")
    return parser.parse_args()


if __name__ == "__main__":
    main()
