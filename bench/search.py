"""How well the shop's search finds, and how fast: against its floor, its ceiling, and what a shop would use instead.

python bench/search.py nearest --data PATH     # the approximate index, on a million perturbed encodings
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from machine import machine  # beside this script

from components.language.encoder import SIZE, Vectors, encoder
from components.services.search.nearest import Nearest, made

_ASKED = 100
_BASE = 4000  # real titles that are encoded
_DEPARTING = 0.3  # norm of the noise beside a step of up to half the way to another real encoding


def titles_of(data: Path) -> list[str]:
    """Return the distinct product titles of a shop's invoices."""
    table = pq.read_table(data / "transactions.parquet", columns=["Description"])
    return sorted({title.strip().lower() for title in table["Description"].unique().to_pylist() if title})


def perturbed(base: Vectors, count: int, drawn: np.random.Generator) -> npt.NDArray[np.float16]:
    """Return `count` vectors of norm 1, each between two real encodings and a little off."""
    parts = []
    for start in range(0, count, 50_000):
        size = min(50_000, count - start)
        one, other = (base[drawn.integers(len(base), size=size)] for _ in range(2))
        way = drawn.random((size, 1), dtype=np.float32) / 2
        off = drawn.standard_normal((size, SIZE), dtype=np.float32) * np.float32(_DEPARTING / np.sqrt(SIZE))
        vectors = one * (1 - way) + other * way + off
        parts.append((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16))
    return np.concatenate(parts)


def nearest(data: Path, count: int) -> dict[str, Any]:
    """Return recall@100 of the approximate index, and CPU seconds a query beside the exact search's."""
    drawn = np.random.default_rng(1)
    base = encoder().encode(titles_of(data)[:_BASE])
    vectors, queries = perturbed(base, count, drawn), perturbed(base, _ASKED, drawn).astype(np.float32)
    exact, slow = _timed(Nearest(vectors), queries)
    began, ran = time.monotonic(), time.process_time()
    index = made(vectors)
    figures: dict[str, Any] = {
        "vectors": count,
        "exact_ms": slow * 1e3,
        "build_s": time.monotonic() - began,
        "build_cpu_s": time.process_time() - ran,
        "index_megabytes": len(index) / 1e6,
    }
    for effort in (200, 300, 400, 800):
        found, fast = _timed(Nearest(vectors, index, effort=effort), queries)
        shared = [len(set(one) & set(other)) / 100 for one, other in zip(exact, found, strict=True)]
        figures[f"effort_{effort}"] = {"recall@100": float(np.mean(shared)), "ms": fast * 1e3, "faster": slow / fast}
    return figures | {"peak_gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}


def _timed(index: Nearest, queries: Vectors) -> tuple[list[npt.NDArray[np.int64]], float]:
    index.search(queries[0], 100)
    ran = time.process_time()
    found = [index.search(query, 100)[0] for query in queries]
    return found, (time.process_time() - ran) / len(queries)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what was found; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["nearest"])
    parser.add_argument("--data", type=Path, help="a folder with the transactions.parquet of real invoices")
    parser.add_argument("--vectors", type=int, default=1_000_000)
    given = parser.parse_args(arguments)
    print(json.dumps({"machine": machine(), given.part: nearest(given.data, given.vectors)}))


if __name__ == "__main__":
    main()
