"""Digests: canonical JSON, files, folders and the source of modules.

A plain digest of private data is itself private (an attacker can confirm a guess), so what leaves the trusted zone is
the keyed one (HMAC-SHA-256, RFC 2104).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any


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
    """Return the SHA-256 of a file, or of a folder as the sorted list of its relative names and file digests."""
    if path.is_file():
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
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


def keyed(key: bytes, digest: str) -> str:
    """Return the public form of a private `digest`: HMAC-SHA-256 under the shop's key, in hex."""
    return hmac.new(key, digest.encode(), hashlib.sha256).hexdigest()
