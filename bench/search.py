"""How well the shop's search finds, and how fast: against its floor, its ceiling, and what a shop would use instead.

    python bench/search.py shop [--users 6000] [--seeds 101,102] [--epsilon 3]   # a personal order, on simulated shops
    python bench/search.py known --data PATH      # known items of a real catalogue, mistyped or not
    python bench/search.py nearest --data PATH    # the approximate index, on a million perturbed encodings
    python bench/search.py tune [--seeds 1,2,3]   # the floor's weights, on simulated shops of their own

Figures are un-noised, which only a public source may show. Private trainings are those of a whole `jali train` at ε.
PATH is a folder with the transactions.parquet of a shop's invoices. The last line is JSON.
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
import pyarrow as pa
import pyarrow.parquet as pq
from machine import machine  # beside this script
from relevance import METRIC_NAMES, judged, on_shops, tuned  # beside this script

from components.language.encoder import SIZE, Vectors, encoder
from components.language.variations import generators, with_typos
from components.services.search.data import Catalogue, Rows, Search
from components.services.search.fused import bundle_of
from components.services.search.nearest import Nearest, made
from components.services.search.params import SearchParams

_ASKED = 100
_BASE = 4000  # real titles that are encoded
_DEPARTING = 0.3  # norm of the noise beside a step of up to half the way to another real encoding
_KNOWN = 1000  # titles that are searched for
_TYPOS = 0.08  # chance of an error at a letter


def titles_of(data: Path) -> list[str]:
    """Return the distinct product titles of a shop's invoices."""
    table = pq.read_table(data / "transactions.parquet", columns=["Description"])
    return sorted({title.strip().lower() for title in table["Description"].unique().to_pylist() if title})


def known(data: Path) -> dict[str, Any]:
    """Return how an item is found of which two or three words are remembered, as they are and mistyped."""
    titles = [title for title in titles_of(data) if any(letter.isalpha() for letter in title)]
    drawn = np.random.default_rng(2)
    table = pa.table({"item": [f"{n:06d}" for n in range(len(titles))], "title": titles})
    table = table.append_column("category", pa.nulls(len(titles), pa.string()))
    catalogue = Catalogue(table.append_column("brand", pa.nulls(len(titles), pa.string())))
    sought = drawn.choice(len(titles), min(_KNOWN, len(titles)), replace=False)
    asked = [_remembered(titles[place], drawn) for place in sought]
    figures: dict[str, Any] = {"titles": len(titles), "queries": len(asked)}
    wrong = [with_typos(query, _TYPOS, one) for query, one in zip(asked, generators(3, len(asked)), strict=True)]
    bundles = {"words": SearchParams(dense=False), "words and meaning": SearchParams()}
    for kind, queries in (("as remembered", asked), ("mistyped", wrong)):
        searches = zip(queries, sought, strict=True)
        rows = Rows(tuple((Search(q, (int(at),), (1,), ()),) for q, at in searches), ((),) * len(asked), catalogue)
        found = judged(rows, catalogue, {name: bundle_of(catalogue, params) for name, params in bundles.items()})
        figures[kind] = {
            name: dict(zip(METRIC_NAMES, lines.mean(axis=0).round(4).tolist(), strict=True)) for name, lines in found
        }
        for name, values in figures[kind].items():
            print(f"{kind:>14} {name:>20}: {values}", flush=True)
    return figures


def _remembered(title: str, drawn: np.random.Generator) -> str:
    words = title.split()
    kept = sorted(drawn.choice(len(words), min(len(words), int(drawn.integers(2, 4))), replace=False))
    return " ".join(words[place] for place in kept)


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
    return figures


def _timed(index: Nearest, queries: Vectors) -> tuple[list[npt.NDArray[np.int64]], float]:
    index.search(queries[0], 100)
    ran = time.process_time()
    found = [index.search(query, 100)[0] for query in queries]
    return found, (time.process_time() - ran) / len(queries)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what was found; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["shop", "known", "nearest", "tune"])
    parser.add_argument("--data", type=Path, help="a folder with the transactions.parquet of real invoices")
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=6000)
    parser.add_argument("--seeds", default="")
    parser.add_argument("--epsilon", type=float, default=3.0)
    given = parser.parse_args(arguments)
    if given.part in ("known", "nearest") and given.data is None:
        parser.error(f"{given.part} needs --data")
    if given.part == "shop":
        figures = on_shops(given.users, _numbers(given.seeds or "101,102"), given.epsilon)
    elif given.part == "tune":
        figures = tuned(given.users, _numbers(given.seeds or "1,2,3"))
    else:
        figures = known(given.data) if given.part == "known" else nearest(given.data, given.vectors)
    figures |= {"peak_gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}
    print(json.dumps({"name": f"search {given.part}", "machine": machine(), **figures}))


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


if __name__ == "__main__":
    main()
