"""What holds for every file of the project, whatever is in it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from components.cli import _COMMANDS
from tests.architecture.source import ROOT, product, tracked

HEAVY = {
    *("torch", "pytorch_lightning", "opacus", "dp_accounting", "mlflow", "prefect", "great_expectations", "dvc"),
    *("pandas", "numpy", "scipy", "pyarrow", "duckdb", "ibis", "matplotlib", "fastapi", "sqlalchemy"),
}
PERSONAL = re.compile(r"(?<![\w.$}])/(?:work|home|root|Users|tmp/lab)/[\w-]")
"""A path that exists on one machine."""


def test_no_module_grows_past_300_lines() -> None:
    modules = [path for path in tracked() if path.suffix == ".py"]
    lengths = {str(path): len((ROOT / path).read_text().splitlines()) for path in modules}
    assert {path: lines for path, lines in lengths.items() if lines > 300} == {}


def test_no_module_is_a_drawer_for_what_has_no_room() -> None:
    drawers = {"utils", "util", "helpers", "helper", "misc", "common", "tools"}
    assert [str(path) for path in tracked() if drawers & {Path(part).stem for part in path.parts}] == []


def test_no_tracked_file_names_a_path_of_one_machine() -> None:
    named = {}
    for path in tracked():
        text = (ROOT / path).read_bytes().decode(errors="replace")
        if found := PERSONAL.search(text):
            named[str(path)] = text[max(0, found.start() - 20) : found.end() + 20]
    assert named == {}


def test_the_locks_name_no_index_of_their_own() -> None:
    for lock in ROOT.glob("requirements*.lock"):
        assert [line for line in lock.read_text().splitlines() if line.startswith("-") or "://" in line] == [], lock


def test_every_module_says_what_it_is_for() -> None:
    silent = [path for path in product() if (text := (ROOT / path).read_text()) and not text.startswith('"""')]
    assert silent == []


def test_nothing_that_a_run_makes_is_tracked() -> None:
    made = ("data", "models", "evidence", "metrics", "plots", "reports", "var")
    assert [str(path) for path in tracked() if path.parts[0] in made] == []


@pytest.mark.parametrize("words", [[], *[[name] for name in _COMMANDS]], ids=lambda words: " ".join(words) or "jali")
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    asked = (
        "import sys; from components.cli import jali\n"
        f"jali({[*words, '--help']!r}, standalone_mode=False)\n"
        "print('modules', *sorted({name.split('.')[0] for name in sys.modules}))"
    )
    answer = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(answer.stdout.splitlines()[-1].split())
    assert loaded & HEAVY == set()
