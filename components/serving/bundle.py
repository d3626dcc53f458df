"""A released bundle, from an untrusted folder to a model that answers."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.core import digest
from components.core.errors import ContractBroken, Unavailable
from components.core.service import Service
from components.serving.champion import Champion

ALLOWED = frozenset({".json", ".parquet", ".safetensors"})
"""Formats that hold data and never code; a pickle is none of them."""


@dataclass(frozen=True)
class Loaded:
    """A champion in memory, warmed; one request is answered by exactly one of these."""

    service: Service
    champion: Champion
    model: Any

    @property
    def version(self) -> int:
        """The registry's version number."""
        return self.champion.version

    @property
    def epsilon(self) -> float:
        """The ε of the version's training (unitless)."""
        return self.champion.statement.epsilon


def load(service: Service, champion: Champion) -> Loaded:
    """Verify the champion's bundle, load it and let it answer the service's example once.

    The folder is copied first, and the copy is verified and parsed: nobody can change a file between its check and
    its use, and a store that is cleaned up cannot pull a mapped file away from a running model. `service.load` must
    therefore read, or map, all that it needs before it returns.

    Raises:
        ContractBroken: the bundle is missing, holds a file that may carry code, is not the one that was approved,
            or cannot answer the example.
        Unavailable: it cannot be read, or there is no room for the copy.
    """
    what = f"The bundle of {service.name} version {champion.version}"
    if not champion.bundle.is_dir():
        raise ContractBroken(
            f"{what} is missing", value=champion.bundle, next_step="Restore the store, or roll back the promotion."
        )
    with tempfile.TemporaryDirectory(prefix="jali-bundle-") as scratch:
        copy = Path(scratch) / champion.bundle.name
        _copy(champion.bundle, copy, what)
        _verify(copy, champion.bundle_digest, what)
        try:
            model = service.load(copy)
            service.predict(model, service.request.model_validate(service.example))
        except Exception as error:  # a service may fail in any way; the previous champion must survive all of them
            raise ContractBroken(
                f"{what} is the approved one but cannot answer the example of its service",
                value=f"{type(error).__name__}: {error}",
                next_step="Roll back the promotion, and serve with the code that trained this version.",
            ) from error
    return Loaded(service=service, champion=champion, model=model)


def _copy(folder: Path, copy: Path, what: str) -> None:
    try:
        shutil.copytree(folder, copy, symlinks=True)
    except OSError as error:
        raise Unavailable(
            f"{what} cannot be copied to {copy.parent}",
            value=error,
            next_step="Free some space there and see that the store can be read; it is tried again by itself.",
        ) from error


def _verify(folder: Path, approved: str, what: str) -> None:
    # The names come first: hashing follows links, and a link may lead anywhere.
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_dir() or path.suffix in ALLOWED):
            raise ContractBroken(
                f"{what} holds a file that a bundle may not hold",
                value=path.relative_to(folder),
                limit=", ".join(sorted(ALLOWED)),
                next_step="Nothing was loaded; restore the bundle, or train it again.",
            )
    found = digest.of_path(folder)
    if found != approved:
        raise ContractBroken(
            f"{what} is not the one that was approved",
            value=found[:12],
            limit=approved[:12],
            next_step="Nothing was loaded; restore the bundle from the store's backup, or roll back the promotion.",
        )
