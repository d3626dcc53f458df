"""What every source gives: a catalogue, and events in batches whose columns have canonical names but any type."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from components.core.params import Window
from components.data.mapping import Meaning


@dataclass(frozen=True)
class Batch:
    """Some rows of a source, raw user ids still inside; it is never written as it is.

    Attributes:
        rows: columns by canonical name, as the source has them.
        origin: the file or table, for messages and positions.
        positions: `(rows,)` the number of each row in its origin, 1 for the first line of a file.
        problems: `(rows,)` why a row could not even be read, null where it could; None where all could.
    """

    rows: pa.Table
    origin: str
    positions: np.ndarray
    problems: pa.Array | None = None


class Reader(Protocol):
    """One open source."""

    meaning: Meaning
    """How its values are to be understood."""

    def items(self) -> pa.Table:
        """Return the catalogue in the canonical schema."""
        ...

    def events(self, window: Window) -> Iterator[Batch]:
        """Yield all rows in the source's own order; a reader may leave out rows that lie outside `window`."""
        ...
