"""The project's own source as syntax trees: late imports inside functions count as much as those at the top."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


def tracked() -> list[Path]:
    """Every file of the checkout that git tracks and that is there, relative to its root."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file()]


def product() -> list[Path]:
    """Every Python module of `components/` and `flows/`, relative to the root."""
    return sorted(path.relative_to(ROOT) for room in ("components", "flows") for path in (ROOT / room).rglob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a module, by its path from the root."""
    return ast.parse((ROOT / path).read_text())


def imported(path: Path) -> Iterator[str]:
    """Every module or name that the module at `path` imports, wherever in it, but for type checking only."""
    for node in _run(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def reach(starts: Iterable[Path], stop: Callable[[Path], bool]) -> set[Path]:
    """Every module of the project that `starts` import, directly or through others, up to those where `stop` holds."""
    found, waiting = set[Path](), list(starts)
    while waiting:
        path = waiting.pop()
        if path not in found and not stop(path):
            found.add(path)
            waiting += [own for name in imported(path) if (own := _own(name))]
    return found


def _run(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING"):
            yield from _run(child)


def _own(name: str) -> Path | None:
    path = Path(*name.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((one for one in candidates if (ROOT / one).is_file() and (ROOT / one).stat().st_size), None)
