"""`prepare` on simulated events against the same steps in plain pandas: rows per second, and the peak memory of ours.

Two cases: `shipped`, the weights of params.yaml (purchases count, views do not), which is the figure in the last line;
and `every_event`, in which views, clicks and carts count too and no row can be dropped early. Each contestant runs in
a process of its own, reads the same Parquet file and writes its result: once on a few rows, so that starting Python
and importing are not counted, and then on all of them. The results are compared row by row on one user in sixteen. On
a busy machine look at the CPU seconds.

    python bench/prepare.py [--events 10000000] [--data FOLDER]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.core.params import Prepare, Source, Window

THREADS = 2
BLOCK = "quarter"
CASES = {
    "shipped": Prepare(),
    "every_event": Prepare(weights={"view": 0.05, "click": 0.1, "cart": 0.3, "purchase": 1.0}),
}
EVENTS_PER_USER = 149.0


def main() -> None:
    arguments = _arguments()
    if arguments.run:
        _contest(arguments.run, CASES[arguments.case], arguments.data)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.data or Path(scratch)
        _simulate(folder, arguments.events)
        rows = pq.read_metadata(folder / "raw" / "events.parquet").num_rows
        every_event, shipped = (_case(case, rows, folder) for case in ("every_event", "shipped"))
    print(json.dumps({**shipped, "every_event": every_event}))


def _case(case: str, rows: int, folder: Path) -> dict[str, object]:
    ours, peer = _measure("ours", case, folder), _measure("pandas", case, folder)
    print(f"{case}: {rows:,} events; {_compare(folder):,} result rows compared and equal")
    for name, run in (("ours", ours), ("pandas", peer)):
        print(f"  {name:7}{run['seconds']:6.1f} s, CPU {run['cpu']:5.1f} s, peak {run['peak_rss_mb']:,.0f} MB")
    return {
        "name": "prepare",
        "ours": round(rows / ours["seconds"]),
        "peer": round(rows / peer["seconds"]),
        "ratio": round(peer["seconds"] / ours["seconds"], 2),
        "unit": "rows/s",
        "cores": THREADS,
        "events": rows,
        "cpu_ratio": round(peer["cpu"] / ours["cpu"], 2),
        "peak_rss_mb": ours["peak_rss_mb"],
        "peer_peak_rss_mb": peer["peak_rss_mb"],
    }


def ours(params: Prepare, folder: Path) -> None:
    from components.data.prepare import prepare

    prepare(folder / "raw" / "events.parquet", folder / "raw" / "items.parquet", params, BLOCK, folder / "ours")


def pandas(params: Prepare, folder: Path) -> None:
    """The same steps as a careful pandas user writes them: no loop over rows but for the hash, no needless copy."""
    import pandas as pd

    events = pd.read_parquet(folder / "raw" / "events.parquet")
    items = pd.read_parquet(folder / "raw" / "items.parquet", columns=["item", "category"])
    weights = {kind: weight for kind, weight in sorted(params.weights.items()) if weight > 0}
    kinds = [*weights, "return"]
    events = events[events["item"].notna() & events["event"].isin(kinds)].drop_duplicates()
    events["block"] = events["ts"].dt.year.astype(str) + "Q" + events["ts"].dt.quarter.astype(str)
    events["pieces"] = events["quantity"].fillna(1)
    events["bought"] = events["pieces"].where(events["event"] == "purchase", 0)
    events["returned"] = events["pieces"].where(events["event"] == "return", 0)
    for kind in weights:
        events[kind] = (events["event"] == kind).astype("int64")
    columns = ["bought", "returned", *weights]
    rows = events.groupby(["user", "item", "block"], sort=False)[columns].sum().reset_index()
    totals = rows.groupby(["user", "item"], sort=False)[["bought", "returned"]].transform("sum")
    share = ((totals["bought"] - totals["returned"]) / totals["bought"]).where(totals["returned"] > 0, 1.0)
    share = share.where((totals["returned"] == 0) | (totals["bought"] > totals["returned"]), 0.0)
    rows["weight"] = sum(
        rows[kind] * weight * (share if kind == "purchase" else 1.0) for kind, weight in weights.items()
    )
    rows = rows[(share > 0) & (rows["weight"] > 0)].merge(items, on="item")
    pairs = rows[["user", "item"]].drop_duplicates()
    count = pairs.groupby("user")["item"].transform("size")
    heavy = pairs[count > params.max_items_per_user].copy()
    heavy["lot"] = [
        hashlib.sha256(f"jali/bound/v1|{user}|{item}".encode()).hexdigest()
        for user, item in zip(heavy["user"], heavy["item"], strict=True)
    ]
    heavy["place"] = heavy.sort_values("lot").groupby("user").cumcount()
    dropped = heavy.loc[heavy["place"] >= params.max_items_per_user, ["user", "item"]].assign(dropped=True)
    rows = rows.merge(dropped, on=["user", "item"], how="left")
    rows = rows[rows["dropped"].isna()].sort_values(["user", "item", "block"])
    rows[["user", "item", "category", "weight", "block"]].to_parquet(folder / "pandas.parquet", index=False)


def _contest(name: str, params: Prepare, folder: Path) -> None:
    contestant = {"ours": ours, "pandas": pandas}[name]
    with tempfile.TemporaryDirectory() as scratch:
        contestant(params, _few_rows(folder, Path(scratch)))
    start, cpu = time.perf_counter(), time.process_time()
    contestant(params, folder)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak_rss_mb": peak}))


def _measure(name: str, case: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--run", name, "--case", case, "--data", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _simulate(folder: Path, events: int) -> None:
    if (folder / "raw").exists():
        return
    from components.core.progress import bar
    from components.data.collect import collect
    from components.data.sources import open_source

    users = max(round(events / EVENTS_PER_USER), 10)
    source = Source(kind="shop", public=True, users=users, items=5_000)
    with bar("simulate events") as progress:
        reader = open_source(source, folder / "wheels")
        collect(reader, source, Window(), BLOCK, folder / "home", folder / "raw", progress=progress)


def _few_rows(folder: Path, out: Path) -> Path:
    (out / "raw").mkdir()
    events = next(pq.ParquetFile(folder / "raw" / "events.parquet").iter_batches(batch_size=10_000))
    pq.write_table(pa.Table.from_batches([events]), out / "raw" / "events.parquet")
    shutil.copy(folder / "raw" / "items.parquet", out / "raw")
    return out


def _compare(folder: Path) -> int:
    def sample(path: Path) -> list[tuple[object, ...]]:
        table = pq.read_table(path, filters=[("user", ">=", "5"), ("user", "<", "6")])
        rows = zip(*(table[name].to_pylist() for name in ("user", "item", "category", "block", "weight")), strict=True)
        return sorted((*row[:4], round(row[4], 9)) for row in rows)

    ours, peer = sample(folder / "ours" / "interactions.parquet"), sample(folder / "pandas.parquet")
    if ours != peer:
        raise SystemExit("The two results differ.")
    return len(ours)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--data", type=Path, help="a folder outside the checkout to keep the simulated events in")
    parser.add_argument("--run", choices=["ours", "pandas"], help=argparse.SUPPRESS)
    parser.add_argument("--case", choices=list(CASES), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
