"""The simulated shop as a source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from components.core.params import Window, parse
from components.data.mapping import Meaning
from components.data.shop import CURRENCY, ShopOptions, simulate, world
from components.data.sources.reader import Batch, NoAds


class ShopReader(NoAds):
    """Streams simulated events; nothing but a few thousand users is ever in memory."""

    meaning = Meaning(currency=CURRENCY, money="minor")

    def __init__(self, options: dict[str, Any]) -> None:
        self._options: ShopOptions = parse(ShopOptions, options, "The source of kind shop")
        self._world = world(self._options)

    def items(self) -> pa.Table:
        """Return the catalogue."""
        return self._world.catalogue.table

    def events(self, window: Window) -> Iterator[Batch]:
        """Yield all simulated events."""
        seen = 0
        for rows in simulate(self._options, self._world):
            yield Batch(rows, "shop", np.arange(seen + 1, seen + rows.num_rows + 1))
            seen += rows.num_rows
