"""Pseudonyms: a user's id leaves the source only as HMAC-SHA-256 under the shop's key, cut to 128 bits.

The key lies outside the checkout. Whoever has it can link pseudonyms to ids; destroying it makes them unlinkable.
"""

from __future__ import annotations

import hmac
import os
import secrets
import tempfile
from pathlib import Path

import pyarrow as pa

from components.core.errors import ContractBroken

_KEY_BYTES = 32
_USER = b"jali/user/v1\0"
_DIGEST = b"jali/digest/v1\0"
_NAME = b"jali/key/v1\0"


def load_key(home: Path) -> bytes:
    """Return the shop's key in `home/pseudonym.key`, made on first use.

    It is made once even if several processes ask at the same time, and only its owner can read it.

    Raises:
        ContractBroken: the file is not a key.
    """
    path = home / "pseudonym.key"
    if not path.exists():
        _make_key(path)
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise ContractBroken(
            f"{path} is not a key",
            value=f"{len(key)} bytes",
            limit=f"{_KEY_BYTES} bytes",
            next_step="Restore it from a backup: with another key no user keeps their pseudonym.",
        )
    return key


def digest_key(home: Path) -> bytes:
    """Return the key under which digests of private data are published; derived from the shop's key."""
    return hmac.digest(load_key(home), _DIGEST, "sha256")


def fingerprint(home: Path) -> str | None:
    """Return a public name of the shop's key, which tells nothing else about it; None where there is no key yet."""
    return hmac.digest(load_key(home), _NAME, "sha256")[:16].hex() if (home / "pseudonym.key").exists() else None


def pseudonym(key: bytes, user: str) -> str:
    """Return the pseudonym of `user`: 32 hex characters, the same for ever under the same key."""
    return hmac.digest(key, _USER + user.encode(), "sha256")[:16].hex()


def pseudonyms(key: bytes, users: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Return the pseudonym of each user in a column of strings; a null stays null."""
    if isinstance(users, pa.ChunkedArray):
        users = users.combine_chunks()
    encoded = users.dictionary_encode()
    known = pa.array([pseudonym(key, user) for user in encoded.dictionary.to_pylist()], pa.string())
    return known.take(encoded.indices)


def _make_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(prefix=".pseudonym.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(scratch, path)  # unlike a rename, it fails where another process was first
        except FileExistsError:
            return
    finally:
        Path(scratch).unlink()
