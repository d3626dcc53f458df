"""A one-shot noisy Gram matrix over the columns, and a regression on what the noise leaves of it.

The statistic counts pairs of different items, each user's matrix scaled to Frobenius norm 1:

    P_u = y_u y_uᵀ − diag(y_u),   G = Σ_u P_u / ‖P_u‖_F        y_u: items of user u by column

It is released once. As a vector G is its diagonal and √2 times its upper triangle, of the same norm, so with noise σ
on each entry the matrix has σ on its diagonal and σ/√2 off it.

Sensitivity: a neighbour adds or removes one user u, and G moves by P_u / ‖P_u‖_F, or by nothing where u has fewer than
two items. Its Frobenius norm, which is the vector's L2 norm, is exactly 1 for every user of two items or more, and
depends on no other user: 1 is the sensitivity, and everyone saturates it.

What follows is free: the noise is shrunk towards what the public catalogue says of the pair (`kinship`, `lifts`), and a
ridge regression predicts a user's columns from each other,

    W = (Ĝ + D + λI)⁻¹ Ĝ

as in EASE (Steck 2019), whose zero diagonal stands for "not from itself": here the pairs of an item with itself are
left out of Ĝ, and D, their expected number, is put back only where the columns are the predictors.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field
from scipy import sparse

from components.core import digest
from components.core.params import PerformanceFlags
from components.core.progress import Progress, no_progress
from components.privacy import mechanisms
from components.privacy.canaries import Canaries
from components.privacy.release import Gaussian
from components.services.recommend import kinship, lifts
from components.services.recommend.bundle import Arrays, Bundle, Config, read_floor, write_bundle
from components.services.recommend.columns import Columns, Floats, partition
from components.services.recommend.data import Catalogue, Matrix, Rows
from components.services.recommend.params import GramParams, RecommendParams


class GramPlan(BaseModel):
    """Everything that shapes the Gram matrix's release and its post-processing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    noise_multiplier: float = Field(gt=0)
    sensitivity: float = 1.0
    """One user adds a matrix of Frobenius norm 1, or nothing."""
    columns: int
    enough_categories: int
    params: GramParams
    floor: str
    """Digest of the floor's bundle, whose ranking decides the columns."""

    @property
    def event(self) -> Gaussian:
        """What the accountants compose."""
        return Gaussian(noise_multiplier=self.noise_multiplier)


def statistic(counted: Matrix) -> Floats:
    """Return G, `(columns, columns)`, un-noised: private. One user moves it by at most 1 in Frobenius norm.

    Args:
        counted: `(users, columns)` number of items by column, whole numbers.
    """
    counted = sparse.csr_array(counted, dtype=np.float64)
    user = np.repeat(np.arange(counted.shape[0]), np.diff(counted.indptr))
    squares, cubes = (np.bincount(user, counted.data**power, counted.shape[0]) for power in (2, 3))
    norm = np.sqrt(np.maximum(squares**2 - 2 * cubes + squares, 0))  # ‖yyᵀ − diag(y)‖²: the diagonal is y² − y
    weight = np.divide(1.0, norm, out=np.zeros_like(norm), where=norm > 0.5)  # whole numbers: 0 or at least √2
    weighted = counted.copy()
    weighted.data = weighted.data * weight[user]
    gram: Floats = (counted.T @ weighted).toarray()
    gram[np.diag_indices_from(gram)] -= weighted.sum(axis=0)
    return gram


def as_vector(gram: Floats) -> Floats:
    """Return a symmetric matrix as a vector of the same norm: each entry off the diagonal once, times √2."""
    upper = np.triu_indices_from(gram, 1)
    return np.concatenate([np.diag(gram), np.sqrt(2) * gram[upper]])


def as_matrix(vector: Floats, columns: int) -> Floats:
    """Return the symmetric matrix that `as_vector` made `vector` of."""
    gram = np.zeros((columns, columns))
    gram[np.triu_indices(columns, 1)] = vector[columns:] / np.sqrt(2)
    gram += gram.T
    gram[np.diag_indices(columns)] = vector[:columns]
    return gram


def regression(gram: Floats, popularity: Floats, params: GramParams) -> npt.NDArray[np.float32]:
    """Return W, `(columns, columns)`: a row of counts times W is that user's expected taste, up to its scale."""
    own = params.own * gram.sum() * popularity
    single = gram.astype(np.float32)
    return np.linalg.solve(single + np.diag(own + params.ridge).astype(np.float32), single)


def taste(arrays: Arrays, counted: Matrix) -> npt.NDArray[np.float32]:
    """Return shares of taste `(users, columns)` from counts `(users, columns)`; an empty row stays zero."""
    expected = np.maximum(counted @ arrays["weights"], 0)
    return np.asarray(expected / np.maximum(expected.sum(axis=1, keepdims=True), 1e-9))


def bundle_of(gram: Floats, sigma: float, columns: Columns, floor: Bundle, params: GramParams) -> Bundle:
    """Return the bundle that a released (or, for a ceiling, an un-noised: σ = 0) Gram matrix makes."""
    popularity = columns.total(floor.popularity.astype(np.float64))
    alone = np.bincount(columns.of_item) == 1
    kinds = kinship.kinds(floor.catalogue, columns)
    clean = lifts.denoised(gram, sigma, popularity, kinds, spread=params.spread, alone=alone)
    weights = regression(clean, popularity, params)
    weights[np.flatnonzero(alone), np.flatnonzero(alone)] = 0  # an item of the history is not asked for again
    arrays: Arrays = {
        "popularity": floor.arrays["popularity"],
        "column": columns.of_item.astype(np.int32),
        "weights": weights,
    }
    return Bundle(Config(kind="gram", blend=_blend(gram, sigma, params)), arrays, floor.catalogue)


def _blend(gram: Floats, sigma: float, params: GramParams) -> float:
    """Return at how many items of history taste weighs as much as popularity: the more, the less stands out of noise.

    The sum of all entries has noise of deviation σ · columns. Read off the released matrix, it costs nothing.
    """
    signal = max(float(gram.sum()), 1.0)
    return params.blend + min(params.hedge * (sigma * len(gram) / signal) ** 2, 1e6)


class Gram:
    """The candidate, see the module."""

    name = "gram"
    personal = True
    share = 0.98
    modules = (
        __name__,
        "components.services.recommend.data",
        "components.services.bundles",
        "components.services.recommend.bundle",
        "components.services.recommend.columns",
        "components.services.recommend.kinship",
        "components.services.recommend.lifts",
        "components.privacy.canaries",
        "components.privacy.mechanisms",
    )

    def plan(
        self, *, mu: float, delta: float, population: int, params: RecommendParams, floor: Path | None
    ) -> GramPlan:
        """Return the release at μ: σ = sensitivity ÷ μ."""
        return GramPlan(
            noise_multiplier=1 / mu,
            columns=params.columns,
            enough_categories=params.enough_categories,
            params=params.gram,
            floor=digest.of_path(floor) if floor else "",
        )

    def at_noise(self, plan: GramPlan, noise_multiplier: float) -> GramPlan:
        """Return the same plan with another noise."""
        return plan.model_copy(update={"noise_multiplier": noise_multiplier})

    def fit(
        self,
        rows: Rows,
        plan: GramPlan,
        catalogue: Catalogue,
        *,
        floor: Path | None,
        intend: Callable[[int], None],
        out: Path,
        telemetry: Path | None = None,
        canaries: Canaries | None = None,
        flags: PerformanceFlags | None = None,
        progress: Progress = no_progress,
    ) -> Gaussian:
        """Release the Gram matrix and write the bundle."""
        known = read_floor(floor)
        columns = partition(
            catalogue, known.popularity.astype(np.float64), limit=plan.columns, enough=plan.enough_categories
        )
        counted = columns.count(rows.matrix)
        gram = statistic(canaries.as_pairs(counted) if canaries else counted)
        intend(1)
        noised = as_matrix(mechanisms.noised_sum(as_vector(gram), plan.sensitivity, plan.noise_multiplier), len(gram))
        if canaries:
            canaries.observe(np.sqrt(2) * canaries.in_pairs(noised) / plan.sensitivity)
            noised = noised[: len(columns), : len(columns)]
        sigma = plan.sensitivity * plan.noise_multiplier
        write_bundle(out, bundle_of(noised, sigma, columns, known, plan.params))
        return plan.event
