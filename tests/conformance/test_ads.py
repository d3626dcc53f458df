from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from components.core.service import Service
from components.data.tables import ACTIVITY, ADS
from components.services.ads import SERVICE

from .makings import Basket, pseudonym
from .service_suite import ServiceConformance
from .test_recommend import small_catalogue

START = datetime(2000, 10, 2, tzinfo=UTC)


class TestAds(ServiceConformance):
    """A basket is what a user was shown: an ad of each item, every third of which was clicked, and the item bought."""

    service: ClassVar[Service] = SERVICE
    items: ClassVar[pa.Table] = small_catalogue()
    options: ClassVar[dict[str, Any]] = {"network": {"steps": 3, "expected_batch_size": 8, "width": 2, "hidden": 3}}
    iterative: ClassVar[frozenset[str]] = frozenset({"network"})
    reads: ClassVar[str] = "activity"

    def table(self, baskets: Sequence[Basket]) -> pa.Table:
        names = self.items["item"].to_pylist()
        rows = []
        for user, basket in enumerate(baskets):
            for turn, place in enumerate(basket):
                about = {"user": pseudonym(user), "session": f"{user}-{turn}", "block": "2000Q4"}
                shown = {**about, "ad": f"ad of {names[place]}", "position": 1 + turn % 4}
                at = START + timedelta(minutes=turn)
                rows.append({**shown, "event": "impression", "ts": at})
                if place % 3 == 0:
                    rows.append({**shown, "event": "ad_click", "ts": at + timedelta(seconds=5)})
                    rows.append({**about, "event": "purchase", "item": names[place], "ts": at + timedelta(seconds=9)})
        return pa.Table.from_pylist(rows, schema=ACTIVITY)

    def items_path(self, folder: Path) -> Path:
        booked = [
            {"ad": f"ad of {item}", "item": item, "campaign": f"c{n % 3}", "placement": "home", "bid": 10 + n}
            for n, item in enumerate(self.items["item"].to_pylist())
        ]
        path = super().items_path(folder)
        pq.write_table(pa.Table.from_pylist(booked, schema=ADS), path / "ads.parquet")
        return path
