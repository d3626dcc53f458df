"""Batches of rows that are users: a Poisson sample for each private step, shuffled slices for a ceiling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import issparse
from torch import Tensor
from torch.utils.data import IterableDataset, default_collate

from components.privacy.canaries import Numbered
from components.privacy.engine import poisson_sample
from components.privacy.randomness import numpy_generator
from components.privacy.rows import SparseRows

Sample = Callable[[], NDArray[np.int64]]


class Batches(IterableDataset[Tensor | SparseRows]):
    """`steps` batches, each the rows that `sample` names. Its length is the number of steps and tells nothing of n.

    With `sparse`, rows of a CSR matrix stay sparse.
    """

    def __init__(self, rows: Any, sample: Sample, steps: int, *, sparse: bool = False) -> None:
        self._rows, self._sample, self._steps, self._take = rows, sample, steps, take_sparse if sparse else take

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[Tensor | SparseRows]:
        for _ in range(self._steps):
            yield self._take(self._rows, self._sample())


def take(rows: Any, users: NDArray[np.int64]) -> Tensor:
    """Return the rows of `users`, dense: from a CSR matrix, an array, a tensor, or a torch Dataset of tensors.

    An entry that is not finite becomes 0: no user's row may break the step that it is sampled into.
    """
    if issparse(rows):
        taken = torch.from_numpy(rows[users].toarray().astype(np.float32, copy=False))
    elif isinstance(rows, np.ndarray | Tensor | Numbered):
        taken = torch.as_tensor(rows[users], dtype=torch.float32)
    elif len(users):
        taken = default_collate([rows[int(user)] for user in users])
    else:
        taken = default_collate([torch.zeros_like(rows[0])])[:0]
    return taken.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)


def take_sparse(rows: Any, users: NDArray[np.int64]) -> SparseRows:
    """Return the rows of `users` of a CSR matrix, as they are. An entry that is not finite becomes 0."""
    taken = rows[users]
    values = torch.from_numpy(taken.data.astype(np.float32, copy=False))
    return SparseRows(
        offsets=torch.from_numpy(taken.indptr.astype(np.int64)),
        columns=torch.from_numpy(taken.indices.astype(np.int64)),
        values=values.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0),
        width=taken.shape[1],
    )


def count(rows: Any) -> int:
    """Return how many rows there are: private."""
    return int(rows.shape[0]) if hasattr(rows, "shape") else len(rows)


def poisson(rows: Any, sample_rate: float) -> Sample:
    """Return what draws the users of a private step."""
    users = count(rows)
    return lambda: poisson_sample(users, sample_rate)


def shuffled(rows: Any, batch_size: int) -> Sample:
    """Return what draws slices of one permutation after another: without any guarantee."""

    def slices() -> Iterator[NDArray[np.int64]]:
        users = count(rows)
        while True:
            order = numpy_generator().permutation(users)
            yield from (order[start : start + batch_size] for start in range(0, users, batch_size))

    iterator = slices()
    return lambda: next(iterator)
