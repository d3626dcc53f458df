"""Where Ibis expressions run: DuckDB, within bounds of memory, spilling to disk beyond them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis.backends.duckdb import Backend

from components.core.progress import Progress, no_progress
from components.data.tables import TableWriter

THREADS = 2
MEMORY = "600MB"
"""Of DuckDB's buffers; the process takes some 200 MB more, with Python and Arrow."""


@contextmanager
def duckdb(scratch: Path) -> Iterator[Backend]:
    """Yield a DuckDB that spills into a folder beside `scratch`, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix=".spill.", dir=scratch) as spill:
        connection = ibis.duckdb.connect(threads=THREADS, memory_limit=MEMORY, temp_directory=spill)
        try:
            yield connection
        finally:
            connection.disconnect()


@contextmanager
def held(connection: Backend, expression: ir.Table, name: str) -> Iterator[ir.Table]:
    """Yield the rows of `expression` computed once, as a temporary table that is dropped afterwards."""
    try:
        yield connection.create_table(name, expression, temp=True)
    finally:
        # Ibis 12 on a recent sqlglot drops a table without saying which.
        connection.con.execute(f'DROP TABLE "{name}"')


def batches(connection: ibis.BaseBackend, expression: ir.Table, rows: int = 1 << 17) -> Iterator[pa.RecordBatch]:
    """Yield the rows of `expression` in batches, never all at once."""
    if isinstance(connection, Backend):
        # Ibis 12 asks for a method that DuckDB 2 no longer has, so the relation is read directly.
        yield from connection.con.sql(connection.compile(expression)).to_arrow_reader(rows)
    else:
        yield from expression.to_pyarrow_batches(chunk_size=rows)


def write(
    connection: Backend, expression: ir.Table, path: Path, schema: pa.Schema, progress: Progress = no_progress
) -> int:
    """Write the rows of a sorted `expression` to Parquet in batches; return how many there are."""
    with TableWriter(path, schema) as writer:
        for batch in batches(connection, expression):
            writer.write(pa.Table.from_batches([batch]))
            progress(writer.rows, None)
    return writer.rows
