"""What privacy costs a ranker of ads, on the simulated shop: AUC against the floor, the same network without privacy,
the best that any model can reach, and logistic regression on the same features.

Users are those of the shop by number, four fifths to learn from and a tenth to be tested on. Every figure is un-noised,
which only a public source may show; the private training is that of a whole `jali train` at ε (its count of users and
its floor take their parts).

    python bench/ads.py [--users 20000] [--epsilon 3] [--steps 50] [--scratch FOLDER]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from machine import machine  # beside this script

from components.core import digest
from components.core.params import Prepare, Split
from components.core.service import Service, find
from components.data import activity, shop
from components.data.split import split
from components.data.tables import EVENTS, write_table
from components.privacy import accounting
from components.privacy.plan import allocate
from components.privacy.release import Gaussian
from components.services.ads.bundle import Bundle, read_bundle
from components.services.ads.ceiling import told, true_rates
from components.services.ads.data import CLICKED, Rows, shown
from components.services.ads.features import numbered, space
from components.services.ads.forward import known, probabilities
from components.services.ads.network import train

COUNT_NOISE = 15.0
DELTA = 1e-6


def main() -> None:
    arguments = _arguments()
    start = time.perf_counter()
    service = find("ads")
    network = {"steps": arguments.steps, "expected_batch_size": arguments.batch, "learning_rate": arguments.rate}
    network |= {"max_grad_norm": arguments.clip}
    params = service.params.model_validate({"network": network})
    with tempfile.TemporaryDirectory() as scratch:
        where = arguments.scratch or Path(scratch)
        if not (where / "split").exists():
            _shop(arguments.users, arguments.seed, where)
        rows = {
            name: service.rows(where / "split" / name, where / "split" / "public", params) for name in ("train", "test")
        }
        print(f"{len(rows['train'])} users to learn from, {time.perf_counter() - start:.0f} s")
        bundles = private_bundles(service, rows["train"], params, arguments.epsilon, Path(scratch))
    clear = true_rates(rows["train"], params)
    bundles["rates without privacy"] = clear
    bundles["network without privacy"], _ = train(rows["train"], clear, params.network, plan=None)
    found = {name: auc_of(bundle, rows["test"]) for name, bundle in bundles.items()}
    for name, bundle in bundles.items():
        figures = ", ".join(f"{key} {value:.4f}" for key, value in told(bundle, rows["test"]).items())
        print(f"{name:>25}: exact auc {found[name]:.4f}; by users: {figures}")
    if not arguments.fast:
        found["logistic regression"] = _regression(rows["train"], rows["test"], params)
        print(f"{'logistic regression':>25}: exact auc {found['logistic regression']:.4f}")
        print(f"{'the truth':>25}: exact auc {_truth(arguments.users, arguments.seed):.4f} (users 0 to 1,999)")
    lost = found["network without privacy"] - found["network"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{machine()}; {time.perf_counter() - start:.0f} s, CPU {time.process_time():.0f} s, peak {peak:.0f} MiB")
    ours, peer = found["network"], found["network without privacy"]
    result = {"name": "ads", "ours": round(ours, 4), "peer": round(peer, 4), "ratio": round(ours / peer, 4)}
    unit = f"AUC of {arguments.users:,} users at ε = {arguments.epsilon:g} (peer: without privacy)"
    print(json.dumps({**result, "unit": unit, "cores": os.cpu_count(), "lost": round(lost, 4)}, ensure_ascii=False))


def _shop(users: int, seed: int, where: Path) -> None:
    options = shop.ShopOptions(users=users, seed=seed)
    world, prepared = shop.world(options), where / "prepared"
    prepared.mkdir(parents=True)
    write_table(where / "checked" / "events.parquet", EVENTS, map(_canonical, shop.simulate(options, world)))
    pq.write_table(shop.adverts(options, world).table, where / "checked" / "ads.parquet")
    pq.write_table(world.catalogue.table, prepared / "items.parquet")
    activity.extend(where / "checked", Prepare(), "quarter", prepared)
    (where / "checked" / "events.parquet").unlink()
    split(prepared, Split(train=0.8, validation=0.1, test=0.1), where / "split")


def _canonical(events: pa.Table) -> pa.Table:
    names = events["user"].combine_chunks().dictionary_encode()
    pseudonyms = pa.array([digest.of_bytes(name.encode())[:32] for name in names.dictionary.to_pylist()])
    missing = {field.name: pa.nulls(events.num_rows, field.type) for field in EVENTS}
    known = {name: events[name] for name in events.column_names} | {"user": pseudonyms.take(names.indices)}
    return pa.table({name: known.get(name, column) for name, column in missing.items()})


def private_bundles(service: Service, rows: Rows, params: Any, epsilon: float, where: Path) -> dict[str, Bundle]:
    population, catalogue = len(rows), rows.catalogue
    count = Gaussian(noise_multiplier=COUNT_NOISE)
    mu = math.sqrt(accounting.gaussian_mu(epsilon, DELTA) ** 2 - COUNT_NOISE**-2)
    shares = service.shares(mu, population, catalogue)
    facts = {"delta": DELTA, "population": population, "params": params}
    floor_plan = service.floor.plan(mu=mu * math.sqrt(shares.pop(service.floor.name)), floor=None, **facts)
    given = {"intend": lambda steps: None, "catalogue": catalogue}
    floor = where / "rates"
    service.floor.fit(rows, floor_plan, floor=None, out=floor, **given)
    plans, spent = allocate(
        epsilon, DELTA, [count, floor_plan.event], shares,
        lambda name, mu: service.candidates[name].plan(mu=mu, floor=floor, **facts),
    )  # fmt: skip
    found = {"rates": read_bundle(floor)}
    for name, plan in plans.items():
        start = time.process_time()
        service.candidates[name].fit(rows, plan, floor=floor, out=where / name, **given)
        print(
            f"{name}: ε = {spent:.3f}, σ = {plan.event.noise_multiplier:.3f}, {time.process_time() - start:.0f} s CPU"
        )
        found[name] = read_bundle(where / name)
    return found


def auc_of(bundle: Bundle, test: Rows) -> float:
    _, clicked, likely = probabilities(bundle, test)
    return _exact(likely, clicked)


def _exact(scores: np.ndarray, labels: np.ndarray) -> float:
    from scipy.stats import rankdata

    hits = int(labels.sum())
    return float((rankdata(scores)[labels].sum() - hits * (hits + 1) / 2) / (hits * (len(labels) - hits)))


def _regression(rows: Rows, test: Rows, params: Any) -> float:
    """Return the AUC of logistic regression on the names one by one and the figures: what a shop might use instead."""
    from scipy import sparse
    from sklearn.linear_model import LogisticRegression

    found = space(rows.catalogue)
    clear = true_rates(rows, params)

    def matrix(some: Rows) -> tuple[Any, np.ndarray]:
        these = shown(some)
        ids = numbered(found, these.cells).astype(np.int32)
        ones = (np.ones(ids.size), ids.ravel(), (np.arange(len(ids) + 1) * ids.shape[1]).astype(np.int32))
        names = sparse.csr_array(ones, shape=(len(ids), found.size))
        figures = sparse.csr_array(known(clear, these)[:, 1:])  # what a shop can count by itself
        both = sparse.csr_matrix(sparse.hstack([names, figures]))
        both.indices, both.indptr = both.indices.astype(np.int32), both.indptr.astype(np.int32)
        return both, these.cells[:, CLICKED] > 0

    model = LogisticRegression(C=0.3, max_iter=200)
    model.fit(*matrix(rows))
    seen, labels = matrix(test)
    return _exact(model.decision_function(seen), labels)


def _truth(users: int, seed: int) -> float:
    options = shop.ShopOptions(users=users, seed=seed)
    shown = shop.ad_truth(options, shop.world(options))
    return _exact(shown.probability, shown.clicked)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--epsilon", type=float, default=3.0)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--rate", type=float, default=0.4)
    parser.add_argument("--clip", type=float, default=0.5)
    parser.add_argument("--scratch", type=Path, help="where the shop is kept, and found again")
    parser.add_argument("--fast", action="store_true", help="without the regression and the truth")
    return parser.parse_args()


if __name__ == "__main__":
    main()
