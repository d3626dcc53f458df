"""How a service's bundle lies in a folder: typed config, arrays, public tables. Nothing in it can run code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from components.core.errors import ContractBroken

CONFIG, WEIGHTS = "config.json", "weights.safetensors"
NEXT_STEP = "Restore it, or train again."

Config = TypeVar("Config", bound=BaseModel)
Catalogue = TypeVar("Catalogue")


def write(out: Path, config: BaseModel, arrays: Mapping[str, npt.NDArray[Any]], tables: Mapping[str, pa.Table]) -> None:
    """Write a bundle to the folder `out`; `tables` are public, by file name."""
    out.mkdir(parents=True, exist_ok=True)
    (out / CONFIG).write_text(config.model_dump_json(indent=1) + "\n")
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, out / WEIGHTS)
    for name, table in tables.items():
        pq.write_table(table, out / name, compression="zstd")


def read(
    folder: Path, config: type[Config], catalogue: Callable[[], Catalogue], service: str
) -> tuple[Config, dict[str, npt.NDArray[Any]], Catalogue]:
    """Return a bundle's config, its arrays as they lie, and its catalogue. Its digest is the caller's to check.

    Raises:
        ContractBroken: it is not a bundle of `service`.
    """
    try:
        return (
            config.model_validate_json((folder / CONFIG).read_bytes()),
            load_file(folder / WEIGHTS),
            catalogue(),
        )
    except (OSError, ValidationError, SafetensorError) as error:
        raise ContractBroken(f"{folder} is not a bundle of the service {service}", next_step=NEXT_STEP) from error


def require_floor(folder: Path | None, who: str, floor: str) -> Path:
    """Return the folder of the floor's bundle, which `who` starts from.

    Raises:
        ContractBroken: there is none.
    """
    if folder is None:
        raise ContractBroken(f"{who} has no floor to start from", next_step=f"Train {floor} first.")
    return folder
