"""How a service's bundle lies in a folder: typed config, arrays, public tables. Nothing in it can run code.

A matrix may lie as whole numbers of eight or four bits and one scale a line: `read` gives it back in single precision.
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
_SCALE, _SCALE_OF_FOUR = ".scale", ".scale4"
_LARGE = 4096
"""Entries of a matrix; a smaller one weighs next to nothing."""
_LONG = 32
"""Entries of a row that has a scale of its own."""
_MIDDLE = 8
"""What stands for 0 in four bits."""

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
    _written(folder, out, _eight_bits)


def as_int4(folder: Path, out: Path) -> None:
    """Write the same with four bits where rows are long: their largest entry becomes ±7, so that an entry moves by at
    most 1/14 of that. For vectors of many numbers that are compared as a whole, in which such errors cancel.
    """
    _written(folder, out, _four_bits)


def _written(folder: Path, out: Path, way: Callable[[str, npt.NDArray[Any]], dict[str, npt.NDArray[Any]]]) -> None:
    shutil.copytree(folder, out, dirs_exist_ok=True)
    arrays = dict[str, npt.NDArray[Any]]()
    for name, array in load_file(folder / WEIGHTS).items():
        large = array.ndim == 2 and array.size >= _LARGE and array.dtype.kind == "f"
        arrays |= way(name, array.astype(np.float32)) if large else {name: array}
    save_file(arrays, out / WEIGHTS)


def _eight_bits(name: str, whole: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    steps, scale = _steps(whole, 127, axis=1 if whole.shape[1] >= _LONG else 0)
    return {name: steps, name + _SCALE: scale}


def _four_bits(name: str, whole: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    if whole.shape[1] < _LONG or whole.shape[1] % 2:
        return _eight_bits(name, whole)
    steps, scale = _steps(whole, _MIDDLE - 1, axis=1)
    places = (steps + _MIDDLE).astype(np.uint8)
    return {name: places[:, ::2] | places[:, 1::2] << 4, name + _SCALE_OF_FOUR: scale}


def _steps(whole: npt.NDArray[Any], most: int, axis: int) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    scale = np.abs(whole).max(axis=axis, keepdims=True) / most
    return np.rint(whole / np.where(scale > 0, scale, 1)).astype(np.int8), scale.astype(np.float32)


class _NoScale(ValueError):
    """A scale that belongs to no matrix beside it."""


def _restored(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    whole = {name: array for name, array in arrays.items() if not name.endswith((_SCALE, _SCALE_OF_FOUR))}
    for key, scale in arrays.items():
        if not key.endswith((_SCALE, _SCALE_OF_FOUR)):
            continue
        four = key.endswith(_SCALE_OF_FOUR)
        name = key.removesuffix(_SCALE_OF_FOUR if four else _SCALE)
        numbers = whole.get(name, np.empty(0))
        shapes = [(len(numbers), 1)] if four else [(len(numbers), 1), (1, *numbers.shape[1:])]
        fits = numbers.ndim == 2 and numbers.dtype == (np.uint8 if four else np.int8) and scale.shape in shapes
        if not fits or scale.dtype != np.float32 or not np.isfinite(scale).all():
            raise _NoScale(name)
        whole[name] = (_apart(numbers) if four else numbers) * scale
    return whole


def _apart(pairs: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return the two numbers of each byte beside each other."""
    apart = np.empty((pairs.shape[0], 2 * pairs.shape[1]), dtype=np.float32)
    apart[:, ::2], apart[:, 1::2] = pairs & 15, pairs >> 4
    return apart - _MIDDLE


def require_floor(folder: Path | None, who: str, floor: str) -> Path:
    """Return the folder of the floor's bundle, which `who` starts from.

    Raises:
        ContractBroken: there is none.
    """
    if folder is None:
        raise ContractBroken(f"{who} has no floor to start from", next_step=f"Train {floor} first.")
    return folder
