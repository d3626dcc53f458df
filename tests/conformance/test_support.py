from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from components.core.service import Candidate, Service
from components.data.tables import PREPARED_MESSAGES
from components.services.support import SERVICE
from components.services.support.policies import read_policies

from .makings import Basket, pseudonym
from .service_suite import ServiceConformance
from .test_recommend import small_catalogue

BEGUN = datetime(2000, 11, 1, tzinfo=UTC)
ABOUT = {
    "order_status": "where is my order number {}?",
    "refund": "when do I get my money back for order {}?",
    "invoice": "please send me an invoice of order {}.",
    "out_of_scope": "what is {} times the capital of Mongolia?",
}


class TestSupport(ServiceConformance):
    """A basket is what a user writes: about one of four intents, by the number of each item."""

    service: ClassVar[Service] = SERVICE
    items: ClassVar[pa.Table] = small_catalogue()
    options: ClassVar[dict[str, Any]] = {"head": {"steps": 3, "expected_batch_size": 8}}
    iterative: ClassVar[frozenset[str]] = frozenset({"head"})
    reads: ClassVar[str] = "messages"
    known: ClassVar[dict[str, Any]] = {}

    def rows(self, folder: Path, table: pa.Table) -> Any:
        return replace(super().rows(folder, table), known=self.known)  # the few texts are encoded once for all tests

    def table(self, baskets: Sequence[Basket]) -> pa.Table:
        rows = []
        for user, basket in enumerate(baskets):
            for turn, place in enumerate(basket):
                intent = list(ABOUT)[place % len(ABOUT)]
                about = {"user": pseudonym(user), "ts": BEGUN + timedelta(minutes=turn), "block": "2000Q4"}
                rows.append(
                    {**about, "message": f"{user}-{turn}", "text": ABOUT[intent].format(place), "intent": intent}
                )
        return pa.Table.from_pylist(rows, schema=PREPARED_MESSAGES)

    def test_what_is_said_stands_in_a_policy_text_or_in_the_order(self, candidate: Candidate, tmp_path: Path) -> None:
        bundle, _, _ = self.trained(candidate, self.rows(tmp_path, self.table(self.baskets())), tmp_path)
        loaded, order = SERVICE.load(bundle), SERVICE.example["order"]
        texts = {(one.source, one.heading): one.text for one in read_policies(None)}
        for message in ABOUT.values():
            request = {"message": message.format("JS-3-1201"), "order": order}
            answer = SERVICE.predict(loaded, SERVICE.request.model_validate(request))
            assert bool(answer.said) is not bool(answer.hand_over)
            for said in answer.said:
                source = texts.get((said.source, said.section), order.get(said.section))
                assert said.text == source
