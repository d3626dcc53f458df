"""How long `jali --help` takes to answer, against a Python that does nothing: medians of 20 runs each, taken in turns.

python bench/cli_start.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from machine import machine  # beside this script

RUNS = 20
BAR = 0.3
"""Seconds that it may take."""


def main() -> None:
    command = [str(Path(sys.executable).with_name("jali")), "--help"]
    nothing = [sys.executable, "-c", "pass"]
    _seconds(command), _seconds(nothing)  # from here on the files are in the page cache, for both
    pairs = [(_seconds(command), _seconds(nothing)) for _ in range(RUNS)]
    ours, peer = (median(times) for times in zip(*pairs, strict=True))
    print(f"jali --help     {ours:.3f} s, at most {BAR:g} s wanted")
    print(f"python -c pass  {peer:.3f} s")
    print(machine())
    result = {"name": "cli_start", "ours": round(ours, 4), "peer": round(peer, 4), "ratio": round(ours / peer, 2)}
    print(json.dumps({**result, "unit": "s", "cores": os.cpu_count(), "bar": BAR, "runs": RUNS}))


def _seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
