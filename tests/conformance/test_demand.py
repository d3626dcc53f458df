from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.core.errors import Unanswerable
from components.core.service import Candidate, Service
from components.data.activity import calendar
from components.data.blocks import name_of
from components.data.tables import ACTIVITY, ADS, SHARES
from components.services.demand import SERVICE

from .makings import Basket, pseudonym
from .service_suite import ServiceConformance
from .test_recommend import small_catalogue

START, WEEKS = datetime(2000, 9, 4, tzinfo=UTC), 10


class TestDemand(ServiceConformance):
    """A basket is what a user buys, each item in a week of its own: one to three pieces, at one of two sites."""

    service: ClassVar[Service] = SERVICE
    items: ClassVar[pa.Table] = small_catalogue()
    options: ClassVar[dict[str, Any]] = {"categories": 6, "sites": ["here", "there"]}
    reads: ClassVar[str] = "activity"

    def table(self, baskets: Sequence[Basket]) -> pa.Table:
        names = self.items["item"].to_pylist()
        rows = []
        for user, basket in enumerate(baskets):
            for turn, place in enumerate(basket):
                ts = START + timedelta(days=7 * ((place + turn) % WEEKS) + place % 7, hours=turn % 24)
                about = {"user": pseudonym(user), "item": names[place], "ts": ts, "block": name_of(ts, "quarter")}
                site = ("here", "there", "elsewhere", None)[(user + turn) % 4]
                rows.append({**about, "event": "purchase", "quantity": 1 + turn % 3, "site": site})
                rows.append({**about, "event": "click"})
        return pa.Table.from_pylist(rows, schema=ACTIVITY)

    def items_path(self, folder: Path) -> Path:
        path = super().items_path(folder)
        offer = {"ad": "o", "item": "item-07", "placement": "offer", "starts": START}
        pq.write_table(pa.Table.from_pylist([offer], schema=ADS), path / "ads.parquet")
        pq.write_table(calendar(START, START + timedelta(weeks=WEEKS), "quarter"), path / "calendar.parquet")
        pq.write_table(pa.table([["train"], [0.8]], schema=SHARES), path / "shares.parquet")
        return path

    def loaded(self, candidate: Candidate, folder: Path) -> Any:
        bundle, _, _ = self.trained(candidate, self.rows(folder, self.table(self.baskets())), folder)
        return SERVICE.load(bundle)

    def test_what_the_version_does_not_know_is_unanswerable(self, candidate: Candidate, tmp_path: Path) -> None:
        loaded = self.loaded(candidate, tmp_path)
        for field in ("category", "item", "site"):
            with pytest.raises(Unanswerable) as refused:
                SERVICE.predict(loaded, SERVICE.request.model_validate({field: "no such one"}))
            assert refused.value.field == field
            assert "no such one" not in str(refused.value)

    def test_categories_add_up_to_the_whole_and_days_to_their_week(self, candidate: Candidate, tmp_path: Path) -> None:
        loaded = self.loaded(candidate, tmp_path)

        def means(**asked: Any) -> list[float]:
            answer = SERVICE.predict(loaded, SERVICE.request.model_validate({"weeks": 3, **asked}))
            return [period.mean for period in answer.periods]

        whole = means()
        np.testing.assert_allclose(np.add(means(category="0"), means(category="1")), whole, rtol=1e-9)
        np.testing.assert_allclose(np.reshape(means(by="day"), (3, 7)).sum(axis=1), whole, rtol=1e-9)
        items = np.sum([means(item=item) for item in self.items["item"].to_pylist()], axis=0)
        np.testing.assert_allclose(items, whole, rtol=1e-9)
