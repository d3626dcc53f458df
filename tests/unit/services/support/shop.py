"""A bundle that knows the intents by their descriptions alone, and rows by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.services.support import head, prior
from components.services.support.bundle import Bundle
from components.services.support.data import Rows, made, read_catalogue
from components.services.support.params import HeadParams, SupportParams

PARAMS = SupportParams(head=HeadParams(trust=40.0))
TITLES = {"i1": "Pebble Mild Rye Bread, Large", "i2": "Pebble Dark Rye Bread", "i3": "Harbour Green Tea", "i4": None}


def bundle_of(folder: Path, params: SupportParams = PARAMS) -> Bundle:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"item": list(TITLES), "title": list(TITLES.values())}), folder / "items.parquet")
    catalogue = read_catalogue(folder / "items.parquet", params)
    floor = prior.bundle_of(catalogue, params, np.ones(len(params.names)), 0.0)
    config = floor.config.model_copy(update={"kind": "head"})
    arrays = {**floor.arrays, "weight": head.start(floor, params.head)}
    return Bundle(config, arrays, floor.items, floor.passages)


def rows_of(messages: Sequence[tuple[int, str, str]], params: SupportParams = PARAMS) -> Rows:
    """Return rows of (user, text, intent), users in order."""
    users, texts, intents = zip(*messages, strict=True)
    return made(max(users) + 1, users, texts, [params.names.index(intent) for intent in intents], params)
