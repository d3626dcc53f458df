"""How long `POST /v1/recommend` takes, against calling the champion in process: 95th percentiles of one client.

Needs a serving process with a champion (`make demo` leaves one). Histories are drawn at random from the public
catalogue.

    python bench/serving.py [--requests 500]
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from statistics import median, quantiles

import httpx
import numpy as np
from machine import machine  # beside this script

from components.core import service, settings
from components.registry.champions import ApprovedChampions

SERVICE, HISTORY, K = "recommend", 20, 10


def main() -> None:
    here, requests = settings.load(), _arguments().requests
    champion = ApprovedChampions(here.home, here.identities).current(SERVICE)
    if champion is None:
        raise SystemExit("There is no champion to ask: run `make demo` first.")
    found = service.find(SERVICE)
    loaded = found.load(champion.bundle)
    items, rng = loaded.catalogue.items, np.random.default_rng(0)
    asked = [
        {"history": [items[place] for place in rng.choice(len(items), HISTORY, replace=False)], "k": K}
        for _ in range(requests)
    ]
    page = f"http://127.0.0.1:{here.serving_port}/v1/{SERVICE}"
    with httpx.Client() as client:
        ours = _times(lambda body: client.post(page, json=body).raise_for_status(), asked)
    peer = _times(lambda body: found.predict(loaded, found.request(**body)), asked)
    for name, times in (("HTTP", ours), ("in process", peer)):
        print(f"{name:10}  median {1000 * median(times):5.1f} ms, 95% within {1000 * _p95(times):5.1f} ms")
    print(f"{len(items):,} items, histories of {HISTORY}; {machine()}")
    result = {"name": "serving", "ours": round(1000 * _p95(ours), 2), "peer": round(1000 * _p95(peer), 2)}
    result |= {"ratio": round(_p95(ours) / _p95(peer), 2), "unit": "ms at p95", "cores": os.cpu_count()}
    print(json.dumps({**result, "median": round(1000 * median(ours), 2), "requests": requests}))


def _times(answer: Callable[[dict[str, object]], object], asked: list[dict[str, object]]) -> list[float]:
    times = []
    for body in asked:
        start = time.perf_counter()
        answer(body)
        times.append(time.perf_counter() - start)
    return times[len(times) // 10 :]  # the first ones warm up


def _p95(times: list[float]) -> float:
    return quantiles(times, n=20)[-1]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=500)
    return parser.parse_args()


if __name__ == "__main__":
    main()
