"""Mistakes in one-shot releases: sums, selections, metrics, counts, and what a bundle says beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from components.evaluation import evaluate as evaluation_room
from components.evaluation import moments
from components.privacy import mechanisms
from components.services.recommend import gram, popularity
from tests.mutations.mistakes import Patch, everywhere


def noise_of_sums_is_halved(patch: Patch) -> None:
    real = mechanisms.gaussian_noise
    patch.setattr(mechanisms, "gaussian_noise", lambda shape, sigma: real(shape, sigma / 2))


def noise_of_sums_is_replayed(patch: Patch) -> None:
    patch.setattr(mechanisms.os, "urandom", lambda count: np.random.default_rng(3).bytes(count))


def sums_go_out_without_noise(patch: Patch) -> None:
    patch.setattr(mechanisms, "gaussian_noise", lambda shape, sigma: np.zeros(shape))


def rows_are_counted_and_not_scaled_to_the_sensitivity(patch: Patch) -> None:
    patch.setattr(popularity, "statistic", lambda matrix: np.asarray(matrix.sum(axis=0), dtype=np.float64).ravel())


def pairs_are_counted_and_not_scaled_to_the_sensitivity(patch: Patch) -> None:
    patch.setattr(gram, "statistic", lambda counted: (counted.T @ counted).toarray().astype(np.float64))


def items_are_filtered_by_an_uncharged_count(patch: Patch) -> None:
    """Items that fewer than six users bought go, as a benchmark's protocol does it."""
    real = gram.Gram.fit

    def fit(self: Any, rows: Any, *args: Any, **options: Any) -> Any:
        enough = np.asarray((rows.matrix > 0).sum(axis=0)).ravel() >= 6
        matrix = sparse.csr_array(rows.matrix @ sparse.diags_array(enough.astype(np.float32)))
        matrix.eliminate_zeros()
        return real(self, type(rows)(matrix, rows.catalogue), *args, **options)

    patch.setattr(gram.Gram, "fit", fit)


def columns_are_chosen_by_uncharged_popularity(patch: Patch) -> None:
    real, partition = gram.Gram.fit, gram.partition
    private: list[np.ndarray] = []

    def fit(self: Any, rows: Any, *args: Any, **options: Any) -> Any:
        private.append(np.asarray(rows.matrix.sum(axis=0), dtype=np.float64).ravel())
        return real(self, rows, *args, **options)

    patch.setattr(gram.Gram, "fit", fit)
    patch.setattr(
        gram, "partition", lambda catalogue, popularity, **limits: partition(catalogue, private[-1], **limits)
    )


def the_bundle_says_how_many_users_there_are(patch: Patch) -> None:
    real = popularity.Popularity.fit

    def fit(self: Any, rows: Any, *args: Any, **options: Any) -> Any:
        event = real(self, rows, *args, **options)
        (options["out"] / "training.json").write_text(f'{{"users": {len(rows)}}}')
        return event

    patch.setattr(popularity.Popularity, "fit", fit)


def the_loss_curve_is_in_the_bundle(patch: Patch) -> None:
    from components.services.recommend import autoencoder

    real = autoencoder.Autoencoder.fit

    def fit(self: Any, rows: Any, *args: Any, **options: Any) -> Any:
        return real(self, rows, *args, **{**options, "telemetry": options["out"] / "curves"})

    patch.setattr(autoencoder.Autoencoder, "fit", fit)


def metrics_are_published_without_noise(patch: Patch) -> None:
    def exact(plan: Any, values: Any) -> Any:
        return moments.unweighted(plan, moments.moments(plan, values))

    everywhere(patch, "release_moments", exact)


def metrics_are_not_clipped_to_their_range(patch: Patch) -> None:
    def z(self: Any, values: Any) -> Any:
        value = values[self.bundle][:, self.metric]
        if self.against is not None:
            value = value - values[self.against][:, self.metric]
        return (np.nan_to_num(value) - self.middle) / self.half

    patch.setattr(moments.Figure, "z", z)


def the_best_candidate_is_chosen_by_unnoised_scores(patch: Patch) -> None:
    real, seen = evaluation_room.evaluate, {}
    moments_of = moments.moments

    def spied(plan: Any, values: Any) -> Any:
        seen.clear()
        seen.update({name: float(np.nansum(matrix[:, 0])) for name, matrix in values.items()})
        return moments_of(plan, values)

    def evaluate(**facts: Any) -> Any:
        found = real(**facts)
        return found.model_copy(update={"chosen": max(seen, key=lambda name: (seen[name], name))})

    patch.setattr(moments, "moments", spied)
    patch.setattr(evaluation_room, "evaluate", evaluate)


def the_count_is_exact(patch: Patch) -> None:
    patch.setattr(mechanisms, "dp_count", lambda rows, noise_multiplier: float(len(rows)))


def the_lower_bound_of_the_count_is_exact(patch: Patch) -> None:
    """n leaks beside a noised count: into q, the normaliser and δ."""
    real = mechanisms.dp_count
    users: list[int] = []

    def dp_count(rows: Any, noise_multiplier: float) -> float:
        users.append(len(rows))
        return real(rows, noise_multiplier)

    patch.setattr(mechanisms, "dp_count", dp_count)
    patch.setattr(mechanisms, "lower_bound", lambda noised, sigma, failure=1e-3: float(users[-1]))
