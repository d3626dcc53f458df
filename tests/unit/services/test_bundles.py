"""Matrices of eight-bit numbers in a bundle: what comes back, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from safetensors.numpy import load_file, save_file

from components.core import digest
from components.core.errors import ContractBroken
from components.services import bundles


class Config(BaseModel):
    kind: str = "any"


def written(folder: Path, **arrays: np.ndarray) -> Path:
    bundles.write(folder, Config(), arrays, {})
    return folder


def read(folder: Path) -> dict[str, np.ndarray]:
    return bundles.read(folder, Config, lambda: None, "any")[1]


@settings(max_examples=30, deadline=None, database=None)
@given(
    shape=st.sampled_from([(64, 64), (5000, 1), (1, 5000), (1024, 8), (64, 100)]),
    scale=st.floats(1e-6, 1e6),
    seed=st.integers(0, 99),
)
def test_an_entry_moves_by_no_more_than_half_a_step_of_its_line(
    tmp_path_factory: pytest.TempPathFactory, shape: tuple[int, int], scale: float, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("bundle")
    matrix = (np.random.default_rng(seed).normal(size=shape) * scale).astype(np.float32)
    bundles.as_int8(written(folder / "whole", weights=matrix), folder / "small")
    axis = 1 if shape[1] >= 32 else 0
    step = np.abs(matrix).max(axis=axis, keepdims=True) / 127
    assert np.all(np.abs(read(folder / "small")["weights"] - matrix) <= step * 0.5001)


def test_it_is_four_times_smaller_and_the_same_files_every_time(tmp_path: Path) -> None:
    drawn = np.random.default_rng(1)
    whole = written(tmp_path / "whole", weights=drawn.normal(size=(300, 200)).astype(np.float32))
    for name in ("one", "two"):
        bundles.as_int8(whole, tmp_path / name)
    assert digest.of_path(tmp_path / "one") == digest.of_path(tmp_path / "two") != digest.of_path(whole)
    sizes = [(folder / bundles.WEIGHTS).stat().st_size for folder in (whole, tmp_path / "one")]
    assert sizes[0] > 3.8 * sizes[1]


def test_what_is_small_or_whole_numbers_or_no_matrix_stays_as_it_is(tmp_path: Path) -> None:
    arrays = {
        "vector": np.linspace(0, 1, 9000, dtype=np.float32),
        "little": np.eye(4, dtype=np.float32),
        "places": np.arange(10_000, dtype=np.int32).reshape(100, 100),
    }
    bundles.as_int8(written(tmp_path / "whole", **arrays), tmp_path / "small")
    for name, array in read(tmp_path / "small").items():
        np.testing.assert_array_equal(array, arrays[name])


def test_a_line_of_zeros_stays_zero(tmp_path: Path) -> None:
    matrix = np.zeros((100, 100), dtype=np.float32)
    bundles.as_int8(written(tmp_path / "whole", weights=matrix), tmp_path / "small")
    np.testing.assert_array_equal(read(tmp_path / "small")["weights"], matrix)


@settings(max_examples=30, deadline=None, database=None)
@given(
    rows=st.integers(64, 200), columns=st.sampled_from([64, 384]), scale=st.floats(1e-6, 1e6), seed=st.integers(0, 9)
)
def test_in_four_bits_an_entry_moves_by_no_more_than_half_a_fourteenth_of_its_row(
    tmp_path_factory: pytest.TempPathFactory, rows: int, columns: int, scale: float, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("bundle")
    matrix = (np.random.default_rng(seed).normal(size=(rows, columns)) * scale).astype(np.float32)
    bundles.as_int4(written(folder / "whole", weights=matrix), folder / "small")
    step = np.abs(matrix).max(axis=1, keepdims=True) / 7
    assert np.all(np.abs(read(folder / "small")["weights"] - matrix) <= step * 0.5001)
    raw = load_file(folder / "small" / bundles.WEIGHTS)
    assert raw["weights"].nbytes * 8 == matrix.nbytes


@pytest.mark.parametrize("shape", [(5000, 2), (200, 65)], ids=["short rows", "odd rows"])
def test_what_four_bits_do_not_fit_has_eight(tmp_path: Path, shape: tuple[int, int]) -> None:
    matrix = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    whole = written(tmp_path / "whole", weights=matrix)
    bundles.as_int4(whole, tmp_path / "four")
    bundles.as_int8(whole, tmp_path / "eight")
    assert digest.of_path(tmp_path / "four") == digest.of_path(tmp_path / "eight")


def test_a_row_of_zeros_stays_zero_in_four_bits_and_a_stranger_s_scale_is_refused(tmp_path: Path) -> None:
    matrix = np.zeros((100, 100), dtype=np.float32)
    bundles.as_int4(written(tmp_path / "whole", weights=matrix), tmp_path / "small")
    np.testing.assert_array_equal(read(tmp_path / "small")["weights"], matrix)
    arrays = load_file(tmp_path / "small" / bundles.WEIGHTS)
    for name, scale in (("weights.scale", np.ones((100, 1), np.float32)), ("others.scale4", arrays["weights.scale4"])):
        save_file({**arrays, name: scale}, tmp_path / "small" / bundles.WEIGHTS)
        with pytest.raises(ContractBroken, match="not a bundle"):
            read(tmp_path / "small")


@pytest.mark.parametrize(
    "scale",
    [
        np.ones((3, 1), np.float32),
        np.full((100, 1), np.nan, np.float32),
        np.ones((100, 1), np.float64),
        np.ones(100, np.float32),
    ],
    ids=["too few", "not a number", "another type", "another shape"],
)
def test_a_scale_that_does_not_fit_its_matrix_is_refused(tmp_path: Path, scale: np.ndarray) -> None:
    matrix = np.random.default_rng(2).normal(size=(100, 100)).astype(np.float32)
    bundles.as_int8(written(tmp_path / "whole", weights=matrix), tmp_path / "small")
    arrays = load_file(tmp_path / "small" / bundles.WEIGHTS)
    save_file({**arrays, "weights.scale": scale}, tmp_path / "small" / bundles.WEIGHTS)
    with pytest.raises(ContractBroken, match="not a bundle"):
        read(tmp_path / "small")
