"""Quarantine: rows that were not accepted, kept with their reason, in the trusted zone. Nothing is thrown away."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.core.files import atomic_path
from components.data.tables import QUARANTINE, write_table


def divide(table: pa.Table, reasons: pa.Array, name: str) -> tuple[pa.Table, pa.Table]:
    """Return the rows of `table` without a reason, and the others as quarantine.

    Args:
        table: `(rows, columns)`.
        reasons: `(rows,)` strings, null where the row passed.
        name: the table's name, which becomes part of the row's position, such as `events:17`.
    """
    failed = pc.is_valid(reasons)
    places = pc.indices_nonzero(failed)
    rows = [json.dumps(row, default=_text, ensure_ascii=False) for row in table.take(places).to_pylist()]
    quarantined = pa.table(
        {
            "reason": pc.take(reasons, places),
            "row": pa.array(rows, pa.string()),
            "position": pa.array([f"{name}:{place}" for place in places.to_pylist()], pa.string()),
        },
        schema=QUARANTINE,
    )
    return table.filter(pc.invert(failed)), quarantined


def write(path: Path, *parts: pa.Table) -> Path:
    """Write the quarantine of one run to `path`, atomically: it replaces that of an earlier run."""
    with atomic_path(path) as part:
        write_table(part, QUARANTINE, parts)
    return path


def counts(*paths: Path) -> dict[str, int]:
    """Return the rows by reason in the quarantines at `paths`, most first. Exact, so for the trusted zone only."""
    total: Counter[str] = Counter()
    for path in paths:
        total.update(pq.read_table(path, columns=["reason"])["reason"].to_pylist())
    return dict(total.most_common())


def _text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
