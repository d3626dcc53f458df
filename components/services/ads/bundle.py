"""A ranker of ads in a folder: typed config, weights, and the public ads and items. Nothing in it can run code."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from components.core.errors import ContractBroken
from components.services import bundles
from components.services.ads.data import Catalogue, Floats, read_catalogue
from components.services.ads.features import Space, space

ADS, ITEMS = "ads.parquet", "items.parquet"
FLOOR = ("ad", "place", "column", "pairs")
"""Arrays that the floor released."""

Arrays = dict[str, npt.NDArray[np.generic]]


class Config(BaseModel):
    """What kind of bundle it is, and what serving needs to know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["rates", "network"]
    frequency_cap: int = Field(ge=1)
    looks: int = Field(ge=1)
    """Most items of a history that count: the last ones."""
    format: Literal[1] = 1


@dataclass(frozen=True)
class Bundle:
    """A bundle in memory.

    Attributes:
        config: see there.
        arrays: in every bundle the floor's: `ad` (ads,) and `place` (placements, positions), logits; `column` (items,)
            and `pairs` (columns, columns), how much likelier a look at one makes the other. A network has its weights
            beside them.
        catalogue: the public ads, in the order of the arrays.
    """

    config: Config
    arrays: Arrays
    catalogue: Catalogue

    @cached_property
    def space(self) -> Space:
        """The numbers of its names."""
        return space(self.catalogue)

    @cached_property
    def weights(self) -> dict[str, Floats]:
        """The network's own arrays, as its forward pass needs them."""
        return {name: array.astype(np.float64) for name, array in self.arrays.items() if name not in FLOOR}


def write_bundle(out: Path, bundle: Bundle) -> None:
    """Write `bundle` to the folder `out`."""
    bundles.write(out, bundle.config, bundle.arrays, {ADS: bundle.catalogue.ads, ITEMS: bundle.catalogue.items})


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle into memory. Its digest is the caller's to check.

    Raises:
        ContractBroken: it is not a bundle of this service, or its parts do not belong together.
    """
    config, arrays, catalogue = bundles.read(folder, Config, lambda: read_catalogue(folder), "ads")
    whole = arrays.get("ad", np.empty(0)).shape == (len(catalogue),) and {*FLOOR} <= {*arrays}
    if not whole or arrays["column"].shape != (len(catalogue.leaf_of_item),):
        raise ContractBroken(
            f"The bundle {folder} has no rate for every ad",
            limit=f"{len(catalogue)} ads",
            next_step=bundles.NEXT_STEP,
        )
    return Bundle(config, arrays, catalogue)


def read_floor(folder: Path | None) -> Bundle:
    """Read the floor's bundle, which the network starts from.

    Raises:
        ContractBroken: there is none.
    """
    return read_bundle(bundles.require_floor(folder, "A ranker of ads", "rates"))
