from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from components.core.service import Candidate, Service
from components.data.tables import ACTIVITY
from components.services.search import SERVICE

from .makings import Basket, pseudonym
from .service_suite import ServiceConformance

KINDS = ("dark chocolate", "green tea", "红茶")
BEGUN = datetime(2000, 11, 1, tzinfo=UTC)


def small_catalogue() -> pa.Table:
    numbers = range(24)
    return pa.table(
        {
            "item": [f"item-{number:02d}" for number in numbers],
            "title": [None if number % 5 == 0 else f"Item {number} {KINDS[number % 3]}" for number in numbers],
            "category": [f"{number % 2}/{KINDS[number % 3]}" for number in numbers],
            "brand": [f"brand {number % 4}" for number in numbers],
        }
    )


class TestSearch(ServiceConformance):
    """A basket is what a user searches for, by the kind of each item, and clicks on."""

    service: ClassVar[Service] = SERVICE
    items: ClassVar[pa.Table] = small_catalogue()
    options: ClassVar[dict[str, Any]] = {
        "dense": False,
        "phrases": 10,
        "reranker": {"steps": 3, "expected_batch_size": 8, "candidates": 10},
    }
    iterative: ClassVar[frozenset[str]] = frozenset({"reranker"})
    reads: ClassVar[str] = "activity"

    def table(self, baskets: Sequence[Basket]) -> pa.Table:
        names, categories = self.items["item"].to_pylist(), self.items["category"].to_pylist()
        events: list[dict[str, Any]] = []
        for user, basket in enumerate(baskets):
            for number, place in enumerate(basket):
                began = BEGUN + timedelta(minutes=number)
                common = {"user": pseudonym(user), "session": f"{user}", "block": "2000Q4"}
                query = categories[place].rpartition("/")[2]
                events += [
                    {**common, "ts": began, "event": "search", "query": query},
                    {**common, "ts": began + timedelta(seconds=9), "event": "click", "item": names[place]},
                ]
        return pa.Table.from_pylist(events, schema=ACTIVITY)

    def test_nothing_found_is_an_empty_answer(self, candidate: Candidate, tmp_path: Path) -> None:
        bundle, _, _ = self.trained(candidate, self.rows(tmp_path, self.table(self.baskets())), tmp_path)
        answer = SERVICE.predict(SERVICE.load(bundle), SERVICE.request(q="zzzzzzzz", history=["no such item"]))
        assert (answer.items, answer.unknown) == ([], 1)

    def test_english_chinese_and_mistyped_words_find_their_items(self, candidate: Candidate, tmp_path: Path) -> None:
        bundle, _, _ = self.trained(candidate, self.rows(tmp_path, self.table(self.baskets())), tmp_path)
        loaded = SERVICE.load(bundle)
        for query, kind, corrected in (
            ("dark chocolate", KINDS[0], False),
            ("dark chocolates", KINDS[0], False),
            ("dark chocolat3", KINDS[0], True),
            ("红茶", KINDS[2], False),
            ("chocolaet", KINDS[0], True),
        ):
            answer = SERVICE.predict(loaded, SERVICE.request(q=query, k=8))
            assert {item.category.rpartition("/")[2] for item in answer.items} == {kind}, query
            assert answer.corrected is corrected, query
