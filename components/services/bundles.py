"""How a service's bundle lies in a folder: typed config, arrays, public tables. Nothing in it can run code.

A matrix may lie as whole numbers of eight bits and one scale a line: `read` gives it back in single precision.
"""

from __future__ import annotations

import shutil
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
_SCALE = ".scale"
_LARGE = 4096
"""Entries of a matrix; a smaller one weighs next to nothing."""

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
    """Return a bundle's config, its arrays, and its catalogue. Its digest is the caller's to check.

    Raises:
        ContractBroken: it is not a bundle of `service`.
    """
    try:
        return (
            config.model_validate_json((folder / CONFIG).read_bytes()),
            _restored(load_file(folder / WEIGHTS)),
            catalogue(),
        )
    except (OSError, ValidationError, SafetensorError, _NoScale) as error:
        raise ContractBroken(f"{folder} is not a bundle of the service {service}", next_step=NEXT_STEP) from error


def as_int8(folder: Path, out: Path) -> None:
    """Write the bundle in `folder` to `out` with its large matrices of numbers as eight-bit ones.

    Each line has a scale of its own, a row where rows are long and a column where they are short, and its largest entry
    becomes ±127: an entry moves by at most 1/254 of that.
    """
    shutil.copytree(folder, out, dirs_exist_ok=True)
    arrays = dict[str, npt.NDArray[Any]]()
    for name, array in load_file(folder / WEIGHTS).items():
        if array.ndim == 2 and array.size >= _LARGE and array.dtype.kind == "f":
            whole = array.astype(np.float32)
            scale = np.abs(whole).max(axis=1 if whole.shape[1] >= 32 else 0, keepdims=True) / 127
            arrays[name] = np.rint(whole / np.where(scale > 0, scale, 1)).astype(np.int8)
            arrays[name + _SCALE] = scale.astype(np.float32)
        else:
            arrays[name] = array
    save_file(arrays, out / WEIGHTS)


class _NoScale(ValueError):
    """A scale that belongs to no matrix beside it."""


def _restored(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    scales = {name.removesuffix(_SCALE): array for name, array in arrays.items() if name.endswith(_SCALE)}
    whole = {name: array for name, array in arrays.items() if not name.endswith(_SCALE)}
    for name, scale in scales.items():
        numbers = whole.get(name, np.empty(0))
        fits = numbers.dtype == np.int8 and scale.shape in [(len(numbers), 1), (1, *numbers.shape[1:])]
        if not fits or scale.dtype != np.float32 or not np.isfinite(scale).all():
            raise _NoScale(name)
        whole[name] = numbers * scale
    return whole


def require_floor(folder: Path | None, who: str, floor: str) -> Path:
    """Return the folder of the floor's bundle, which `who` starts from.

    Raises:
        ContractBroken: there is none.
    """
    if folder is None:
        raise ContractBroken(f"{who} has no floor to start from", next_step=f"Train {floor} first.")
    return folder
