"""A search engine in a folder: typed config, arrays and the public catalogue. Nothing in it can run code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from components.core.errors import ContractBroken
from components.services import bundles
from components.services.search.data import Catalogue, read_catalogue
from components.services.search.params import FusionParams, SearchParams

ITEMS = "items.parquet"

Arrays = Mapping[str, npt.NDArray[Any]]


class Popular(BaseModel):
    """A phrase of the catalogue that many people search for, as it was released."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    phrase: str
    weight: float


class Config(BaseModel):
    """What kind of bundle it is, and how its arrays are to be read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["fused", "reranker"]
    encoder: str | None
    """SHA-256 of the weights that made the vectors; None where meaning is not compared."""
    least_cosine: float
    effort: int
    fusion: FusionParams
    candidates: int = 0
    """How many of the floor's list are ordered again."""
    popular: tuple[Popular, ...] = ()
    """The best first."""
    format: Literal[1] = 1


@dataclass(frozen=True)
class Bundle:
    """A bundle in memory.

    Attributes:
        config: see there.
        arrays: `popularity` (items,), positive, sum 1, and `digests` (items, 16) of the texts; with an encoder
            `vectors` (items, size) in half precision; above some number of items `index`; a re-ranker has `weights`.
        catalogue: the public items, in the order of the arrays.
    """

    config: Config
    arrays: Arrays
    catalogue: Catalogue


def encoded(catalogue: Catalogue, params: SearchParams, known: Bundle | None = None) -> tuple[Arrays, str | None]:
    """Return the public arrays of a catalogue and the digest of the encoder. A text that `known` has is not encoded
    again.
    """
    digests = np.array([_digest(text) for text in catalogue.texts], dtype=np.uint8).reshape(-1, 16)
    if not params.dense:
        return {"digests": digests}, None
    from components.language.encoder import SIZE, encoder
    from components.language.encoder import encoded as of_public_texts
    from components.services.search.nearest import made

    model = encoder()
    vectors = np.empty((len(catalogue), SIZE), dtype=np.float16)
    had = _vectors_by_digest(known) if known and known.config.encoder == model.digest else {}
    missing = [place for place in range(len(catalogue)) if digests[place].tobytes() not in had]
    for place in set(range(len(catalogue))) - set(missing):
        vectors[place] = had[digests[place].tobytes()]
    if missing:
        vectors[missing] = of_public_texts(tuple(catalogue.texts[place] for place in missing))
    arrays: dict[str, npt.NDArray[Any]] = {"digests": digests, "vectors": vectors}
    if len(catalogue) > params.approximate_above:
        unchanged = known is not None and not missing and "index" in known.arrays and len(had) == len(catalogue)
        arrays["index"] = known.arrays["index"] if known and unchanged else made(vectors)
    return arrays, model.digest


def write_bundle(out: Path, bundle: Bundle) -> None:
    """Write `bundle` to the folder `out`."""
    bundles.write(out, bundle.config, bundle.arrays, {ITEMS: bundle.catalogue.table})


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle into memory. Its digest is the caller's to check.

    Raises:
        ContractBroken: it is not a bundle of this service, or its parts do not belong together.
    """
    config, arrays, catalogue = bundles.read(folder, Config, lambda: read_catalogue(folder / ITEMS), "search")
    needed = ["popularity", "digests", *(["vectors"] if config.encoder else [])]
    for name in needed:
        if name not in arrays or len(arrays[name]) != len(catalogue):
            raise ContractBroken(
                f"The bundle {folder} has no {name} for every item of its catalogue",
                limit=f"{len(catalogue)} items",
                next_step=bundles.NEXT_STEP,
            )
    if "vectors" in arrays:  # those of a smaller form are read in single precision
        arrays["vectors"] = arrays["vectors"].astype(np.float16, copy=False)
    return Bundle(config, arrays, catalogue)


def read_floor(folder: Path | None) -> Bundle:
    """Read the floor's bundle, which the re-ranker starts from.

    Raises:
        ContractBroken: there is none.
    """
    return read_bundle(bundles.require_floor(folder, "A re-ranker", "the fused ranking"))


def _vectors_by_digest(bundle: Bundle) -> dict[bytes, npt.NDArray[Any]]:
    pairs = zip(bundle.arrays["digests"], bundle.arrays["vectors"], strict=True)
    return {digest.tobytes(): vector for digest, vector in pairs}


def _digest(text: str) -> list[int]:
    return list(blake2b(text.encode(), digest_size=16).digest())
