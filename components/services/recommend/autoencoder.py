"""A users-as-rows denoising autoencoder over the columns, by user-level DP-SGD.

It starts from what is public or already released: log-popularity as the prior of its logits, and the taxonomy as its
embedding, so that before the first step it already says "more of the categories that are there".
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from components.core import digest
from components.core.params import PerformanceFlags
from components.core.progress import Progress, no_progress
from components.privacy.canaries import Canaries
from components.privacy.plan import PrivacyPlan
from components.privacy.release import Event
from components.services.recommend.bundle import Arrays, Bundle, Config, read_floor, write_bundle
from components.services.recommend.columns import Columns, partition
from components.services.recommend.data import Catalogue, Matrix, Rows
from components.services.recommend.params import Augmentation, AutoencoderParams, RecommendParams
from components.training import descent

if TYPE_CHECKING:
    from components.services.recommend.model import Autoencoder as Network
    from components.training.fit import Fitted

_INITIAL_SEED = 20180423  # any fixed number: the start of the weights is public


class AutoencoderPlan(descent.DescentPlan):
    """Everything that shapes the autoencoder's training."""

    columns: int
    enough_categories: int
    params: AutoencoderParams
    augmentation: Augmentation


def network(
    columns: Columns,
    popularity: npt.NDArray[np.float64],
    params: AutoencoderParams,
    augmentation: Augmentation | None = None,
) -> Network:
    """Return the untrained network.

    Columns that share categories start with embeddings that share directions: a column's is the mean of one random
    direction for each category above it, so the decoder's inner product with the code of a history grows with kinship.
    """
    import torch

    from components.services.recommend.model import Autoencoder as Network

    drawn = np.random.default_rng(_INITIAL_SEED)
    embedding = np.zeros((len(columns), params.hidden))
    for labels in columns.levels:
        embedding += drawn.normal(size=(labels.max() + 1, params.hidden))[labels]
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    start = torch.from_numpy(embedding.astype(np.float32))
    prior = torch.from_numpy(np.log(popularity).astype(np.float32))
    return Network(
        start,
        params.kinship * start.T,
        prior,
        dropout=params.dropout,
        learning_rate=params.learning_rate,
        item_dropout=augmentation.item_dropout if augmentation else 0.0,
    )


def train(
    counted: Matrix,
    columns: Columns,
    floor: Bundle,
    params: AutoencoderParams,
    augmentation: Augmentation | None = None,
    *,
    plan: PrivacyPlan | None,
    intend: Callable[[int], None] | None = None,
    checkpoints: Path | None = None,
    canaries: Canaries | None = None,
    flags: PerformanceFlags | None = None,
    progress: Progress = no_progress,
) -> tuple[Bundle, Fitted]:
    """Return the bundle, and what the training did. Without a plan there is no privacy: a ceiling."""
    from components.training.fit import fit

    module = network(columns, columns.total(floor.popularity.astype(np.float64)), params, augmentation)
    schedule = {} if plan else {"steps": params.ceiling_steps, "batch_size": params.expected_batch_size}
    fitted = fit(
        module,
        counted,
        plan=plan,
        intend=intend,
        checkpoints=checkpoints,
        canaries=canaries,
        flags=flags,
        progress=progress,
        **schedule,
    )
    arrays: Arrays = {
        "popularity": floor.arrays["popularity"],
        "column": columns.of_item.astype(np.int32),
        **{name: tensor.detach().cpu().numpy() for name, tensor in module.state_dict().items()},
    }
    return Bundle(Config(kind="autoencoder", blend=params.blend), arrays, floor.catalogue), fitted


def taste(arrays: Arrays, counted: Matrix) -> npt.NDArray[np.float32]:
    """Return shares of taste `(users, columns)` from counts `(users, columns)`: the network's forward pass in NumPy,
    so that serving needs no PyTorch.
    """
    norm = np.sqrt(np.asarray(counted.power(2).sum(axis=1), dtype=np.float32))[:, None]
    reached = counted @ arrays["encoder.weight"].T
    code = np.tanh(reached / np.maximum(norm, 1.0) + arrays["encoder.bias"])
    logits = code @ arrays["decoder.weight"].T + arrays["decoder.bias"]
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), dtype=np.float32)


class Autoencoder:
    """The candidate, see the module."""

    name = "autoencoder"
    personal = True
    share = 0.1
    modules = (
        __name__,
        "components.services.recommend.data",
        "components.services.bundles",
        "components.services.recommend.bundle",
        "components.services.recommend.columns",
        "components.services.recommend.model",
        *descent.MODULES,
    )

    def plan(
        self, *, mu: float, delta: float, population: int, params: RecommendParams, floor: Path | None
    ) -> AutoencoderPlan:
        """Return the training whose ε at `delta` is that of a Gaussian mechanism at μ."""
        chosen = params.autoencoder
        return AutoencoderPlan(
            privacy=descent.calibrated(chosen, mu=mu, delta=delta, population=population),
            columns=params.columns,
            enough_categories=params.enough_categories,
            params=chosen,
            augmentation=params.augmentation,
            floor=digest.of_path(floor) if floor else "",
        )

    def at_noise(self, plan: AutoencoderPlan, noise_multiplier: float) -> AutoencoderPlan:
        """Return the same plan with another noise."""
        return plan.at_noise(noise_multiplier)

    def fit(
        self,
        rows: Rows,
        plan: AutoencoderPlan,
        catalogue: Catalogue,
        *,
        floor: Path | None,
        intend: Callable[[int], None],
        out: Path,
        telemetry: Path | None = None,
        canaries: Canaries | None = None,
        flags: PerformanceFlags | None = None,
        progress: Progress = no_progress,
    ) -> Event:
        """Train under the plan and write the bundle."""
        known = read_floor(floor)
        columns = partition(
            catalogue, known.popularity.astype(np.float64), limit=plan.columns, enough=plan.enough_categories
        )
        counted = columns.count(rows.matrix)
        bundle, fitted = train(
            counted,
            columns,
            known,
            plan.params,
            plan.augmentation,
            plan=plan.privacy,
            intend=intend,
            checkpoints=telemetry and telemetry / "checkpoints",
            canaries=canaries,
            flags=flags,
            progress=progress,
        )
        write_bundle(out, bundle)
        return plan.ended(fitted, telemetry)
