"""A small shop in which half of the people like tea and half like coffee, and click on the ads of what they like."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.data.tables import ACTIVITY, ADS, ITEMS
from components.services.ads import SERVICE
from components.services.ads.bundle import Bundle
from components.services.ads.ceiling import true_rates
from components.services.ads.data import Rows
from components.services.ads.network import train
from components.services.ads.params import AdsParams, NetworkParams

START = datetime(2000, 11, 6, tzinfo=UTC)  # a Monday
KINDS = ("drinks/tea", "drinks/coffee")
NUMBER = 12


def public(folder: Path, ads: Sequence[dict[str, Any]] = ()) -> Path:
    """Write twelve items of two categories and an ad of each, or other `ads`; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    items = [{"item": f"i{n:02d}", "title": f"Item {n}", "category": KINDS[n % 2]} for n in range(NUMBER)]
    booked = ads or [
        {
            "ad": f"a{n:02d}",
            "item": f"i{n:02d}",
            "campaign": f"c{n % 3}",
            "placement": "home" if n < 8 else "detail",
            "starts": START if n == 0 else None,
            "ends": START + timedelta(days=7) if n == 0 else None,
            "bid": 10 + n,
        }
        for n in range(NUMBER)
    ]
    pq.write_table(pa.Table.from_pylist(items, schema=ITEMS), folder / "items.parquet")
    pq.write_table(pa.Table.from_pylist(list(booked), schema=ADS), folder / "ads.parquet")
    return folder


def event(user: object, second: float, kind: str, **more: Any) -> dict[str, Any]:
    """Return a row of activity."""
    at = START + timedelta(seconds=second)
    return {"user": str(user), "ts": at, "event": kind, "session": f"s{user}", "block": "2000Q4", **more}


def rows_of(folder: Path, events: Sequence[dict[str, Any]], **options: Any) -> Rows:
    """Return the service's rows of these events."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(events), schema=ACTIVITY), folder / "activity.parquet")
    return SERVICE.rows(folder, public(folder / "public"), SERVICE.params.model_validate(options))  # type: ignore[no-any-return]


def crowd(users: int = 60, seed: int = 3) -> list[dict[str, Any]]:
    """Return what `users` do: each buys four items of one kind, and is then shown six ads."""
    drawn, found = np.random.default_rng(seed), []
    for user in range(users):
        liked = np.flatnonzero(np.arange(NUMBER) % 2 == user % 2)
        found += [
            event(user, n, "purchase", item=f"i{item:02d}") for n, item in enumerate(drawn.permutation(liked)[:4])
        ]
        for n, ad in enumerate(drawn.permutation(NUMBER)[:6]):
            found.append(event(user, 100 + n, "impression", ad=f"a{ad:02d}", position=1 + n % 3))
            if ad % 2 == user % 2 and drawn.random() < 0.7:
                found.append(event(user, 100.5 + n, "ad_click", ad=f"a{ad:02d}", position=1 + n % 3))
    return found


def trained(folder: Path, users: int = 200) -> Bundle:
    """Return a small network of `users` without noise."""
    params = AdsParams(network=NetworkParams(ceiling_steps=6, expected_batch_size=100, width=3, hidden=5))
    rows = rows_of(folder, crowd(users))
    return train(rows, true_rates(rows, params), params.network, plan=None)[0]
