"""Mistakes in the one-shot releases of `ads`, `demand` and `search`, each seeded where the service makes its own."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from scipy import sparse

from components.services.ads import pairs, rates
from components.services.demand import release as demand
from components.services.demand import rows as purchases
from components.services.search import fused
from tests.mutations.mistakes import Patch


def half_of_the_noise_of_click_rates(patch: Patch) -> None:
    _half_of_the_noise(patch, rates)


def half_of_the_noise_of_purchases(patch: Patch) -> None:
    _half_of_the_noise(patch, demand)


def half_of_the_noise_of_searches(patch: Patch) -> None:
    _half_of_the_noise(patch, fused)


def impressions_are_scaled_and_not_clipped(patch: Patch) -> None:
    """Whoever saw more than the bound lets count counts in full."""

    def by_the_bound(scale: np.ndarray) -> Any:
        return sparse.diags_array(np.full_like(scale, 1 / rates.BOUND))

    patch.setattr(rates, "sparse", SimpleNamespace(csr_array=sparse.csr_array, diags_array=by_the_bound))


def looks_are_counted_in_pairs_and_not_scaled(patch: Patch) -> None:
    def statistic(held: Any) -> np.ndarray:
        counted = (held.T @ held).toarray()
        return np.asarray(counted[np.triu_indices_from(counted, 1)] * np.sqrt(2), dtype=np.float64)

    patch.setattr(pairs, "statistic", statistic)


def purchases_are_not_bounded(patch: Patch) -> None:
    """Neither the units of a block nor the norm of a part."""
    read = purchases.read_bought
    patch.setattr(purchases, "read_bought", lambda split, catalogue, limit: read(split, catalogue, limit=1e9))
    patch.setattr(purchases, "clip_rows", lambda rows, norm: rows)
    patch.setattr(purchases, "_factor", lambda matrix, bound: np.ones(matrix.shape[0]))


def the_norm_of_purchases_is_not_clipped(patch: Patch) -> None:
    """The units of a block are bounded, and parts are not."""
    patch.setattr(purchases, "clip_rows", lambda rows, norm: rows)
    patch.setattr(purchases, "_factor", lambda matrix, bound: np.ones(matrix.shape[0]))


def items_that_were_taken_count_in_full(patch: Patch) -> None:
    _counted(patch, first=True)


def phrases_that_were_searched_count_in_full(patch: Patch) -> None:
    _counted(patch, first=False)


def _counted(patch: Patch, *, first: bool) -> None:
    """Count a one for each item (or for each phrase) of a user, however many they are."""
    real = fused.parts

    def parts(rows: Any, *others: Any) -> Any:
        found, items = real(rows, *others), len(rows.catalogue)
        found.data[(found.indices < items) == first] = 1.0
        return found

    patch.setattr(fused, "parts", parts)


def _half_of_the_noise(patch: Patch, room: ModuleType) -> None:
    real = room.mechanisms.noised_sum

    def noised_sum(vector: np.ndarray, sensitivity: float, noise_multiplier: float) -> np.ndarray:
        return np.asarray(real(vector, sensitivity, noise_multiplier / 2))

    patch.setattr(room, "mechanisms", SimpleNamespace(noised_sum=noised_sum))
