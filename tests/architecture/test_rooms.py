"""Who may import, read and open what. import-linter holds the layers; the rest is asked of the syntax trees."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.source import ROOT, imported, product, tree

VENDORS = {
    "prefect": ["flows"],
    "great_expectations": ["components/quality"],
    "opacus": ["components/privacy"],
    "dp_accounting": ["components/privacy"],
    "pytorch_lightning": ["components/training", "components/services/*/model.py"],
    "mlflow": ["components/registry"],
    "fastapi": ["components/serving"],
    "starlette": ["components/serving"],
    "uvicorn": ["components/serving"],
    "lightning": [],
    "onnx": [],
    "onnxruntime": [],
    "dvc": [],
    "optuna": ["components/training"],
}
"""Each vendor and its rooms. DVC is called as a command, from `components/data/versioning.py` alone; ONNX is
what `bench/smaller.py` compares with."""

ENVIRONMENT = {
    "components/core/settings.py": "reads it for all",
    "components/core/processes.py": "passes it on to a background process",
    "components/data/versioning.py": "passes it on to DVC, whose stages must find this Python first",
    "components/commands/machine.py": "passes it on to a Prefect command",
    "components/commands/demo.py": "sets how loud Prefect is",
    "components/commands/serve.py": "sets the threads of the serving process",
}


def test_the_contracts_of_import_linter_hold() -> None:
    checked = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_vendor_stays_in_its_rooms_late_imports_included(vendor: str) -> None:
    using = [path for path in product() if any(name.split(".")[0] == vendor for name in imported(path))]
    assert [str(path) for path in using if not _in(path, VENDORS[vendor])] == []
    assert bool(using) == bool(VENDORS[vendor]), "a vendor that nobody uses needs no room"


def test_dvc_is_called_from_one_module() -> None:
    calling = [path for path in product() if any("dvc" in words for words in _commands(path))]
    assert calling == [Path("components/data/versioning.py")]


def test_a_private_value_is_loaded_only_where_a_release_opens_it() -> None:
    reading = {path for path in product() for node in ast.walk(tree(path)) if _reads(node, "_load")}
    assert reading == {Path("components/core/private.py"), Path("components/privacy/opened.py")}


def test_the_environment_is_read_in_settings_alone() -> None:
    touching = {str(path) for path in product() for node in ast.walk(tree(path)) if _touches_environment(node)}
    assert touching == set(ENVIRONMENT), "read it in components/core/settings.py"
    getting = {str(path) for path in product() for node in ast.walk(tree(path)) if _gets_variable(node)}
    assert getting == {"components/core/settings.py", "components/data/versioning.py"}  # the latter: PATH, passed on


def test_core_imports_no_framework() -> None:
    allowed = {"components", "numpy", "platformdirs", "psutil", "pydantic", "rich", "yaml", *sys.stdlib_module_names}
    core = [path for path in product() if _in(path, ["components/core"])]
    assert {name.split(".")[0] for path in core for name in imported(path)} - allowed == set()


def _in(path: Path, rooms: list[str]) -> bool:
    return any(path.match(room) or Path(room) in path.parents for room in rooms)


def _commands(path: Path) -> Iterator[set[object]]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.List | ast.Tuple):
            yield {word.value for word in node.elts if isinstance(word, ast.Constant)}


def _reads(node: ast.AST, attribute: str) -> bool:
    if isinstance(node, ast.Constant):
        return node.value == attribute  # as in getattr
    return isinstance(node, ast.Attribute) and node.attr == attribute


def _touches_environment(node: ast.AST) -> bool:
    names = ("environ", "getenv", "putenv")
    if isinstance(node, ast.ImportFrom):
        return node.module == "os" and any(alias.name in names for alias in node.names)
    return isinstance(node, ast.Attribute) and node.attr in names


def _gets_variable(node: ast.AST) -> bool:
    """Tell a read of one variable, as `os.environ["X"]`, `os.environ.get("X")` or `os.getenv("X")`."""
    if isinstance(node, ast.Subscript):
        return _touches_environment(node.value) and isinstance(node.ctx, ast.Load)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr == "getenv" or (node.func.attr == "get" and _touches_environment(node.func.value))
    return False
