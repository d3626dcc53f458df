"""How much of the quality without privacy is kept at which ε: ndcg@100 over that of EASE, for the floor and the Gram.

Each candidate gets what it gets in a whole training of that ε: its share beside the counts and the other candidates.
Every figure is a mean over un-noised scores of the test users, which only a public source may show. Needs no server
and charges no ledger.

    python bench/retention.py [--data FOLDER] [--out docs]

`--data` is a folder with the sources' wheels; by default those of JALI_HOME, fetched where they are missing. With
`--out` it writes retention.csv and the plot that the README shows.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

import numpy as np
from machine import machine  # beside this script

from components.core import params as parameters
from components.core import settings
from components.core.progress import bar
from components.core.service import Candidate, find
from components.stages.run import Run

SOURCES = ("ta-feng", "shop")
EPSILONS = (0.5, 1.0, 3.0, 10.0)
RUNS = 3
SEED = 20_240_229
COLUMNS = ("source", "candidate", "epsilon", "run", "ndcg_at_100", "kept")


def main() -> None:
    arguments = _arguments()
    start, rows = time.perf_counter(), []
    for source in SOURCES:
        with tempfile.TemporaryDirectory() as scratch:
            rows += _measure(source, arguments.data, Path(scratch), arguments.candidates)
    for source in SOURCES:
        for name in arguments.candidates:
            kept = [f"ε = {epsilon:g}: {_text(_kept(rows, source, name, epsilon))}" for epsilon in EPSILONS]
            print(f"{source:8} {name:12} keeps  {',  '.join(kept)}")
    print(f"{machine()}; {time.perf_counter() - start:.0f} s")
    if arguments.out:
        _write(rows, arguments.out / "retention.csv")
        _plot(rows, arguments.candidates, arguments.out / "retention.png")
    ours, peer = (mean(_kept(rows, "ta-feng", name, 3.0)) for name in ("gram", "popularity"))
    result = {
        "name": "retention",
        "ours": round(ours, 3),
        "peer": round(peer, 3),
        "ratio": round(ours / peer, 3),
        "unit": "ndcg@100 ÷ EASE without privacy, ta-feng at ε = 3 (peer: DP popularity)",
        "cores": os.cpu_count(),
        "rows": [dict(zip(COLUMNS, row, strict=True)) for row in rows],
    }
    print(json.dumps(result, ensure_ascii=False))


def _measure(source: str, wheels: Path, scratch: Path, names: list[str]) -> list[tuple]:
    from components.stages.rows import left_after_count

    run = Run.open(Path(__file__).parents[1])
    tree = run.params.but(source=source)
    service, options = run.service("recommend")
    train, test, catalogue = _rows(tree, options, wheels, scratch)
    ease = service.ceiling(train, test, catalogue, options)["ease"]["ndcg@100"]
    whole = sum(candidate.share for candidate in service.candidates.values())
    delta = min(tree.training.max_delta, 1 / (10 * len(train)))
    rows = []

    def fitted(candidate: Candidate, epsilon: float, floor: Path | None) -> Path:
        mu = left_after_count(run, epsilon, delta) * math.sqrt(candidate.share / whole)
        plan = candidate.plan(mu=mu, delta=delta, population=len(train), params=options, floor=floor)
        out = Path(tempfile.mkdtemp(dir=scratch))
        telemetry = Path(tempfile.mkdtemp(dir=scratch))
        candidate.fit(train, plan, catalogue, floor=floor, intend=_charge_nothing, out=out, telemetry=telemetry)
        return out

    with bar(f"train on {source}") as progress:
        for done, (epsilon, turn) in enumerate(_cases()):
            progress(done, len(EPSILONS) * RUNS)
            floor = fitted(service.floor, epsilon, None)
            for name in names:
                candidate = service.candidates[name]
                bundle = fitted(candidate, epsilon, floor) if candidate.personal else floor
                ndcg = float(np.mean(service.score(bundle, test, SEED)[:, 0]))
                rows.append((source, name, epsilon, turn, round(ndcg, 5), round(ndcg / ease, 4)))
    return rows


def _rows(tree: parameters.Params, options: object, wheels: Path, scratch: Path) -> tuple:
    """Collect, prepare and split as the stages do, and return the service's rows of train and test, and its items."""
    from components.data.collect import collect
    from components.data.prepare import prepare
    from components.data.sources import open_source
    from components.data.split import split

    service, block, raw = find("recommend"), tree.privacy.block, scratch / "raw"
    with bar(f"collect {tree.source}") as progress:
        reader = open_source(tree.chosen_source, wheels)
        collect(reader, tree.chosen_source, tree.window, block, scratch / "home", raw, progress=progress)
    prepare(raw / "events.parquet", raw / "items.parquet", tree.prepare, block, scratch / "prepared")
    paths = split(scratch / "prepared", tree.split, scratch / "split")
    items = scratch / "split" / "items.parquet"
    train, test = (service.rows(paths[name], items, options) for name in ("train", "test"))
    return train, test, service.catalogue(items, options)


def _charge_nothing(steps: int) -> None:
    """The rows are public."""


def _cases() -> Iterator[tuple[float, int]]:
    return ((epsilon, turn) for epsilon in EPSILONS for turn in range(1, RUNS + 1))


def _kept(rows: list[tuple], source: str, name: str, epsilon: float) -> list[float]:
    return [row[-1] for row in rows if row[:3] == (source, name, epsilon)]


def _text(kept: list[float]) -> str:
    return f"{mean(kept):.0%} ({min(kept):.1%} to {max(kept):.1%})"


def _write(rows: list[tuple], path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)


def _plot(rows: list[tuple], names: list[str], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    titles = {"ta-feng": "Ta-Feng, 32,266 shoppers", "shop": "simulated shop, 6,000 users"}
    labels = {"popularity": "DP popularity (the floor)", "gram": "noisy Gram matrix", "autoencoder": "DP-SGD"}
    colours = {"popularity": "#8a8f98", "gram": "#b4482e", "autoencoder": "#2f6f8f"}
    figure, axes = plt.subplots(1, len(SOURCES), figsize=(8.4, 3.2), sharey=True, layout="constrained")
    for axis, source in zip(axes, SOURCES, strict=True):
        for name in names:
            kept = [_kept(rows, source, name, epsilon) for epsilon in EPSILONS]
            middle = [mean(one) for one in kept]
            spread = [[m - min(one) for m, one in zip(middle, kept, strict=True)]]
            spread.append([max(one) - m for m, one in zip(middle, kept, strict=True)])
            style = {"color": colours[name], "marker": "o", "markersize": 4, "capsize": 3, "linewidth": 1.8}
            axis.errorbar(EPSILONS, middle, yerr=spread, label=labels[name], **style)
        axis.axhline(1, color="#3d434b", linestyle="--", linewidth=1)
        axis.annotate("EASE, no privacy", (EPSILONS[0], 1.015), fontsize=8, color="#3d434b")
        axis.set(xscale="log", title=titles[source], xlabel="ε of the whole training", ylim=(0, 1.1))
        axis.set_xticks(EPSILONS, [f"{epsilon:g}" for epsilon in EPSILONS], minor=False)
        axis.minorticks_off()
        axis.grid(axis="y", alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        axis.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1, decimals=0))
    axes[0].set_ylabel("ndcg@100 kept")
    axes[0].legend(frameon=False, fontsize=8, loc="lower right")
    figure.savefig(path, dpi=110)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=settings.load().home / "wheels", help="a folder with the wheels")
    parser.add_argument("--out", type=Path, help="where retention.csv and retention.png go")
    parser.add_argument(
        "--candidates", nargs="+", default=["popularity", "gram"], choices=["popularity", "gram", "autoencoder"]
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
