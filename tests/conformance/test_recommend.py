from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from components.core.service import Candidate, Service
from components.services.recommend import SERVICE

from .service_suite import ServiceConformance


def small_catalogue() -> pa.Table:
    return pa.table(
        {
            "item": [f"item-{number:02d}" for number in range(24)],
            "title": [None if number % 5 == 0 else f"Item {number}" for number in range(24)],
            "category": [f"{number % 2}/{number % 6}" for number in range(24)],
        }
    )


class TestRecommend(ServiceConformance):
    service: ClassVar[Service] = SERVICE
    items: ClassVar[pa.Table] = small_catalogue()
    options: ClassVar[dict[str, Any]] = {
        "columns": 12,
        "enough_categories": 4,
        "autoencoder": {"hidden": 4, "steps": 3, "expected_batch_size": 8},
    }
    iterative: ClassVar[frozenset[str]] = frozenset({"autoencoder"})

    def test_an_empty_history_and_unknown_items_get_the_popular_ones(
        self, candidate: Candidate, tmp_path: Path
    ) -> None:
        bundle, _, _ = self.trained(candidate, self.rows(tmp_path, self.table(self.baskets())), tmp_path)
        loaded = SERVICE.load(bundle)
        popular = [loaded.catalogue.items[i] for i in (-loaded.popularity).argsort(kind="stable")[:5]]
        empty = SERVICE.predict(loaded, SERVICE.request(history=[], k=5))
        unknown = SERVICE.predict(loaded, SERVICE.request(history=["no such item", "nor this"], k=5))
        assert [item.item for item in empty.items] == popular
        assert unknown.items == empty.items
        assert (empty.unknown, unknown.unknown) == (0, 2)

    def test_what_is_in_the_history_is_not_recommended(self, candidate: Candidate, tmp_path: Path) -> None:
        bundle, _, _ = self.trained(candidate, self.rows(tmp_path, self.table(self.baskets())), tmp_path)
        history = [f"item-{number:02d}" for number in range(20)]
        answer = SERVICE.predict(SERVICE.load(bundle), SERVICE.request(history=history, k=100))
        assert sorted(item.item for item in answer.items) == ["item-20", "item-21", "item-22", "item-23"]
