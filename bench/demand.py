"""How good the demand forecast is with privacy, beside the same without, and the seasonal naive one.

python bench/demand.py [--sources shop ta-feng complete-journey] [--data PATH] [--out FOLDER]

Everything is one release of the users who are trained on, at ε = 1 and 3: one for all blocks of the window, which costs
each of them ε. Forecasts are made from eight origins, one to four weeks ahead, and held against what these users really
bought, without any bound; lines of more than 100 pieces are left out throughout. `--data` is a folder with real
invoices (transactions.parquet of the Online Retail set).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from machine import machine  # beside this script

from components.core import digest
from components.core.params import Prepare, Source, Split, Window
from components.core.progress import bar
from components.data.activity import extend
from components.data.collect import collect
from components.data.prepare import prepare
from components.data.sources import open_source
from components.data.split import split
from components.data.tables import EVENTS, ITEMS, empty
from components.privacy.accounting import gaussian_mu
from components.services.demand import naive, statespace
from components.services.demand.bundle import on_offer
from components.services.demand.data import Catalogue, Floats, read_catalogue
from components.services.demand.forecast import Forecast, reconciled
from components.services.demand.lift import lift_of
from components.services.demand.newsvendor import order
from components.services.demand.params import DemandParams
from components.services.demand.release import Released, unnoised
from components.services.demand.rows import Rows, read_bought, read_rows

SHOP = {"users": 20_000, "items": 1_000, "seed": 7}
ORIGINS, AHEAD, LARGE, RUNS = 8, 4, 100, 5
HOLDING, SHORTAGE = 1.0, 4.0
MOST_PIECES = 100
"""In one line of a receipt: more is fuel, which is measured and not counted, or wholesale."""
QUANTILES = {0.1: -1.2815515655446004, 0.5: 0.0, 0.9: 1.2815515655446004}
COLUMNS = ("source", "forecast", "epsilon", "wape", "mase", "pinball", "coverage80", "cost")
_KEY = b"a bench's own key, not a secret!"


@dataclass(frozen=True)
class Asked:
    """One source: the rows, what is public, and the units by week and category that were really bought."""

    rows: Rows
    catalogue: Catalogue
    truth: Floats

    @property
    def large(self) -> Floats:
        """Which categories sell `LARGE` units a week."""
        return np.asarray(np.nanmean(self.truth, axis=0) >= LARGE)


def asked_of(folder: Path, params: DemandParams) -> Asked:
    """Read the users who are trained on."""
    catalogue = read_catalogue(folder / "public", params)
    table = folder / "train" / "activity.parquet"
    bought = read_bought(table, catalogue, limit=np.inf)
    weeks, categories = len(catalogue.calendar), len(catalogue.categories)
    place = bought.week * categories + catalogue.of_item[bought.item]
    truth = np.bincount(place, weights=bought.whole, minlength=weeks * categories).reshape(weeks, categories)
    truth[~catalogue.calendar.whole] = np.nan
    return Asked(read_rows(table, catalogue, params), catalogue, truth)


def noised(released: Released, rows: Rows, mu: float, drawn: np.random.Generator) -> Released:
    """Return a release at μ, with a bench's seeded noise."""
    sigma = {name: unit / mu for name, unit in rows.layout.units.items()}
    return Released({n: part + sigma[n] * drawn.normal(size=part.shape) for n, part in released.parts.items()}, sigma)


def whole(asked: Asked) -> Released:
    """Return what really was bought, as a release without bounds and noise."""
    known = unnoised(asked.rows)
    everything = {**known.parts, "weeks": asked.truth, "left": np.zeros(asked.truth.shape[1]), "beyond": np.zeros(1)}
    everything["sites"] = np.tile(np.nansum(asked.truth, axis=1)[:, None], (1, known.parts["sites"].shape[1]))
    return Released(everything, known.sigma)


def forecasts(kind: str, released: Released, asked: Asked) -> Iterator[tuple[int, Floats, Floats]]:
    """Yield (origin, mean, deviation) of the categories, `(AHEAD, categories)`, lifted to what no bound left out."""
    catalogue, categories = asked.catalogue, len(asked.catalogue.categories)
    history = np.hstack([released.parts["weeks"], released.parts["sites"]])
    history[~catalogue.calendar.whole] = np.nan
    sizes = [categories, len(catalogue.sites)]
    sigma = np.repeat([released.sigma["weeks"], released.sigma["sites"]], sizes)
    lift, weeks = lift_of(released), len(history)
    offered = on_offer(released, catalogue)
    for origin in range(max(3, weeks - AHEAD - ORIGINS + 1), weeks - AHEAD + 1):
        base: Forecast
        if kind == "naive":
            base = naive.forecast(history[:origin], sigma, AHEAD)
        else:
            base = statespace.forecast(history[:origin], sigma, AHEAD, offered[: origin + AHEAD], categories)
        found = reconciled(base, categories)
        mean, deviation = found.mean[:, :categories], found.deviation()[:, :categories]
        deviation = np.sqrt(deviation**2 + mean**2 * (lift.own + lift.common))
        yield origin, mean * lift.factor, deviation * lift.factor


def figures(kind: str, released: Released, asked: Asked) -> dict[str, float]:
    """Return the figures of `COLUMNS` over the large categories."""
    errors, sold, steps, losses, inside, costs = [], [], [], [], [], []
    for origin, mean, deviation in forecasts(kind, released, asked):
        seen = asked.truth[origin : origin + AHEAD][:, asked.large]
        mean, deviation = mean[:, asked.large], deviation[:, asked.large]
        known = np.isfinite(seen)
        off = (seen - mean)[known]
        errors.append(np.abs(off))
        sold.append(seen[known])
        steps.append(np.nanmean(np.abs(np.diff(asked.truth[:origin][:, asked.large], axis=0))))
        inside.append(np.abs(off) <= QUANTILES[0.9] * deviation[known])
        for quantile, z in QUANTILES.items():
            miss = (seen - np.maximum(mean + z * deviation, 0))[known]
            losses.append(np.maximum(quantile * miss, (quantile - 1) * miss))
        for units, expected, spread in zip(seen[known], mean[known], deviation[known], strict=True):
            stock = order(expected, spread, stock=0, holding=HOLDING, shortage=SHORTAGE).quantity
            costs.append(HOLDING * max(stock - units, 0) + SHORTAGE * max(units - stock, 0))
    units = float(np.concatenate(sold).sum())
    total = float(np.concatenate(errors).sum())
    return {
        "wape": total / units,
        "mase": float(np.concatenate(errors).mean() / np.mean(steps)),
        "pinball": float(np.concatenate(losses).sum() / len(QUANTILES) / units),
        "coverage80": float(np.concatenate(inside).mean()),
        "cost": float(np.sum(costs)) / units,
    }


def measured(name: str, asked: Asked, epsilons: Sequence[float], runs: int) -> list[dict[str, Any]]:
    """Return a line for each forecast: without privacy, without it but bounded, and with it."""
    bounded, delta = unnoised(asked.rows), 1 / (10 * len(asked.rows))
    lines = []
    for kind in ("naive", "state_space"):
        lines.append({"forecast": f"{kind}, no privacy", "epsilon": "", **figures(kind, whole(asked), asked)})
        lines.append({"forecast": f"{kind}, bounded only", "epsilon": "", **figures(kind, bounded, asked)})
        for epsilon in epsilons:
            mu = gaussian_mu(epsilon, delta)
            drawn = np.random.default_rng(11)
            found = [figures(kind, noised(bounded, asked.rows, mu, drawn), asked) for _ in range(runs)]
            means = {key: float(np.mean([one[key] for one in found])) for key in found[0]}
            lines.append({"forecast": kind, "epsilon": epsilon, **means})
    return [{"source": name, **line} for line in lines]


def brought(kind: str, wheels: Path, scratch: Path) -> Path:
    """Collect, prepare and split a source as the stages do; a user may have 5,000 events, so that none is left out."""
    options = SHOP if kind == "shop" else {}
    chosen, raw = Source.model_validate({"kind": kind, "public": True, **options}), scratch / "raw"
    (scratch / "home").mkdir(parents=True)
    (scratch / "home" / "pseudonym.key").write_bytes(_KEY)
    with bar(f"collect {kind}") as progress:
        reader = open_source(chosen, wheels)
        collect(reader, chosen, Window(), "quarter", scratch / "home", raw, progress=progress)
    return _divided(raw, scratch)


def invoices(data: Path, scratch: Path) -> Path:
    """Bring real invoices: purchases of known customers, categories by the first two digits of the stock code."""
    table = pq.read_table(data / "transactions.parquet")
    kept = pc.and_(pc.and_(pc.is_valid(table["CustomerID"]), pc.greater(table["Quantity"], 0)), _is_stock(table))
    table = table.filter(kept)
    codes = table["StockCode"].cast(pa.string())
    events = {
        **empty(EVENTS, len(table)),
        "user": [digest.of_json(customer)[:32] for customer in table["CustomerID"].to_pylist()],
        "ts": table["InvoiceDate"].cast(pa.timestamp("us", "UTC")),
        "event": pa.repeat(pa.scalar("purchase"), len(table)),
        "item": codes,
        "quantity": table["Quantity"],
        "site": table["Country"].cast(pa.string()),
    }
    names = sorted(set(codes.to_pylist()))
    listed = {**empty(ITEMS, len(names)), "item": names, "title": names, "category": [name[:2] for name in names]}
    raw = scratch / "raw"
    raw.mkdir(parents=True)
    pq.write_table(pa.table(events).cast(EVENTS), raw / "events.parquet")
    pq.write_table(pa.table(listed, schema=ITEMS), raw / "items.parquet")
    return _divided(raw, scratch)


def _is_stock(table: pa.Table) -> Any:
    return pc.match_substring_regex(table["StockCode"].cast(pa.string()), "^[0-9]{5}")


def _divided(raw: Path, scratch: Path) -> Path:
    events = pq.read_table(raw / "events.parquet")
    counted = pc.fill_null(pc.less_equal(events["quantity"], MOST_PIECES), True)
    pq.write_table(events.filter(counted), raw / "events.parquet")
    limits = Prepare(max_events_per_user=5_000)
    prepare(raw / "events.parquet", raw / "items.parquet", limits, "quarter", scratch / "prepared")
    extend(raw, limits, "quarter", scratch / "prepared")
    split(scratch / "prepared", Split(), scratch / "split")
    return scratch / "split"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table of what was found; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", nargs="*", default=["shop", "ta-feng", "complete-journey"])
    parser.add_argument("--data", type=Path, help="a folder with real invoices")
    parser.add_argument("--wheels", type=Path, default=Path("var") / "wheels")
    parser.add_argument("--out", type=Path, help="a folder for demand.csv")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--epsilons", nargs="*", type=float, default=[1.0, 3.0])
    parser.add_argument("--params", type=json.loads, default={}, help="services.demand, as JSON")
    told = parser.parse_args(arguments)
    params, lines = DemandParams.model_validate(told.params), list[dict[str, Any]]()
    for name in [*told.sources, *(["invoices"] if told.data else [])]:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            parts = invoices(told.data, place) if name == "invoices" else brought(name, told.wheels, place)
            asked = asked_of(parts, params)
        print(f"{name}: {len(asked.rows):,} users, {len(asked.catalogue.calendar)} weeks,", end=" ")
        print(f"{int(asked.large.sum())} of {len(asked.large)} categories sell {LARGE} units a week")
        found = measured(name, asked, told.epsilons, told.runs)
        for line in found:
            print("  " + "  ".join(f"{line[c]:.4f}" if isinstance(line[c], float) else f"{line[c]}" for c in COLUMNS))
        lines += found
    if told.out:
        with (told.out / "demand.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(lines)
    print(json.dumps(_result(lines), ensure_ascii=False))


def _result(lines: list[dict[str, Any]]) -> dict[str, Any]:
    by = {(line["source"], line["forecast"], line["epsilon"]): line["wape"] for line in lines}
    first = lines[0]["source"]
    epsilon = min(line["epsilon"] for line in lines if line["epsilon"])
    ratios = {
        source: round(by[source, "state_space", epsilon] / by[source, "state_space, no privacy", ""], 3)
        for source in {line["source"]: None for line in lines}
    }
    return {
        "name": "demand",
        "ours": round(by[first, "state_space", epsilon], 4),
        "peer": round(by[first, "state_space, no privacy", ""], 4),
        "ratio": ratios[first],
        "unit": f"weekly WAPE of categories with {LARGE} units a week, ε = {epsilon:g} (peer: no privacy), {first}",
        "ratios": ratios,
        "cores": os.cpu_count(),
        "machine": machine(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


if __name__ == "__main__":
    main()
