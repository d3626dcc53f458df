"""The measured curves that `jali plan` answers from: quality kept by users, items, ε and candidate.

Ta-Feng by parts of its users and by its best-bought items, the simulated shop by parts of its users at several sizes of
its catalogue. Kept is ndcg@100 over that of EASE, trained without privacy on the same rows with the best of several
ridges. Each candidate gets what it gets in a whole training of that ε: its share beside the counts and the other
candidates. Every figure is a mean over un-noised scores of test users, which only a public source may show. Needs no
server and charges no ledger.

    python bench/curves.py [--data FOLDER] [--runs 3] [--out components/evaluation/curves.csv]
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import math
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from machine import machine  # beside this script
from retention import SEED, ndcg_at_100

from components.core import settings
from components.core.params import Source
from components.core.progress import bar
from components.core.service import Candidate, Service, find
from components.data import shop
from components.evaluation.curves import COLUMNS, Curves, Point
from components.evaluation.planning import held_out
from components.services.recommend.bundle import Bundle, Config, read_bundle
from components.services.recommend.ceiling import ease
from components.services.recommend.data import Catalogue, Matrix, Rows
from components.services.recommend.scoring import scores, scores_over
from components.stages.run import Run

EPSILONS = (0.5, 1.0, 2.0, 4.0, 10.0)
SIZES = {"ta-feng": (2_000, 5_000, 13_000, 32_266), "shop": (1_400, 6_000, 30_000, 140_000)}
"""Users of the whole shop; those of a smaller one are a random part."""
ITEMS = {"ta-feng": (1_000, 5_000, 23_812), "shop": (1_000, 10_000)}
RIDGES = (30.0, 100.0, 300.0, 1_000.0)
TEST_USERS = 2_000


def main() -> None:
    arguments = _arguments()
    start, points = time.perf_counter(), list[Point]()
    for source in SIZES:
        with tempfile.TemporaryDirectory() as scratch:
            points += _measure(source, arguments, Path(scratch))
    if arguments.out:
        with arguments.out.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows([getattr(point, column) for column in COLUMNS] for point in points)
    _report(points)
    known = Curves(points)
    for axis, words in (("users", "number of users"), ("epsilon", "ε"), ("source", "data set")):
        told = held_out(known, axis)
        inside = sum(one.low <= kept <= one.high for one, kept in told)
        print(f"held out by {words}: {inside} of {len(told)} trainings lie within the range that the others tell")
    print(f"{machine()}; {time.perf_counter() - start:.0f} s")
    largest = max(point.users for point in points)
    at = [point for point in points if (point.users, point.epsilon) == (largest, 1.0)]
    kept = {name: mean(point.kept for point in at if point.candidate == name) for name in {p.candidate for p in at}}
    ours, peer = max(kept.values()), kept["popularity"]
    result = {"name": "curves", "ours": round(ours, 3), "peer": round(peer, 3), "ratio": round(ours / peer, 3)}
    unit = f"kept by {largest:,} users at ε = 1 (peer: DP popularity)"
    print(json.dumps({**result, "unit": unit, "cores": os.cpu_count(), "points": len(points)}, ensure_ascii=False))


def _measure(source: str, arguments: argparse.Namespace, scratch: Path) -> Iterator[Point]:
    run = Run.open(Path(__file__).parents[1])
    service, options = run.service("recommend")
    names = arguments.candidates or [name for name, one in service.candidates.items() if _is_one_shot(one, options)]
    turns = list(itertools.product(EPSILONS, range(1, arguments.runs + 1)))
    for items in ITEMS[source]:
        whole, test = _rows(run, source, items, arguments.data, scratch)
        for users in SIZES[source]:
            train = _part(whole, users / SIZES[source][-1])
            ceiling = _ceiling(train, test, options.columns)
            with bar(f"{source}, {items:,} items, {users:,} users") as progress:
                for done, (epsilon, turn) in enumerate(turns):
                    progress(done, len(turns))
                    with tempfile.TemporaryDirectory(dir=scratch) as bundles:
                        for name, bundle in _fitted(run, service, train, epsilon, names, Path(bundles)):
                            ndcg = ndcg_at_100(scores_over(test.catalogue, read_bundle(bundle)), test)
                            figures = {"ndcg_at_100": round(ndcg, 5), "kept": round(ndcg / ceiling, 4)}
                            where = {"source": source, "candidate": name, "users": users, "items": items}
                            where["simulator"] = shop.FITTED if source == "shop" else None
                            yield Point(**where, epsilon=epsilon, run=turn, **figures)


def _fitted(
    run: Run, service: Service, train: Rows, epsilon: float, names: list[str], scratch: Path
) -> Iterator[tuple[str, Path]]:
    from components.stages.rows import left_after_count

    delta = min(run.params.training.max_delta, 1 / (10 * len(train)))
    _, options = run.service(service.name)
    mu = left_after_count(run, epsilon, delta)
    shares = service.shares(mu, len(train), train.catalogue)
    floor: Path | None = None
    for name in [service.floor.name, *(name for name in names if name != service.floor.name)]:
        candidate = service.candidates[name]
        own = mu * math.sqrt(shares[name])
        plan = candidate.plan(mu=own, delta=delta, population=len(train), params=options, floor=floor)
        with tempfile.TemporaryDirectory(dir=scratch) as telemetry:
            out = Path(tempfile.mkdtemp(dir=scratch))
            chosen = {"floor": floor, "intend": _charge_nothing, "out": out, "telemetry": Path(telemetry)}
            candidate.fit(train, plan, train.catalogue, **chosen)
        floor = floor or out
        yield name, out


def _is_one_shot(candidate: Candidate, options: Any) -> bool:
    """Whether it takes seconds: steps of DP-SGD are not repeated over the whole grid."""
    return not hasattr(candidate.plan(mu=1.0, delta=1e-6, population=10_000, params=options, floor=None).event, "steps")  # type: ignore[attr-defined]


def _rows(run: Run, source: str, items: int, wheels: Path, scratch: Path) -> tuple[Rows, Rows]:
    """Collect, prepare and split as the stages do, and return the rows of train and of some test users."""
    from components.data.collect import collect
    from components.data.prepare import prepare
    from components.data.sources import open_source
    from components.data.split import split

    service, options = run.service("recommend")
    kind: dict[str, Any] = {"kind": source, "public": True}
    if source == "shop":
        kind |= {"users": SIZES[source][-1], "items": items}
    chosen, place = Source.model_validate(kind), scratch / str(items)
    raw, block = place / "raw", run.params.privacy.block
    with bar(f"collect {source}, {items:,} items") as progress:
        reader = open_source(chosen, wheels)
        collect(reader, chosen, run.params.window, block, scratch / "home", raw, progress=progress)
    prepare(raw / "events.parquet", raw / "items.parquet", run.params.prepare, block, place / "prepared")
    paths = split(place / "prepared", run.params.split, place / "split")
    train, test = (service.rows(paths[name], place / "split" / "public", options) for name in ("train", "test"))
    best = np.sort(np.argsort(-np.asarray(train.matrix.sum(axis=0)).ravel(), kind="stable")[:items])
    train, test = (_with_items(rows, best) for rows in (train, test))
    return train, _part(test, TEST_USERS / len(test))


def _with_items(rows: Rows, best: np.ndarray) -> Rows:
    """Return the rows with these items alone: the best-bought ones, which is the protocol of a benchmark."""
    matrix = rows.matrix[:, best]
    return Rows(matrix[np.flatnonzero(np.diff(matrix.indptr))], Catalogue(rows.catalogue.table.take(best)))


def _part(rows: Rows, share: float) -> Rows:
    chosen = np.random.default_rng(SEED).permutation(len(rows))[: round(share * len(rows))]
    return Rows(rows.matrix[np.sort(chosen)], rows.catalogue)


def _ceiling(train: Rows, test: Rows, columns: int) -> float:
    """Return EASE's ndcg@100 without privacy, over the most popular items, with the best ridge for these users."""
    bought = np.asarray(train.matrix.sum(axis=0)).ravel()
    shares = ((bought + 1e-3) / (bought + 1e-3).sum()).astype(np.float32)
    popular = np.argsort(-bought, kind="stable")[:columns]
    floor = Bundle(Config(kind="popularity"), {"popularity": shares}, train.catalogue)

    def best(ridge: float) -> float:
        weights = ease(train.matrix[:, popular], ridge)

        def by_ease(history: Matrix) -> np.ndarray:
            scored = scores(floor, history)  # −inf where the history has the item, and stays so
            scored[:, popular] += 10 + history[:, popular] @ weights
            return scored

        return ndcg_at_100(by_ease, test)

    return max(best(ridge) for ridge in RIDGES)


def _charge_nothing(steps: int) -> None:
    """The rows are public."""


def _report(points: list[Point]) -> None:
    cells: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for point in points:
        cells[point.source, point.items, point.users, point.candidate, point.epsilon].append(point.kept)
    for (source, items, users, candidate), group in itertools.groupby(cells, key=lambda cell: cell[:4]):
        kept = ",  ".join(f"ε = {cell[4]:g}: {mean(cells[cell]):.1%}" for cell in group)
        print(f"{source:8} {items:6,} items {users:8,} users  {candidate:12} keeps  {kept}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=settings.load().home / "wheels", help="a folder with the wheels")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--candidates", nargs="+", choices=list(find("recommend").candidates))
    parser.add_argument("--out", type=Path, help="the CSV to write")
    return parser.parse_args()


if __name__ == "__main__":
    main()
