"""How good the demand forecast is by site and by day, on real sets that have both, at ε = 1 beside no privacy.

python bench/demand_levels.py [--sources complete-journey] [--data PATH] [--sites 5] [--runs 5]

One release as in bench/demand.py; the last four weeks are forecast from what was before them. Sites are the largest of
the set, all others being one more: a shop names its own, and only a published set may be asked for its largest.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from demand import brought, invoices, noised  # beside this script
from machine import machine

from components.privacy.accounting import gaussian_mu
from components.services.demand.data import Catalogue, Floats, read_catalogue
from components.services.demand.params import DemandParams
from components.services.demand.release import Released, unnoised
from components.services.demand.rows import Rows, read_bought, read_rows
from components.services.demand.statespace import state_space

DAYS = 7


@dataclass(frozen=True)
class Truth:
    """What was bought, without a bound: by week and category, by week and site, and by week and day from Monday."""

    weeks: Floats
    sites: Floats
    days: Floats


def truth_of(table: Path, catalogue: Catalogue) -> Truth:
    """Return all units of the users who are trained on."""
    bought = read_bought(table, catalogue, limit=np.inf)
    weeks = len(catalogue.calendar)

    def counted(place: Floats, size: int) -> Floats:
        found = np.bincount(bought.week * size + place, weights=bought.whole, minlength=weeks * size)
        return np.asarray(found.reshape(weeks, size), dtype=np.float64)

    return Truth(
        counted(catalogue.of_item[bought.item], len(catalogue.categories)),
        counted(bought.site, len(catalogue.sites)),
        counted(bought.weekday, DAYS),
    )


def errors(released: Released, rows: Rows, catalogue: Catalogue, truth: Truth) -> dict[str, float]:
    """Return the WAPE of the last weeks: of all units, by site and by day."""
    bundle = state_space(released, catalogue, len(rows))
    scored, categories = catalogue.calendar.scored, len(catalogue.categories)
    units = bundle.past.mean[:, :categories] @ bundle.lift.factor
    at = bundle.past.mean[:, categories:]
    by_site = units[:, None] * at / np.maximum(at.sum(axis=1, keepdims=True), 1e-9)
    there = truth.sites[:-scored].sum(axis=0) > 0
    sold = truth.weeks[-scored:].sum(axis=1)
    return {
        "week": wape(units, sold),
        "site": wape(by_site[:, there], truth.sites[-scored:][:, there]),
        "day": wape(units[:, None] * bundle.weekday, truth.days[-scored:]),
    }


def wape(found: Floats, seen: Floats) -> float:
    """Return the sum of absolute errors ÷ the sum of units."""
    return float(np.abs(found - seen).sum() / max(seen.sum(), 1e-9))


def measured(folder: Path, sites: int, runs: int) -> dict[str, dict[str, float]]:
    """Return the errors without privacy, and their means over `runs` releases at ε = 1."""
    table = folder / "train" / "activity.parquet"
    known = pc.value_counts(pc.drop_null(pq.read_table(table, columns=["site"])["site"])).to_pylist()
    largest = sorted(known, key=lambda one: (-one["counts"], one["values"]))[:sites]
    params = DemandParams(sites=tuple(one["values"] for one in largest))
    catalogue = read_catalogue(folder / "public", params)
    rows, truth = read_rows(table, catalogue, params), truth_of(table, catalogue)
    bounded = unnoised(rows)
    clear = {"weeks": truth.weeks, "sites": truth.sites, "weekdays": truth.days.sum(axis=0)}
    clear |= {"left": np.zeros_like(bounded.parts["left"]), "beyond": np.zeros(1)}
    mu, drawn = gaussian_mu(1.0, 1 / (10 * len(rows))), np.random.default_rng(11)
    private = [errors(noised(bounded, rows, mu, drawn), rows, catalogue, truth) for _ in range(runs)]
    return {
        "no privacy": errors(Released({**bounded.parts, **clear}, bounded.sigma), rows, catalogue, truth),
        "ε = 1": {level: float(np.mean([one[level] for one in private])) for level in private[0]},
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what was found; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", nargs="*", default=["complete-journey"])
    parser.add_argument("--data", type=Path, help="a folder with real invoices")
    parser.add_argument("--wheels", type=Path, default=Path("var") / "wheels")
    parser.add_argument("--sites", type=int, default=5)
    parser.add_argument("--runs", type=int, default=5)
    told, found = parser.parse_args(arguments), dict[str, dict[str, dict[str, float]]]()
    for name in [*told.sources, *(["invoices"] if told.data else [])]:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            parts = invoices(told.data, place) if name == "invoices" else brought(name, told.wheels, place)
            found[name] = measured(parts, told.sites, told.runs)
        for kind, levels in found[name].items():
            print(f"{name:>17} {kind:>11}: " + ", ".join(f"by {key} {value:.3f}" for key, value in levels.items()))
    first = next(iter(found.values()))
    ours, peer = first["ε = 1"]["site"], first["no privacy"]["site"]
    result = {"name": "demand by site and day", "ours": round(ours, 4), "peer": round(peer, 4)}
    result |= {"ratio": round(ours / peer, 3), "unit": "WAPE by week and site, ε = 1 (peer: no privacy)"}
    print(json.dumps({**result, "levels": found, "cores": os.cpu_count(), "machine": machine()}, ensure_ascii=False))


if __name__ == "__main__":
    main()
