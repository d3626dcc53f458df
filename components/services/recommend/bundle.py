"""A recommender in a folder: typed config, weights and the public catalogue. Nothing in it can run code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from components.core.errors import ContractBroken
from components.services import bundles
from components.services.recommend.data import Catalogue, read_catalogue

ITEMS = "items.parquet"

Arrays = dict[str, npt.NDArray[np.generic]]


class Config(BaseModel):
    """What kind of bundle it is, and how its arrays are to be read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["popularity", "gram", "autoencoder"]
    blend: float = Field(0.0, ge=0)
    """Items of history at which a user's own taste weighs as much as popularity."""
    format: Literal[1] = 1


@dataclass(frozen=True)
class Bundle:
    """A bundle in memory.

    Attributes:
        config: see there.
        arrays: `popularity` (items,), positive, sum 1, in every bundle; personal ones have `column` (items,) and the
            weights of their kind.
        catalogue: the public items, in the order of the arrays.
    """

    config: Config
    arrays: Arrays
    catalogue: Catalogue

    @property
    def popularity(self) -> npt.NDArray[np.float32]:
        """Share of each item, `(items,)`."""
        return self.arrays["popularity"].astype(np.float32)


def write_bundle(out: Path, bundle: Bundle) -> None:
    """Write `bundle` to the folder `out`."""
    bundles.write(out, bundle.config, bundle.arrays, {ITEMS: bundle.catalogue.table})


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle into memory, half-precision weights as the single precision that answers are computed in.

    Its digest is the caller's to check.

    Raises:
        ContractBroken: it is not a bundle of this service, or its parts do not belong together.
    """
    config, arrays, catalogue = bundles.read(folder, Config, lambda: read_catalogue(folder / ITEMS), "recommend")
    arrays = {name: _whole(array) for name, array in arrays.items()}
    for name in ("popularity",) if config.kind == "popularity" else ("popularity", "column"):
        if name not in arrays or arrays[name].shape != (len(catalogue),):
            raise ContractBroken(
                f"The bundle {folder} has no {name} for every item of its catalogue",
                limit=f"{len(catalogue)} items",
                next_step=bundles.NEXT_STEP,
            )
    return Bundle(config, arrays, catalogue)


def read_floor(folder: Path | None) -> Bundle:
    """Read the floor's bundle, which every personal candidate starts from.

    Raises:
        ContractBroken: there is none.
    """
    return read_bundle(bundles.require_floor(folder, "A personal recommender", "popularity"))


def _whole(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    return array.astype(np.float32) if array.dtype == np.float16 else array
