"""Who people are: Ed25519 keys (RFC 8032), private halves at home, public halves in a file that is reviewed like code.

Removing a name from the reviewed file withdraws everything that it signed, what is being served included.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from components.core import digest
from components.core.errors import ApprovalInvalid, Misconfigured
from components.core.evidence import Record
from components.core.files import write_bytes

NAME = re.compile(r"[a-z][a-z0-9._-]{0,62}")
_DOMAIN = b"jali record signature v1\n"  # a signature over a record is never one over anything else

R = TypeVar("R", bound=Record)
Identities = Mapping[str, bytes]
"""The raw 32-byte public key by name."""


def new_key(home: Path, name: str) -> str:
    """Make the key pair of `name`, keep the private half in `home/keys` and return the public half in base64.

    Raises:
        Misconfigured: the name is malformed, or has a key already, which is never overwritten.
    """
    path = _key_path(home, name)
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise Misconfigured(
            f"{name} has a key already",
            value=path,
            next_step="Use it, or choose another name; a key is never overwritten.",
        ) from error
    with os.fdopen(handle, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    return base64_of(private.public_key().public_bytes_raw())


def names(home: Path) -> list[str]:
    """Return the names whose private keys lie on this machine."""
    return sorted(path.stem for path in (home / "keys").glob("*.key"))


def public_key(home: Path, name: str) -> str:
    """Return the public half, in base64, of the key of `name` on this machine.

    Raises:
        Misconfigured: there is no such key here.
    """
    return base64_of(_private_key(home, name).public_key().public_bytes_raw())


def load(path: Path) -> Identities:
    """Read the reviewed file: a mapping from names to public keys in base64. A missing file knows nobody.

    Raises:
        Misconfigured: it is not such a mapping, names somebody twice, or a key is not 32 bytes.
    """
    if not path.exists():
        return {}
    try:
        tree = yaml.load(path.read_text(), Loader=_UniqueKeys)  # a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} is not a list of identities: {error}", next_step="Mend that line.") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise Misconfigured(
            f"{path} is not a mapping from names to public keys", next_step="Write one name: key a line."
        )
    return {_valid_name(name): _raw(name, text, path) for name, text in tree.items()}


def add(path: Path, name: str, public: str) -> None:
    """Append `name` with its public key (base64) to the reviewed file, keeping its comments; a second time is nothing.

    Raises:
        Misconfigured: the file gives the name another key, or cannot be read.
    """
    known = load(path)
    raw = _raw(_valid_name(name), public, path)
    if known.get(name) == raw:
        return
    if name in known:
        raise Misconfigured(
            f"{path} gives {name} another public key",
            value=public,
            limit=base64_of(known[name]),
            next_step="Choose another name, or have the old key removed in a review first.",
        )
    text = (
        path.read_text()
        if path.exists()
        else "# Who may ask for, approve and roll back: one name: public key a line.\n"
    )
    write_bytes(path, (text + ("" if text.endswith("\n") else "\n") + f"{name}: {public}\n").encode())


def sign(record: R, home: Path, name: str) -> R:
    """Return `record` with its field `signature` made by the key of `name` on this machine.

    Raises:
        Misconfigured: there is no such key here.
    """
    signature = _private_key(home, name).sign(_message(record))
    return record.model_copy(update={"signature": base64_of(signature)})


def verify(record: Record, name: str, identities: Identities) -> None:
    """Check that `name` signed exactly this record.

    Raises:
        ApprovalInvalid: the reviewed file does not know `name`, or the signature is not theirs over this content.
    """
    if name not in identities:
        raise ApprovalInvalid(
            f"The {record.kind} is signed by somebody whom the reviewed file does not know",
            value=name,
            limit=", ".join(sorted(identities)) or "nobody is listed",
            next_step="Have the line that `jali keys new NAME` prints reviewed into identities.yaml.",
        )
    try:
        signature = base64.b64decode(str(record.body()["signature"]), validate=True)
        Ed25519PublicKey.from_public_bytes(identities[name]).verify(signature, _message(record))
    except (InvalidSignature, ValueError) as error:
        raise ApprovalInvalid(
            f"The {record.kind} does not carry {name}'s signature over its content",
            value=record.digest[:12],
            next_step=f"Have {name} sign it again.",
        ) from error


def _message(record: Record) -> bytes:
    return _DOMAIN + digest.canonical_json({"kind": record.kind, "body": {**record.body(), "signature": ""}})


def _private_key(home: Path, name: str) -> Ed25519PrivateKey:
    path = _key_path(home, name)
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError as error:
        raise Misconfigured(
            f"{name} has no key on this machine",
            value=path,
            limit=", ".join(names(home)) or "no keys yet",
            next_step=f"Name one of these, or run `jali keys new {name}`.",
        ) from error
    except ValueError as error:
        raise Misconfigured(f"{path} is not a PEM private key", next_step="Restore it from a backup.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Misconfigured(f"{path} is not an Ed25519 key", value=type(key).__name__, next_step="Make a new one.")
    return key


def _key_path(home: Path, name: str) -> Path:
    return home / "keys" / f"{_valid_name(name)}.key"


def _valid_name(name: Any) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise Misconfigured(
            "That is not a name for a key",
            value=repr(name),
            limit="a lower-case letter, then up to 62 of a-z 0-9 . _ -",
            next_step="Choose such a name.",
        )
    return name


def base64_of(raw: bytes) -> str:
    """Return raw bytes as the reviewed file writes them."""
    return base64.b64encode(raw).decode()


def _raw(name: str, text: Any, path: Path) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (TypeError, ValueError):
        raw = b""
    if len(raw) != 32:
        raise Misconfigured(
            f"{path}: the public key of {name} is not one",
            value=repr(text)[:60],
            limit="32 bytes in base64",
            next_step="Copy the line that `jali keys list` prints.",
        )
    return raw


class _UniqueKeys(yaml.SafeLoader):
    """YAML says that keys are unique and PyYAML keeps the last one: a second line could quietly replace a person."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping = super().construct_mapping(node, deep=deep)
        if len(mapping) != len(node.value):
            raise yaml.constructor.ConstructorError(None, None, "a name stands twice", node.start_mark)
        return mapping
