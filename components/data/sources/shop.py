"""The simulated shop as a source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from components.core.params import Window, parse
from components.data.mapping import Clock, Meaning
from components.data.shop import CURRENCY, ShopOptions, adverts, happen, world
from components.data.sources.reader import Batch


class ShopReader:
    """Streams simulated events; nothing but a few thousand users, and all messages, is ever in memory."""

    meaning = Meaning(currency=CURRENCY, money="minor")
    message_meaning = Clock()

    def __init__(self, options: dict[str, Any]) -> None:
        self._options: ShopOptions = parse(ShopOptions, options, "The source of kind shop")
        self._world = world(self._options)
        self._messages: list[pa.Table] | None = None

    def items(self) -> pa.Table:
        """Return the catalogue."""
        return self._world.catalogue.table

    def ads(self) -> pa.Table:
        """Return the ads, and the offers of each month."""
        return adverts(self._options, self._world).table

    def events(self, window: Window) -> Iterator[Batch]:
        """Yield all simulated events, and keep the messages that go with them."""
        messages: list[pa.Table] = []

        def keeping() -> Iterator[pa.Table]:
            for happened in happen(self._options, self._world):
                messages.append(happened.messages)
                yield happened.events

        yield from _batches(keeping(), "shop")
        self._messages = messages

    def messages(self, window: Window) -> Iterator[Batch]:
        """Yield all simulated messages: those that were kept, if events were read to their end."""
        if self._messages is None:
            self._messages = [happened.messages for happened in happen(self._options, self._world)]
        yield from _batches(iter(self._messages), "shop messages")


def _batches(tables: Iterator[pa.Table], origin: str) -> Iterator[Batch]:
    seen = 0
    for rows in tables:
        yield Batch(rows, origin, np.arange(seen + 1, seen + rows.num_rows + 1))
        seen += rows.num_rows
