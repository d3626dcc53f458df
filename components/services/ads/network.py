"""A small click network that starts from the released rates, by user-level DP-SGD."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from components.core import digest
from components.core.params import PerformanceFlags
from components.core.progress import Progress, no_progress
from components.privacy.canaries import Canaries
from components.privacy.plan import PrivacyPlan
from components.privacy.release import Event
from components.services.ads.bundle import Arrays, Bundle, read_floor, write_bundle
from components.services.ads.data import Catalogue, Rows
from components.services.ads.features import POSITIONS, space
from components.services.ads.forward import prior
from components.services.ads.inputs import inputs
from components.services.ads.params import AdsParams, NetworkParams
from components.training import descent

if TYPE_CHECKING:
    from components.services.ads.model import Network as Module
    from components.training.fit import Fitted

_INITIAL_SEED = 20160915  # any fixed number: the start of the weights is public
_PASSES, _LEAST_STEPS = 40, 100
"""Over 4,776 users of the simulated shop 400 steps are 171 passes: AUC 0.6858 after them, 0.6868 after 100 steps."""


class NetworkPlan(descent.DescentPlan):
    """Everything that shapes the network's training."""

    params: NetworkParams


def module(floor: Bundle, params: NetworkParams) -> Module:
    """Return the untrained network."""
    import torch

    from components.services.ads.model import Network as Module

    found = space(floor.catalogue)
    ads = np.arange(1 + len(floor.catalogue))
    start = prior(floor, np.repeat(ads, POSITIONS), np.tile(np.arange(POSITIONS), len(ads)))
    return Module(
        torch.from_numpy(found.of_ad),
        torch.from_numpy(found.starts[5:]),
        found.size,
        torch.from_numpy(start.reshape(len(ads), POSITIONS).astype(np.float32)),
        width=params.width,
        hidden=params.hidden,
        learning_rate=params.learning_rate,
        seed=_INITIAL_SEED,
    )


def ceiling_steps(users: int, params: NetworkParams) -> int:
    """Return the steps of a training without privacy: no more than so many passes, after which it learns by heart."""
    passes = math.ceil(_PASSES * users / params.expected_batch_size)
    return min(params.ceiling_steps, max(_LEAST_STEPS, passes))


def train(
    rows: Rows,
    floor: Bundle,
    params: NetworkParams,
    *,
    plan: PrivacyPlan | None,
    intend: Callable[[int], None] | None = None,
    checkpoints: Path | None = None,
    canaries: Canaries | None = None,
    flags: PerformanceFlags | None = None,
    progress: Progress = no_progress,
) -> tuple[Bundle, Fitted]:
    """Return the bundle, and what the training did. Without a plan there is no privacy: a ceiling.

    The rows must count by the catalogue of `floor`.
    """
    from components.training.fit import fit

    trained = module(floor, params)
    schedule = {} if plan else {"steps": ceiling_steps(len(rows), params), "batch_size": params.expected_batch_size}
    fitted = fit(
        trained,
        inputs(rows, floor),
        plan=plan,
        intend=intend,
        checkpoints=checkpoints,
        canaries=canaries,
        flags=flags,
        progress=progress,
        **schedule,
    )
    weights: Arrays = {name: tensor.detach().cpu().numpy() for name, tensor in trained.state_dict().items()}
    config = floor.config.model_copy(update={"kind": "network"})
    return Bundle(config, {**floor.arrays, **weights}, floor.catalogue), fitted


class Network:
    """The candidate, see the module."""

    name = "network"
    personal = True
    share = 0.3
    modules = (
        __name__,
        "components.services.ads.data",
        "components.services.ads.features",
        "components.services.ads.figures",
        "components.services.ads.inputs",
        "components.services.ads.order",
        "components.services.ads.forward",
        "components.services.bundles",
        "components.services.ads.bundle",
        "components.services.ads.model",
        *descent.MODULES,
    )

    def plan(self, *, mu: float, delta: float, population: int, params: AdsParams, floor: Path | None) -> NetworkPlan:
        """Return the training whose ε at `delta` is that of a Gaussian mechanism at μ."""
        chosen = params.network
        return NetworkPlan(
            privacy=descent.calibrated(chosen, mu=mu, delta=delta, population=population),
            params=chosen,
            floor=digest.of_path(floor) if floor else "",
        )

    def at_noise(self, plan: NetworkPlan, noise_multiplier: float) -> NetworkPlan:
        """Return the same plan with another noise."""
        return plan.at_noise(noise_multiplier)

    def fit(
        self,
        rows: Rows,
        plan: NetworkPlan,
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
        bundle, fitted = train(
            rows,
            read_floor(floor),
            plan.params,
            plan=plan.privacy,
            intend=intend,
            checkpoints=telemetry and telemetry / "checkpoints",
            canaries=canaries,
            flags=flags,
            progress=progress,
        )
        write_bundle(out, bundle)
        return plan.ended(fitted, telemetry)
