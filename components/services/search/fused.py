"""The floor: words, meaning and DP popularity in one list, the same for everyone.

One Gaussian release: how many take each item, and how many search for each public phrase. Each user adds a vector of L2
norm at most 1, of which items have a fixed part and phrases the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field
from scipy import sparse

from components.core.params import PerformanceFlags
from components.core.progress import Progress, no_progress
from components.privacy import mechanisms
from components.privacy.canaries import Canaries
from components.privacy.release import Gaussian
from components.services.search import phrases
from components.services.search.bundle import Arrays, Bundle, Config, encoded, write_bundle
from components.services.search.data import Catalogue, Rows
from components.services.search.params import SearchParams
from components.services.search.retrieval import Retrieval

_OF_ITEMS = 0.8
"""Items' part of a user's squared norm."""


class FusedPlan(BaseModel):
    """Everything that shapes the floor's release."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    noise_multiplier: float = Field(gt=0)
    params: SearchParams
    sensitivity: float = 1.0
    """One user adds a vector of L2 norm 1 at most."""

    @property
    def event(self) -> Gaussian:
        """What the accountants compose."""
        return Gaussian(noise_multiplier=self.noise_multiplier)


def parts(rows: Rows, listed: list[str], engine: Retrieval, most: int) -> sparse.csr_array:
    """Return what each user adds, `(users, items + phrases)`: private, each of L2 norm at most 1."""
    known = {phrase: place for place, phrase in enumerate(listed)}
    items = len(rows.catalogue)
    data, columns, starts = [], [], [0]
    for searches, taken in zip(rows.users, rows.items, strict=True):
        said = phrases.asked(searches, known, engine.spelt, most)
        columns += [*taken, *(items + place for place in said)]
        data += [math.sqrt(_OF_ITEMS / max(len(taken), 1))] * len(taken)
        data += [math.sqrt((1 - _OF_ITEMS) / max(len(said), 1))] * len(said)
        starts.append(len(columns))
    entries = (np.array(data, dtype=np.float64), np.array(columns, dtype=np.int64), np.array(starts))
    return sparse.csr_array(entries, shape=(len(rows), items + len(listed)))


def shares(noised: npt.NDArray[np.float64], sigma: float) -> npt.NDArray[np.float64]:
    """Return positive shares of sum 1 from noised popularity; what the noise hides is small, in its order."""
    least = max(sigma, 0.5)
    positive = np.where(noised > least, noised, least * np.exp(np.clip(noised / least - 1, -20, 0)))
    return np.asarray(positive / positive.sum())


def bundle_of(catalogue: Catalogue, params: SearchParams, popularity: npt.NDArray[np.float64] | None = None) -> Bundle:
    """Return the engine over a catalogue; without `popularity` all items are alike."""
    arrays, model = encoded(catalogue, params)
    known = np.full(len(catalogue), 1 / len(catalogue)) if popularity is None else popularity
    config = Config(
        kind="fused", encoder=model, least_cosine=params.least_cosine, effort=params.effort, fusion=params.fusion
    )
    return Bundle(config, {**arrays, "popularity": known.astype(np.float32)}, catalogue)


def with_popularity(bundle: Bundle, noised: npt.NDArray[np.float64], listed: list[str], sigma: float) -> Bundle:
    """Return `bundle` with what was released, `(items + phrases,)`, under noise of deviation `sigma`."""
    taken, said = np.split(noised, [len(bundle.catalogue)])
    arrays: Arrays = {**bundle.arrays, "popularity": shares(taken, sigma).astype(np.float32)}
    config = bundle.config.model_copy(update={"popular": phrases.popular(listed, said, sigma)})
    return Bundle(config, arrays, bundle.catalogue)


class Fused:
    """The candidate, see the module."""

    name = "fused"
    personal = False
    share = 0.6
    modules = (
        __name__,
        "components.services.bundles",
        "components.services.search.bundle",
        "components.services.search.data",
        "components.language.encoder",
        "components.language.variations",
        "components.services.search.nearest",
        "components.services.search.params",
        "components.services.search.phrases",
        "components.services.search.retrieval",
        "components.services.search.spelling",
        "components.services.search.text",
        "components.privacy.canaries",
        "components.privacy.mechanisms",
    )

    def plan(self, *, mu: float, delta: float, population: int, params: SearchParams, floor: Path | None) -> FusedPlan:
        """Return the release at μ: σ = sensitivity ÷ μ."""
        return FusedPlan(noise_multiplier=1 / mu, params=params)

    def at_noise(self, plan: FusedPlan, noise_multiplier: float) -> FusedPlan:
        """Return the same plan with another noise."""
        return plan.model_copy(update={"noise_multiplier": noise_multiplier})

    def fit(
        self,
        rows: Rows,
        plan: FusedPlan,
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
        """Release popularity of items and phrases, and write the bundle."""
        intend(1)
        bundle = bundle_of(catalogue, plan.params)
        listed = phrases.phrases_of(catalogue, plan.params.phrases)
        added: Any = parts(rows, listed, Retrieval(bundle), plan.params.max_phrases_per_user)
        width = added.shape[1]
        added = canaries.as_items(added) if canaries else added
        noised = mechanisms.noised_sum(
            np.bincount(added.indices, weights=added.data, minlength=added.shape[1]),
            plan.sensitivity,
            plan.noise_multiplier,
        )
        noised, reserved = np.split(noised, [width])
        if canaries:
            canaries.observe(reserved / plan.sensitivity)
        write_bundle(out, with_popularity(bundle, noised, listed, plan.sensitivity * plan.noise_multiplier))
        return plan.event
