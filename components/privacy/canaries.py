"""Canary users: rows that are nobody's, which take part in a real release by coin flips, on columns of their own.

A canary goes the way of every user: its row is in the matrix that the mechanism reads, and is sampled, clipped, summed
and noised with all others. What it holds lies in reserved columns, where no user has anything, and which are dropped
before the bundle is written. Its part has the largest norm that the mechanism lets one user have, and is orthogonal to
everyone else's. So the noised reserved coordinate is the best test that there is of whether it took part, and the
coordinates that are released do not depend on it.

What it costs: nothing. Neighbours that differ by a user have the same canaries, and the user adds zero to the reserved
coordinates: a release and its reserved coordinates together are one Gaussian vector of unchanged sensitivity. So what
is seen of the canaries belongs to the release that is charged, and each figure computed from it is post-processing. The
users are counted before canaries join, and nothing public (q, the normaliser, δ) knows of them.

Some canaries stand alone, and some in cohorts that share a coin and a column. What is μ-GDP for one user is kμ-GDP for
k of them (Dong, Roth & Su 2019, on group privacy), and exactly that for orthogonal noise: a cohort of k tells as much
about μ as k² users alone.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse

from components.core.errors import ContractBroken
from components.core.evidence import Record

COHORT = 25
"""Users of a cohort; half of the canaries are in cohorts, and half alone."""

NULLS = 4
"""Reserved coordinates that stay empty, for each that canaries may be in: they show the noise alone."""


class Observed(Record):
    """The noised reserved coordinates of one release: canaries and noise, and nothing of any user.

    They are in units of the sensitivity; those of a training are sums over its steps, divided by √steps.
    """

    kind: ClassVar[str] = "canaries"
    users: tuple[int, ...]
    """Canary users in each direction: 1, or a cohort."""
    inserted: tuple[bool, ...]
    """The coin of each direction."""
    scores: tuple[float, ...]
    """The noised coordinate of each direction."""
    nulls: int = Field(ge=0)
    """Coordinates in which nobody was, their mean and their mean square."""
    null_mean: float
    null_square: float
    steps: int = Field(1, ge=1)
    """Noisy steps that were seen; fewer than ran where a training was resumed."""


@dataclass(frozen=True)
class Numbered:
    """Dense rows of users, and after them canaries', which are zeros but for the number of their direction in one more
    column. Only rows that are asked for are made: a copy of everyone's would be as large as the data.

    Attributes:
        users: (users, columns) an array or a tensor.
        numbers: (canaries,) from 1.
    """

    users: Any
    numbers: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, int]:
        """(users and canaries, columns and one)."""
        return len(self.users) + len(self.numbers), self.users.shape[1] + 1

    def __getitem__(self, which: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the rows at these places."""
        rows = np.zeros((len(which), self.shape[1]), dtype=np.float32)
        canary = which >= len(self.users)
        rows[~canary, :-1] = self.users[which[~canary]]
        rows[canary, -1] = self.numbers[which[canary] - len(self.users)]
        return rows


class Canaries:
    """The canaries of one release: coins that were flipped, rows to put beside people's, and what was seen of them.

    Args:
        users: `(directions,)` canary users in each direction.
        inserted: `(directions,)` whether they take part.
    """

    def __init__(self, users: NDArray[np.int64], inserted: NDArray[np.bool_]) -> None:
        self.users, self.inserted = users, inserted
        self.observed: Observed | None = None

    @classmethod
    def flipped(cls, users: int, *, cohort: int = COHORT, alone: int | None = None) -> Self:
        """Return `users` canaries after one fair coin for each direction.

        Args:
            cohort: users of a cohort.
            alone: how many stand alone at least: half of them unless said otherwise.
        """
        cohorts = (users - (users - users // 2 if alone is None else alone)) // cohort
        sizes = np.concatenate([np.ones(users - cohorts * cohort, dtype=np.int64), np.full(cohorts, cohort)])
        return cls(sizes, np.frombuffer(os.urandom(len(sizes)), dtype=np.uint8) < 128)

    @property
    def directions(self) -> int:
        """Coins: the canaries that stand alone, and the cohorts."""
        return len(self.users)

    @property
    def coordinates(self) -> int:
        """Reserved coordinates: one for each direction, and the empty ones."""
        return self.directions * (1 + NULLS)

    def numbered(self, matrix: Any) -> sparse.csr_array | Numbered:
        """Return `matrix`, `(users, columns)`, with those who take part below it and one reserved column to its right:
        the number of a canary's direction, from 1, and 0 for every user. A sparse one stays sparse, a dense one dense.
        """
        numbers = (self._rows(1.0).indices + 1).astype(np.float32)
        if sparse.issparse(matrix):
            return _beside(matrix, sparse.csr_array(numbers[:, None]))
        return Numbered(matrix, numbers)

    def as_items(self, matrix: Any) -> sparse.csr_array:
        """Return `matrix`, `(users, columns)`, with canaries of one reserved item, of `coordinates` many."""
        rows = self._rows(1.0)
        return _beside(
            matrix, sparse.csr_array((rows.data, rows.indices, rows.indptr), (rows.shape[0], self.coordinates))
        )

    def as_pairs(self, matrix: Any) -> sparse.csr_array:
        """Return `matrix`, `(users, columns)`, with canaries of two reserved items, a pair for each direction.

        So few columns have pairs for all: their number is about √(2 · coordinates).
        """
        first, second = self._pairs()
        rows = self._rows(1.0)
        holds = np.column_stack([first[rows.indices], second[rows.indices]]).ravel()
        pairs = (np.ones(len(holds), dtype=np.float32), holds, np.arange(rows.shape[0] + 1) * 2)
        return _beside(matrix, sparse.csr_array(pairs, shape=(rows.shape[0], self._side)))

    def in_pairs(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the pairs' entries, `(coordinates,)`, of a symmetric matrix whose last columns are reserved."""
        before = len(matrix) - self._side
        first, second = self._pairs()
        return np.asarray(matrix[before + first, before + second])

    def observe(self, coordinates: NDArray[Any], *, steps: int = 1) -> None:
        """Keep what was seen.

        Args:
            coordinates: `(coordinates,)` noised, in units of the sensitivity, those of the directions first.
            steps: noisy steps that they are sums over, divided by √steps.
        """
        coordinates = np.asarray(coordinates, dtype=np.float64).ravel()
        if len(coordinates) != self.coordinates or not np.isfinite(coordinates).all():
            raise ContractBroken(
                "What was seen of the canaries is not their reserved coordinates",
                value=f"{len(coordinates)} numbers, {int(np.isfinite(coordinates).sum())} of them finite",
                limit=f"{self.coordinates} finite numbers",
                next_step="Give `observe` the noised reserved coordinates of this release.",
            )
        scores, nulls = coordinates[: self.directions], coordinates[self.directions :]
        self.observed = Observed(
            users=tuple(map(int, self.users)),
            inserted=tuple(map(bool, self.inserted)),
            scores=tuple(map(float, scores)),
            nulls=len(nulls),
            null_mean=float(nulls.mean()),
            null_square=float(np.mean(nulls**2)),
            steps=steps,
        )

    def required(self) -> Observed:
        """Return what was seen.

        Raises:
            ContractBroken: the mechanism said nothing, so they cannot have taken part.
        """
        if self.observed is None:
            raise ContractBroken(
                "The mechanism was given canaries, and did not say what it saw of them",
                next_step="Put them beside the rows and call `observe`, or set training.audit: off.",
            )
        return self.observed

    @property
    def _side(self) -> int:
        """The fewest items that have a pair for each coordinate."""
        return math.ceil((1 + math.sqrt(1 + 8 * self.coordinates)) / 2)

    def _pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        first, second = np.triu_indices(self._side, 1)
        return first[: self.coordinates], second[: self.coordinates]

    def _rows(self, value: float) -> sparse.csr_array:
        column = np.repeat(np.arange(self.directions), np.where(self.inserted, self.users, 0))
        entries = (np.full(len(column), value, dtype=np.float32), column, np.arange(len(column) + 1))
        return sparse.csr_array(entries, shape=(len(column), self.directions))


def _beside(matrix: Any, canaries: sparse.csr_array) -> sparse.csr_array:
    """Return the two on a diagonal: nobody shares a row or a column with a canary."""
    both = sparse.block_diag((sparse.csr_array(matrix), canaries), format="csr")
    return sparse.csr_array(both)
