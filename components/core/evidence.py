"""Evidence: small frozen records, content-addressed, written once and checked at every read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from components.core import digest
from components.core.errors import ContractBroken
from components.core.files import write_bytes


class Record(BaseModel):
    """One step's evidence. Equal content has an equal `digest`; a subclass names its `kind`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str]

    def body(self) -> dict[str, Any]:
        """Return the JSON-ready content."""
        return self.model_dump(mode="json")

    @property
    def digest(self) -> str:
        """SHA-256 over the kind and the canonical content."""
        return digest.of_json({"kind": self.kind, "body": self.body()})

    def write(self, path: Path) -> Path:
        """Write the record atomically to `path`, with its kind and digest beside its content."""
        document = {"kind": self.kind, "digest": self.digest, "body": self.body()}
        return write_bytes(path, json.dumps(document, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a record back.

        Raises:
            ContractBroken: it is missing, of another kind or shape, or its content does not match its digest.
        """
        try:
            document = json.loads(path.read_bytes())
            record = cls.model_validate(document["body"])
        except FileNotFoundError as error:
            raise ContractBroken(f"The evidence {path} is missing", next_step="Run the step that makes it.") from error
        except (KeyError, TypeError, ValueError, ValidationError) as error:
            raise ContractBroken(
                f"The evidence {path} cannot be read as a {cls.kind} record", next_step="Run the step that makes it."
            ) from error
        if document.get("kind") != cls.kind or document.get("digest") != record.digest:
            raise ContractBroken(
                f"The evidence {path} was changed after it was written",
                value=str(document.get("digest"))[:12],
                limit=record.digest[:12],
                next_step="Restore it, or run the step that makes it again.",
            )
        return record


R = TypeVar("R", bound=Record)


class RecordStore:
    """Records by content key, so that a step that is done is found and not done again.

    A key is the digest of everything the step depends on. The store is a folder; a write is atomic, and two writers of
    one key write the same content.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, kind: type[Record], key: str) -> Path:
        """Return where the record of `key` lies."""
        return self.folder / kind.kind / f"{key}.json"

    def find(self, kind: type[R], key: str) -> R | None:
        """Return the record of `key`, or None where the step has not been done."""
        path = self.path(kind, key)
        return kind.read(path) if path.exists() else None

    def keep(self, key: str, record: R) -> R:
        """Keep `record` under `key` and return it."""
        record.write(self.path(type(record), key))
        return record
