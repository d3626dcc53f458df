"""How much of the quality without privacy is kept at which ε, by which mechanism: ndcg@100 over that of EASE.

Ta-Feng: items with 60 buyers or more and users with 5 of these or more, which is the benchmark's filter and not
charged. The simulated shop: 1,000 items; its smaller sizes are random parts of its training users. 80% of the users
train. Test users are others; 20% of a history is asked for (`fold_in`). EASE is trained on the same rows without
privacy, its ridge the best of several on the test users, which favours it. ε is that of one training with that
mechanism alone, δ = 1/(10 n) for n training users: the count of the users, the popularity that a personal mechanism
starts from, and the mechanism itself. Figures are means over un-noised scores, which only a public source may show.
Needs no server and charges no ledger.

    python bench/retention.py [--data FOLDER] [--sources NAME …] [--mechanisms NAME …] [--runs 5] [--out docs]

`--data` is a folder with the sources' wheels; by default those of JALI_HOME, fetched where they are missing. With
`--out` it writes retention.csv (rows of what was not measured this time stay) and the plot that the README shows. In
retention.csv `users` counts those of the whole data set, and `kept` is ndcg_at_100 ÷ EASE's.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

import numpy as np
from machine import machine  # beside this script
from portfolio import LABELS, MECHANISMS
from scipy import sparse
from scipy.stats import t as student

from components.core import settings
from components.core.params import Source
from components.core.progress import bar
from components.core.service import find
from components.evaluation import metrics
from components.services.recommend.ceiling import ease
from components.services.recommend.data import Catalogue, Matrix, Rows, fold_in
from components.services.recommend.scoring import Scorer
from components.stages.rows import left_after_count
from components.stages.run import Run

EPSILONS = (0.5, 1.0, 3.0, 10.0)
SEED = 20_240_229
RIDGES = (100.0, 200.0, 500.0, 1_000.0, 3_000.0, 10_000.0)
TEST_USERS = 4_000
KEY = bytes(range(32))
"""Who is in which split follows from it: the same users train and test in every run of this script."""
COLUMNS = ("source", "candidate", "users", "items", "epsilon", "run", "ndcg_at_100", "kept")
SHIPPED = ("popularity", "gram")


@dataclass(frozen=True)
class Setting:
    """One data set: a source, how many of its users take part (all, where None), and what is compared on it."""

    kind: str
    users: int | None
    mechanisms: tuple[str, ...]
    title: str


SETTINGS = {
    "ta-feng": Setting("ta-feng", None, tuple(MECHANISMS), "Ta-Feng"),
    "shop": Setting("shop", 6_000, tuple(MECHANISMS), "simulated shop, 6,000 users"),
    "shop-140000": Setting("shop", 140_000, SHIPPED, "simulated shop, 140,000 users"),
    "shop-2000": Setting("shop", 2_000, tuple(MECHANISMS), "simulated shop, 2,000 users"),
    "shop-500": Setting("shop", 500, tuple(MECHANISMS), "simulated shop, 500 users"),
}
SHOP_USERS = 140_000


def main() -> None:
    arguments = _arguments()
    start, rows = time.perf_counter(), []
    with tempfile.TemporaryDirectory() as scratch:
        for kind in dict.fromkeys(SETTINGS[name].kind for name in arguments.sources):
            train, test = _rows(kind, arguments.data, Path(scratch) / kind)
            for name in arguments.sources:
                if SETTINGS[name].kind == kind:
                    rows += _measure(name, _part(train, SETTINGS[name].users), test, arguments, Path(scratch))
    for name in arguments.sources:
        for mechanism in dict.fromkeys(row[1] for row in rows if row[0] == name):
            kept = [f"ε = {epsilon:g}: {_text(_kept(rows, name, mechanism, epsilon))}" for epsilon in EPSILONS]
            print(f"{name:12} {mechanism:12} keeps  {',  '.join(kept)}")
    print(f"{machine()}; {time.perf_counter() - start:.0f} s")
    first = arguments.sources[0]
    ours, peer = (mean(_kept(rows, first, name, 3.0) or [0.0]) for name in ("gram", "popularity"))
    if arguments.out:
        rows = _write(rows, arguments.out / "retention.csv")
        _plot(rows, arguments.out / "retention.png")
    result = {
        "name": "retention",
        "ours": round(ours, 3),
        "peer": round(peer, 3),
        "ratio": round(ours / peer, 3) if peer else None,
        "unit": f"ndcg@100 ÷ EASE without privacy, {first} at ε = 3 (peer: DP popularity)",
        "cores": os.cpu_count(),
        "rows": [dict(zip(COLUMNS, row, strict=True)) for row in rows],
    }
    print(json.dumps(result, ensure_ascii=False))


def _measure(name: str, train: Rows, test: Rows, arguments: argparse.Namespace, scratch: Path) -> list[tuple]:
    run = Run.open(Path(__file__).parents[1])
    ceiling = max(ndcg_at_100(_by_ease(train.matrix, ridge), test) for ridge in RIDGES)
    names = [one for one in SETTINGS[name].mechanisms if one in arguments.mechanisms]
    cases = [(epsilon, one, turn) for turn in range(1, arguments.runs + 1) for epsilon in EPSILONS for one in names]
    users = SETTINGS[name].users or round(len(train) / run.params.split.train)
    rows = []
    with bar(f"{name}, {len(train):,} users train, {len(test):,} test, EASE {ceiling:.4f}") as progress:
        for done, (epsilon, mechanism, turn) in enumerate(cases):
            progress(done, len(cases))
            mu = left_after_count(run, epsilon, 1 / (10 * len(train)))
            with tempfile.TemporaryDirectory(dir=scratch) as bundles:
                ndcg = ndcg_at_100(MECHANISMS[mechanism](train, mu, Path(bundles)), test)
            kept = round(ndcg / ceiling, 4)
            rows.append((name, mechanism, users, len(train.catalogue), epsilon, turn, round(ndcg, 5), kept))
    return rows


def _rows(kind: str, wheels: Path, scratch: Path) -> tuple[Rows, Rows]:
    """Collect, prepare and split as the stages do, and return the rows of train and test."""
    from components.data.collect import collect
    from components.data.prepare import prepare
    from components.data.sources import open_source
    from components.data.split import split

    run, service = Run.open(Path(__file__).parents[1]), find("recommend")
    shop = {"users": SHOP_USERS, "items": 1_000, "seed": 7} if kind == "shop" else {}
    (scratch / "home").mkdir(parents=True, exist_ok=True)
    (scratch / "home" / "pseudonym.key").write_bytes(KEY)
    chosen, block, raw = Source.model_validate({"kind": kind, "public": True, **shop}), "quarter", scratch / "raw"
    with bar(f"collect {kind}") as progress:
        collect(open_source(chosen, wheels), chosen, run.params.window, block, scratch / "home", raw, progress=progress)
    prepare(raw / "events.parquet", raw / "items.parquet", run.params.prepare, block, scratch / "prepared")
    paths = split(scratch / "prepared", run.params.split, scratch / "split")
    _, options = run.service("recommend")
    parts = {name: service.rows(path, scratch / "split" / "public", options) for name, path in paths.items()}
    if kind == "ta-feng":
        buyers = sum(np.asarray(rows.matrix.sum(axis=0)).ravel() for rows in parts.values())
        parts = {name: _filtered(rows, np.flatnonzero(buyers >= 60), least=5) for name, rows in parts.items()}
    return parts["train"], _first(parts["test"], TEST_USERS)


def _filtered(rows: Rows, items: np.ndarray, least: int) -> Rows:
    matrix = sparse.csr_array(rows.matrix[:, items])
    return Rows(
        sparse.csr_array(matrix[np.flatnonzero(np.diff(matrix.indptr) >= least)]),
        Catalogue(rows.catalogue.table.take(items)),
    )


def _part(train: Rows, users: int | None) -> Rows:
    """Return the rows that a data set of so many users trains on: a random part, of whom each smaller holds fewer."""
    share = 1.0 if users is None else users / SHOP_USERS
    chosen = np.random.default_rng(SEED).permutation(len(train))[: round(share * len(train))]
    return Rows(sparse.csr_array(train.matrix[np.sort(chosen)]), train.catalogue)


def _first(rows: Rows, users: int) -> Rows:
    return Rows(sparse.csr_array(rows.matrix[:users]), rows.catalogue)


def _by_ease(matrix: Matrix, ridge: float) -> Scorer:
    weights = ease(matrix, ridge)

    def scored(history: Matrix) -> np.ndarray:
        answer = np.asarray(history @ weights)
        answer[np.repeat(np.arange(history.shape[0]), np.diff(history.indptr)), history.indices] = -np.inf
        return answer

    return scored


def ndcg_at_100(scorer: Scorer, test: Rows) -> float:
    """Return the mean over un-noised `test` users, a fifth of each history asked for."""
    history, target = fold_in(test, SEED)
    found = [
        metrics.ndcg_at_k(metrics.rank(scorer(history[first : first + 500]), target[first : first + 500], 100), 100)
        for first in range(0, len(test), 500)
    ]
    return float(np.concatenate(found).mean())


def _kept(rows: list[tuple], source: str, name: str, epsilon: float) -> list[float]:
    return [float(row[-1]) for row in rows if (row[0], row[1], float(row[4])) == (source, name, epsilon)]


def _half(kept: list[float]) -> float:
    """Return half the width of the 95% interval of the mean over the runs' noise."""
    if len(kept) < 2:
        return 0.0
    return float(student.ppf(0.975, len(kept) - 1)) * stdev(kept) / len(kept) ** 0.5


def _text(kept: list[float]) -> str:
    return f"{mean(kept):.1%} ± {_half(kept):.1%}" if kept else "-"


def _write(rows: list[tuple], path: Path) -> list[tuple]:
    known = list[tuple]()
    if path.exists():
        with path.open(newline="") as file:
            head, *lines = csv.reader(file)
            known = [tuple(line) for line in lines] if tuple(head) == COLUMNS else []
    measured = {row[:2] for row in rows}
    order = list(SETTINGS)
    rows = sorted([row for row in known if row[:2] not in measured] + rows, key=lambda row: order.index(row[0]))
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    return rows


def _plot(rows: list[tuple], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    colours = ["#8a8f98", "#b4482e", "#d9a441", "#2f6f8f", "#7a5aa6", "#4f8a5b", "#a0705a", "#5aa0a0"]
    names = [name for name in SETTINGS if name in {row[0] for row in rows}][:3]
    figure, axes = plt.subplots(1, len(names), figsize=(12, 4.2), sharey=True, layout="constrained", squeeze=False)
    for axis, source in zip(axes[0], names, strict=True):
        for mechanism, colour in zip(MECHANISMS, colours, strict=True):
            kept = [_kept(rows, source, mechanism, epsilon) for epsilon in EPSILONS]
            if all(kept):
                style = {"color": colour, "marker": "o", "markersize": 3.5, "capsize": 3}
                wide = 2.4 if mechanism == "gram" else 1.2
                errors = [_half(one) for one in kept]
                label = LABELS[mechanism]
                axis.errorbar(EPSILONS, [mean(one) for one in kept], yerr=errors, label=label, linewidth=wide, **style)
        axis.axhline(1, color="#3d434b", linestyle="--", linewidth=1)
        axis.annotate("EASE, no privacy", (EPSILONS[0], 1.015), fontsize=8, color="#3d434b")
        axis.set(xscale="log", title=SETTINGS[source].title, xlabel="ε of the training", ylim=(0, 1.1))
        axis.set_xticks(EPSILONS, [f"{epsilon:g}" for epsilon in EPSILONS], minor=False)
        axis.minorticks_off()
        axis.grid(axis="y", alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        axis.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1, decimals=0))
    axes[0][0].set_ylabel("ndcg@100 kept")
    axes[0][0].legend(frameon=False, fontsize=8, loc="lower right")
    figure.savefig(path, dpi=110)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=settings.load().home / "wheels", help="a folder with the wheels")
    parser.add_argument("--out", type=Path, help="where retention.csv and retention.png go")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--sources", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--mechanisms", nargs="+", default=list(MECHANISMS), choices=list(MECHANISMS))
    return parser.parse_args()


if __name__ == "__main__":
    main()
