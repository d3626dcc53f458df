"""What every source gives: a catalogue and ads, events and messages in batches with canonical names but any type."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from components.core.params import Window
from components.data.mapping import Clock, Meaning
from components.data.tables import ADS


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
    """How the values of events are to be understood."""
    message_meaning: Clock
    """How those of messages are."""

    def items(self) -> pa.Table:
        """Return the catalogue in the canonical schema."""
        ...

    def events(self, window: Window) -> Iterator[Batch]:
        """Yield all rows in the source's own order; a reader may leave out rows that lie outside `window`."""
        ...

    def ads(self) -> pa.Table:
        """Return what advertisers booked in the canonical schema, in the order of `ad`."""
        ...

    def messages(self, window: Window) -> Iterator[Batch]:
        """Yield all messages in the source's own order; as for events, some outside `window` may be left out."""
        ...


class NoMessages:
    """The part of a reader whose source has no messages."""

    message_meaning = Clock()

    def messages(self, window: Window) -> Iterator[Batch]:
        """Yield nothing."""
        return iter(())


class NoAds(NoMessages):
    """The part of a reader whose source has neither ads nor messages."""

    def ads(self) -> pa.Table:
        """Return no row."""
        return ADS.empty_table()
