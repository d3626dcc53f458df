"""Every bench ends in one JSON object that programs can read."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[3] / "bench"
SCRIPTS = sorted(path for path in BENCH.glob("*.py") if path.name != "machine.py")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_bench_says_what_it_measures_and_how_to_run_it(script: Path) -> None:
    assert f"python bench/{script.name}" in (ast.get_docstring(ast.parse(script.read_text())) or "")


@pytest.mark.slow
def test_the_bench_of_the_budget_ends_in_one_json_object_and_the_guide_tells_its_figures() -> None:
    done = subprocess.run([sys.executable, str(BENCH / "budget.py")], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert {"name", "ours", "peer", "ratio", "unit", "cores"} <= set(found)
    guide = (BENCH.parent / "docs" / "guide.md").read_text()
    assert f"| trainings that a block carries | {' | '.join(str(one) for one in found['carried'].values())} |" in guide
