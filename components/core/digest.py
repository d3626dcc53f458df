"""Digests: canonical JSON, files, folders and the source of modules.

A plain digest of private data is itself private (an attacker can confirm a guess), so what leaves the trusted zone is
the keyed one (HMAC-SHA-256, RFC 2104).
"""

from __future__ import annotations

import ast
import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from components.core.errors import ContractBroken


def canonical_json(value: Any) -> bytes:
    """Encode `value` in the one form that is hashed: sorted keys, no spaces, UTF-8, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def of_bytes(content: bytes) -> str:
    """Return the SHA-256 of `content` in hex."""
    return hashlib.sha256(content).hexdigest()


def of_json(value: Any) -> str:
    """Return the SHA-256 of the canonical JSON of `value` in hex."""
    return of_bytes(canonical_json(value))


def of_path(path: Path) -> str:
    """Return the SHA-256 of a file, or of a folder as the sorted list of its relative names and file digests.

    Raises:
        ContractBroken: there is neither; what is missing has no digest, least of all that of an empty folder.
    """
    if path.is_file():
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    if not path.is_dir():
        raise ContractBroken(
            f"There is nothing at {path} to take the digest of",
            limit="a file or a folder",
            next_step="Run the step that makes it, or restore it from its backup.",
        )
    return of_json({str(p.relative_to(path)): of_path(p) for p in sorted(path.rglob("*")) if p.is_file()})


def of_modules(names: Iterable[str]) -> str:
    """Return one SHA-256 over the source text of the modules `names`, so that a changed mechanism has a changed key.

    They are found, not imported: what it costs to import them is for who runs them.
    """
    found = {name: find_spec(name) for name in sorted(names)}
    missing = [name for name, spec in found.items() if spec is None or spec.origin is None]
    if missing:
        raise ModuleNotFoundError(f"no source for {', '.join(missing)}")
    return of_json({name: of_path(Path(str(spec.origin))) for name, spec in found.items() if spec})


def reached(names: Iterable[str], within: Sequence[str]) -> set[str]:
    """Return the modules `names` and every module of the packages `within` that they import, directly or not.

    The source is read, not run. An import inside a function counts; one for type checking does not. A package that is
    named only on the way to one of its modules is none of them.
    """
    found, waiting = set[str](), list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _imported(name, tuple(f"{package}." for package in within))
    return found


def keyed(key: bytes, digest: str) -> str:
    """Return the public form of a private `digest`: HMAC-SHA-256 under the shop's key, in hex."""
    return hmac.new(key, digest.encode(), hashlib.sha256).hexdigest()


def _imported(name: str, within: tuple[str, ...]) -> set[str]:
    spec = find_spec(name)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return set()
    named = set[str]()
    for node in _statements(ast.parse(Path(spec.origin).read_text())):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names if f"{node.module}.".startswith(within) else ():
                inner = _is_module(node.module, alias.name)
                named.add(f"{node.module}.{alias.name}" if inner else node.module)
    return {one for one in named if one.startswith(within)}


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING"):
            yield from _statements(child)


def _is_module(package: str, name: str) -> bool:
    spec = find_spec(package)  # not of the name itself: that would import what it lies in
    folders = (spec and spec.submodule_search_locations) or ()
    return any((Path(one) / f"{name}.py").is_file() or (Path(one) / name / "__init__.py").is_file() for one in folders)
