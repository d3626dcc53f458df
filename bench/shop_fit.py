"""How closely the simulated shop resembles Ta-Feng: habits, popularity, categories, and what a personal model gains.

Both sides go through the same functions at the same size (32,266 users, 23,812 items, 120 days); the simulator is drawn
with several seeds. `families` compares a simulated shop of 1,000 items and 6,667 users with Ta-Feng's 1,000 best-bought
subclasses as its items. No private mechanism is run or looked at.

    python bench/shop_fit.py [--data FOLDER] [--seeds 5] [--search SECONDS] [--out docs]

With `--out` it writes shop.csv. With `--search` it looks for constants that come closer than the frozen ones: a new
version of the simulator starts from what it prints.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from machine import machine  # beside this script
from scipy import sparse

from components.core import settings
from components.core.params import Source, Window
from components.core.progress import bar
from components.data.shop import FITTED, ShopOptions, tastes, visits, world
from components.data.sources import open_source
from components.evaluation import metrics
from components.services.recommend.ceiling import ease

DAYS = 120
TOLERANCE = 0.1  # relative: how a distance of 1 is counted in the search
CONSTANTS = {
    tastes: ("_CONCENTRATION", "_POPULARITY_SPREAD", "_DEPARTMENT_LIKING", "_SHELF_LIKING", "_ITEM_LIKING"),
    visits: ("_BASKET_LOG_MEDIAN", "_BASKET_LOG_SPREAD", "_BASKET_HABIT", "_AGAIN", "_COMPANION", "_ONE_TASTE"),
}


@dataclass(frozen=True)
class Purchases:
    """Distinct purchases, one of a user's item a day: `(purchases,)` each; `groups` has a label an item."""

    user: np.ndarray
    day: np.ndarray
    item: np.ndarray
    groups: dict[str, np.ndarray]

    @property
    def items(self) -> int:
        """Return how many items there are, bought or not."""
        return len(next(iter(self.groups.values())))


def main() -> None:
    arguments = _arguments()
    start = time.perf_counter()
    with bar("read Ta-Feng"):
        real = _ta_feng(arguments.data)
    wanted = _figures(real, _families(real))
    found = [_simulated(seed, real) for seed in range(7, 7 + arguments.seeds)]
    rows = [
        (name, value, *(float(f([one[name] for one in found])) for f in (np.mean, np.min, np.max)))
        for name, value in wanted.items()
    ]
    print(f"{'':44} {'Ta-Feng':>8} {'shop':>8}   over seeds")
    for name, value, mean, low, high in rows:
        print(f"{name:44} {value:8.3f} {mean:8.3f}   {low:.3f} to {high:.3f}")
    print(f"simulator version {FITTED}; {machine()}; {time.perf_counter() - start:.0f} s")
    if arguments.out:
        with (arguments.out / "shop.csv").open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("version", "statistic", "ta-feng", "shop", "lowest seed", "highest seed"))
            writer.writerows((FITTED, name, *(f"{value:.4g}" for value in values)) for name, *values in rows)
    if arguments.search:
        _search(arguments.search, real, wanted)
    gain = "full: ndcg@100 of EASE ÷ popularity"
    ours, peer = next((mean, value) for name, value, mean, _, _ in rows if name == gain)  # the peer is Ta-Feng
    result = {"name": "shop_fit", "ours": round(ours, 3), "peer": round(peer, 3), "ratio": round(ours / peer, 3)}
    print(json.dumps({**result, "unit": gain, "version": FITTED, "cores": os.cpu_count()}, ensure_ascii=False))


def _figures(full: Purchases, families: Purchases) -> dict[str, float]:
    return {
        **{f"full: {name}": value for name, value in _habits(full).items()},
        **{f"full: {name}": value for name, value in _gains(_matrix(full), full).items()},
        **_best_sellers(full),
        **{f"families: {name}": value for name, value in _habits(families).items()},
        **{f"families: {name}": value for name, value in _gains(_some(families), families).items()},
    }


def _habits(bought: Purchases) -> dict[str, float]:
    days, baskets = np.unique(bought.user.astype(np.int64) * DAYS + bought.day, return_counts=True)
    visits_of = np.unique(days // DAYS, return_counts=True)[1]
    pairs = np.unique(bought.user.astype(np.int64) * bought.items + bought.item)
    owned = np.unique(pairs // bought.items, return_counts=True)[1]
    gaps = np.diff(days)[np.diff(days // DAYS) == 0]
    buyers = np.sort(np.bincount(pairs % bought.items, minlength=bought.items))[::-1]
    share = np.cumsum(buyers) / buyers.sum()
    told: dict[str, float] = {}
    each = {"days a user": visits_of, "basket": baskets, "items a user": owned, "gap in days": gaps}
    for name, values in each.items():
        told |= {f"{name}, {p}%": float(np.percentile(values, p)) for p in (50, 90, 99)}
        told[f"{name}, mean"] = float(values.mean())
    told["purchases that repeat one"] = 1 - len(pairs) / len(bought.user)
    for part in (0.001, 0.01, 0.1, 0.5):
        told[f"share of the best {part:.1%} items"] = float(share[max(1, int(part * bought.items)) - 1])
    told["Gini of the items"] = _gini(buyers)
    return told


def _gini(counts: np.ndarray) -> float:
    ascending, n = np.sort(counts).astype(float), len(counts)
    return float((2 * np.arange(1, n + 1) - n - 1) @ ascending / (n * ascending.sum()))


def _gains(matrix: sparse.csr_array, bought: Purchases) -> dict[str, float]:
    """Return what a personal model gains without privacy, and how far items of one group are bought together."""
    rng = np.random.default_rng(0)
    order = rng.permutation(matrix.shape[0])
    held = min(2_500, len(order) // 10)
    train, (history, target) = matrix[np.sort(order[held:])], _fold_in(matrix[np.sort(order[:held])], rng)
    bought_by = np.asarray(train.sum(axis=0)).ravel()
    popularity = np.tile((bought_by / bought_by.sum()).astype(np.float32), (held, 1))
    best = np.argsort(-bought_by, kind="stable")[:2_000]
    personal = popularity.copy()
    personal[:, best] += 10 + history[:, best] @ ease(train[:, best], 500.0)
    told = {"ndcg@100 of EASE ÷ popularity": _ndcg(personal, history, target) / _ndcg(popularity, history, target)}
    for name, group in bought.groups.items():
        told[f"lift of pairs in one {name}"] = _lift(matrix[:, best[:1_000]], group[best[:1_000]])
    unit = sparse.diags_array(np.diff(train.indptr) ** -0.5) @ train[:, best[:1_000]]
    values = np.linalg.eigvalsh((unit.T @ unit).toarray())[::-1]
    return told | {f"spectrum in the first {k}": float(values[:k].sum() / values.sum()) for k in (10, 200)}


def _lift(matrix: sparse.csr_array, group: np.ndarray) -> float:
    together = (matrix.T @ matrix).toarray()
    np.fill_diagonal(together, 0)
    each = np.asarray(matrix.sum(axis=0)).ravel()
    chance = np.outer(each, each) * together.sum() / each.sum() ** 2
    same = group[:, None] == group
    np.fill_diagonal(same, False)
    return float(together[same].sum() / chance[same].sum())


def _ndcg(scores: np.ndarray, history: sparse.csr_array, target: sparse.csr_array) -> float:
    scores = scores.copy()
    scores[np.repeat(np.arange(len(scores)), np.diff(history.indptr)), history.indices] = -np.inf
    return float(metrics.ndcg_at_k(metrics.rank(scores, target, 100), 100).mean())


def _fold_in(matrix: sparse.csr_array, rng: np.random.Generator) -> tuple[sparse.csr_array, sparse.csr_array]:
    cells = matrix.tocoo()
    order = np.lexsort((rng.random(matrix.nnz), cells.row))
    row, column, sizes = cells.row[order], cells.col[order], np.diff(matrix.indptr)
    rank = np.arange(len(row)) - np.repeat(matrix.indptr[:-1], sizes)
    wanted = rank < np.maximum(1, np.rint(0.2 * sizes))[row]
    parts = [(np.ones(int(mask.sum()), np.float32), (row[mask], column[mask])) for mask in (~wanted, wanted)]
    return tuple(sparse.csr_array(part, shape=matrix.shape) for part in parts)  # type: ignore[return-value]


def _matrix(bought: Purchases) -> sparse.csr_array:
    users = np.unique(bought.user, return_inverse=True)[1]
    shape = (int(users.max()) + 1, bought.items)
    matrix = sparse.csr_array((np.ones(len(users), np.float32), (users, bought.item)), shape=shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def _some(bought: Purchases) -> sparse.csr_array:
    """Return the rows of 6,667 users at most: with 90% of them to learn from, the shop of 6,000 users."""
    matrix = _matrix(bought)
    return matrix[np.sort(np.random.default_rng(1).permutation(matrix.shape[0])[:6_667])]


def _best_sellers(full: Purchases) -> dict[str, float]:
    """Return the gain among the 1,000 best sellers alone."""
    matrix = _matrix(full)
    best = np.sort(np.argsort(-np.asarray(matrix.sum(axis=0)).ravel(), kind="stable")[:1_000])
    matrix = _some(full)[:, best]
    kept = Purchases(full.user, full.day, full.item, {name: group[best] for name, group in full.groups.items()})
    gains = _gains(matrix[np.flatnonzero(np.diff(matrix.indptr))], kept)
    return {"best sellers: ndcg@100 of EASE ÷ popularity": gains["ndcg@100 of EASE ÷ popularity"]}


def _ta_feng(wheels: Path) -> Purchases:
    from datetime import datetime

    reader = open_source(Source(kind="ta-feng", public=True), wheels)
    catalogue = reader.items()
    position = {item: place for place, item in enumerate(catalogue["item"].to_pylist())}
    found: list[tuple[str, int, int]] = []
    ordinal: dict[str, int] = {}
    for batch in reader.events(Window()):
        for user, day, item in zip(*(batch.rows[name].to_pylist() for name in ("user", "ts", "item")), strict=True):
            if day not in ordinal:
                ordinal[day] = datetime.strptime(day, "%m/%d/%Y").toordinal()
            found.append((user, ordinal[day], position[item]))
    names, days, items = zip(*found, strict=True)
    paths = catalogue["category"].to_pylist()
    # A shelf of the simulator has the items of a class, a line those of a subclass.
    groups = {"shelf": _codes([path.split("/")[1] for path in paths]), "line": _codes(paths)}
    return _distinct(_codes(names), np.array(days) - min(days), np.array(items), groups)


def _families(full: Purchases) -> Purchases:
    """Return Ta-Feng with its 1,000 best-bought subclasses as items, on the shelves of their classes."""
    family = full.groups["line"]
    families = int(family.max()) + 1
    pairs = np.unique(full.user.astype(np.int64) * families + family[full.item])
    best = np.argsort(-np.bincount(pairs % families), kind="stable")[:1_000]
    place, shelf = np.full(families, -1), np.zeros(families, int)
    place[best] = np.arange(1_000)
    shelf[family] = full.groups["shelf"]
    item = place[family[full.item]]
    kept = item >= 0
    return _distinct(full.user[kept], full.day[kept], item[kept], {"shelf": shelf[best]})


def _simulated(seed: int, like: Purchases) -> dict[str, float]:
    users = int(like.user.max()) + 1
    with bar(f"simulate, seed {seed}"):
        return _figures(_shop(users, like.items, seed), _shop(6_667, 1_000, seed, lines=False))


def _shop(users: int, items: int, seed: int, *, lines: bool = True) -> Purchases:
    options = ShopOptions(users=users, items=items, days=DAYS, seed=seed)
    shop, parts = world(options), []
    for group, first in enumerate(range(0, users, 2_000)):
        chance = np.random.default_rng([FITTED, seed, 1, group])
        drawn = visits.draw_visits(shop, min(2_000, users - first), DAYS, chance)
        bought = drawn.kind == visits.KINDS.index("purchase")
        parts.append((drawn.user[bought] + first, drawn.second[bought] // 86_400, drawn.item[bought]))
    groups = {"shelf": shop.catalogue.shelf} | ({"line": shop.catalogue.line} if lines else {})
    return _distinct(*(np.concatenate(column) for column in zip(*parts, strict=True)), groups)


def _distinct(user: np.ndarray, day: np.ndarray, item: np.ndarray, groups: dict[str, np.ndarray]) -> Purchases:
    items = len(groups["shelf"])
    rest, item = np.divmod(np.unique((user.astype(np.int64) * DAYS + day) * items + item), items)
    return Purchases(*np.divmod(rest, DAYS), item, groups)


def _codes(names: object) -> np.ndarray:
    return np.unique(np.asarray(names), return_inverse=True)[1]


def _search(seconds: float, real: Purchases, wanted: dict[str, float]) -> None:
    """Walk at random from the frozen constants, keep what comes closer, and print it."""
    rng, end = np.random.default_rng(0), time.perf_counter() + seconds
    best, least = {(room, name): getattr(room, name) for room, names in CONSTANTS.items() for name in names}, np.inf
    for step in _count_until(end):
        tried = {key: value * (1 + (0.08 * rng.normal() if step else 0)) for key, value in best.items()}
        for (room, name), value in tried.items():
            setattr(room, name, value)
        found = [_simulated(seed, real) for seed in (7, 8)]
        means = {name: np.mean([one[name] for one in found]) for name in wanted}
        distance = float(np.mean([(np.log(means[name] / value) / TOLERANCE) ** 2 for name, value in wanted.items()]))
        if distance < least:
            best, least = tried, distance
            print(f"distance {distance:.3f}:", {name: round(float(value), 3) for (_, name), value in best.items()})


def _count_until(end: float) -> Iterator[int]:
    step = 0
    while time.perf_counter() < end:
        yield step
        step += 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=settings.load().home / "wheels", help="a folder with the wheel")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--search", type=float, default=0.0, help="seconds to look for closer constants")
    parser.add_argument("--out", type=Path, help="where shop.csv goes")
    return parser.parse_args()


if __name__ == "__main__":
    main()
