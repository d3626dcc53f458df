"""What a smaller form of a network loses, and what it saves: bytes, milliseconds, and the metric on real test users.

The simulated shop is collected, prepared and split as the stages do; each service is trained at ε = 3. Of every
personal bundle this prints what its own gate measured on simulated people, and beside it the un-noised metrics of
people who were not learnt from, which only a public source may show. The networks are also run as ONNX graphs, in
single precision and in eight bits (dynamic, by line), one thread, one history at a time: the network alone, against
the same in NumPy, which is what serving runs. Needs no server and charges no ledger.

    python bench/smaller.py [--users 20000] [--services recommend ads] [--out docs/smaller.csv]
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import networks  # beside this script
import numpy as np
from machine import machine

from components.core import params
from components.core.params import Prepare, SmallerBundles, Source, Split, Window
from components.core.service import Service, find
from components.data.activity import extend
from components.data.collect import collect
from components.data.prepare import prepare
from components.data.sources import open_source
from components.data.split import split
from components.evaluation.smaller import SEED, Shrunk, shrink
from components.privacy.accounting import gaussian_mu

EPSILON, COUNT_NOISE = 3.0, 15.0
COLUMNS = (
    "service",
    "candidate",
    "form",
    "megabytes",
    "milliseconds",
    "loss",
    "most_loss",
    "accepted",
    "on_test_users",
)


def main() -> None:
    arguments = _arguments()
    start, rows, alone = time.perf_counter(), [], []
    with tempfile.TemporaryDirectory() as scratch:
        where = Path(scratch)
        _shop(arguments.users, where)
        for name in arguments.services:
            for candidate, bundle, service, test in _trained(name, where):
                (forms := where / f"{name}-{candidate}").mkdir()
                form = shrink(service, candidate, bundle, SmallerBundles(), forms)
                rows += _told(form, bundle, forms, service, test)
                if network := networks.OF.get((name, candidate)):
                    alone += _alone(f"{name}/{candidate}", network(bundle), where)
    print(f"{machine()}; {time.perf_counter() - start:.0f} s")
    if arguments.out:
        with arguments.out.open("w", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *rows])
    ours = [row for row in rows if row[2] != "whole" and row[7]]
    worst = max((row[5] for row in ours), default=math.nan)
    times = [next(one[3] for one in rows if one[:3] == (*row[:2], "whole")) / row[3] for row in ours]
    result = {
        "name": "smaller",
        "ours": round(min(times, default=math.nan), 2),
        "peer": 1.0,
        "ratio": round(min(times, default=math.nan), 2),
        "unit": f"times smaller, the least of what was accepted; most loss {worst:.5f}",
        "cores": os.cpu_count(),
        "rows": [dict(zip(COLUMNS, row, strict=True)) for row in rows],
        "networks": alone,
    }
    print(json.dumps(result, ensure_ascii=False))


def _shop(users: int, where: Path) -> None:
    source = Source.model_validate({"kind": "shop", "public": True, "users": users, "items": 1000, "seed": 7})
    (where / "home").mkdir()
    collect(open_source(source, where), source, Window(), "quarter", where / "home", where / "raw")
    prepare(where / "raw/events.parquet", where / "raw/items.parquet", Prepare(), "quarter", where / "prepared")
    extend(where / "raw", Prepare(), "quarter", where / "prepared")
    split(where / "prepared", Split(), where / "split")


def _trained(name: str, where: Path) -> list[tuple[str, Path, Service, Any]]:
    """Return name, bundle, service and test rows of each personal candidate, every one trained with all of μ but what
    its floor takes: they are compared with their own smaller forms and not with each other.
    """
    own = {"candidates": ["popularity", "gram", "autoencoder"]} if name == "recommend" else {}
    service = find(name)
    options = params.parse(service.params, own, name)
    train, test = (service.rows(where / "split" / one, where / "split/public", options) for one in ("train", "test"))
    catalogue = service.catalogue(where / "split/public", options)
    delta = 1 / (10 * len(train))
    mu = math.sqrt(gaussian_mu(EPSILON, delta) ** 2 - COUNT_NOISE**-2)
    share = service.shares(mu, len(train), catalogue)[service.floor.name]
    found, floor = [], None
    for key, candidate in service.candidates.items():
        part = share if floor is None else 1 - share
        facts = {"delta": delta, "population": len(train), "params": options, "floor": floor}
        out = where / f"{name}-bundles" / key
        plan = candidate.plan(mu=mu * math.sqrt(part), **facts)
        candidate.fit(train, plan, catalogue, floor=floor, intend=lambda steps: None, out=out)
        if candidate.personal:
            found.append((key, out, service, test))
        floor = floor or out
    return found


def _told(form: Shrunk, bundle: Path, forms: Path, service: Service, test: Any) -> list[tuple[Any, ...]]:
    def on_test_users(folder: Path) -> str:
        means = service.score(folder, test, SEED).mean(axis=0)
        figures = {metric.name: float(mean) for metric, mean in zip(service.metrics, means, strict=True)}
        if service.histogram:
            figures |= service.histogram.figures(service.histogram.of(folder, test, SEED).mean(axis=0))
        return " ".join(f"{key}={value:.5f}" for key, value in list(figures.items())[:3])

    start = (form.service, form.candidate)
    rows = [(*start, "whole", form.megabytes, form.milliseconds, 0.0, 0.0, "", on_test_users(bundle))]
    for one in form.tried:
        measured = (one.megabytes, one.milliseconds, one.loss, one.most_loss, one.accepted)
        rows.append((*start, one.way, *measured, on_test_users(forms / one.way)))
    for row in rows:
        print(f"{row[0]}/{row[1]:12} {row[2]:10} {row[3]:8.3f} MB {row[4]:7.3f} ms  loss {row[5]:+.5f} ≤ {row[6]:.5f} "
              f"{row[7]!s:5} on test users {row[8]}")  # fmt: skip
    return rows


def _alone(name: str, network: networks.Network, where: Path) -> list[dict[str, Any]]:
    """Return size and time of a network alone: NumPy, ONNX, ONNX in eight bits; they must answer alike."""
    found = [{"network": name, "runs in": "NumPy", "bytes": network.bytes, "microseconds": _median(network.run)}]
    wanted = network.run()
    for label, path in networks.as_onnx(network, where).items():
        run = networks.session(path, network.inputs)
        off = float(np.abs(run() - wanted).max() / np.abs(wanted).max())
        size = path.stat().st_size
        found.append({"network": name, "runs in": label, "bytes": size, "microseconds": _median(run), "off": off})
    for one in found:
        print(one)
    return found


def _median(run: Callable[[], Any], calls: int = 500) -> float:
    taken = []
    for _ in range(calls):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return round(median(taken) * 1e6, 1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--services", nargs="+", default=["recommend", "ads"])
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
