"""A ranker of ads in a folder: typed config, weights, and the public ads and items. Nothing in it can run code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from components.core.errors import ContractBroken
from components.services.ads.data import Catalogue, read_catalogue

CONFIG, WEIGHTS, ADS, ITEMS = "config.json", "weights.safetensors", "ads.parquet", "items.parquet"

Arrays = dict[str, npt.NDArray[np.generic]]


class Config(BaseModel):
    """What kind of bundle it is, and what serving needs to know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["rates", "network"]
    frequency_cap: int = Field(ge=1)
    format: Literal[1] = 1


@dataclass(frozen=True)
class Bundle:
    """A bundle in memory.

    Attributes:
        config: see there.
        arrays: `ad` (ads,) and `place` (placements, positions), the floor's logits, in every bundle; a network has its
            weights beside them.
        catalogue: the public ads, in the order of the arrays.
    """

    config: Config
    arrays: Arrays
    catalogue: Catalogue


def write_bundle(out: Path, bundle: Bundle) -> None:
    """Write `bundle` to the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    (out / CONFIG).write_text(bundle.config.model_dump_json(indent=1) + "\n")
    save_file({name: np.ascontiguousarray(array) for name, array in bundle.arrays.items()}, out / WEIGHTS)
    pq.write_table(bundle.catalogue.ads, out / ADS, compression="zstd")
    pq.write_table(bundle.catalogue.items, out / ITEMS, compression="zstd")


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle into memory. Its digest is the caller's to check.

    Raises:
        ContractBroken: it is not a bundle of this service, or its parts do not belong together.
    """
    try:
        config = Config.model_validate_json((folder / CONFIG).read_bytes())
        arrays: Arrays = dict(load_file(folder / WEIGHTS))
        catalogue = read_catalogue(folder)
    except (OSError, ValidationError, SafetensorError) as error:
        raise ContractBroken(
            f"{folder} is not a bundle of the service ads", next_step="Restore it, or train again."
        ) from error
    if arrays.get("ad", np.empty(0)).shape != (len(catalogue),) or "place" not in arrays:
        raise ContractBroken(
            f"The bundle {folder} has no rate for every ad",
            limit=f"{len(catalogue)} ads",
            next_step="Restore it, or train again.",
        )
    return Bundle(config, arrays, catalogue)


def read_floor(folder: Path | None) -> Bundle:
    """Read the floor's bundle, which the network starts from.

    Raises:
        ContractBroken: there is none.
    """
    if folder is None:
        raise ContractBroken("A ranker of ads has no floor to start from", next_step="Train rates first.")
    return read_bundle(folder)
