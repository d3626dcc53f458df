"""The floor: how often each intent is written about, by one Gaussian release; the same answer to everyone.

Each user adds the shares of the intents among the own messages: a vector of L1 norm 1, so of L2 norm at most 1.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field
from scipy import sparse

from components.core.params import PerformanceFlags
from components.core.progress import Progress, no_progress
from components.privacy import mechanisms
from components.privacy.canaries import Canaries
from components.privacy.release import Gaussian
from components.services.support.bundle import Bundle, public_part, write_bundle
from components.services.support.data import Catalogue, Rows
from components.services.support.params import SupportParams
from components.services.support.policies import Passage, read_policies


class PriorPlan(BaseModel):
    """Everything that shapes the floor's release."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    noise_multiplier: float = Field(gt=0)
    params: SupportParams
    passages: tuple[Passage, ...]
    """The bundle carries the policy texts: with another text it is another release."""
    sensitivity: float = 1.0
    """One user adds a vector of L2 norm 1 at most."""

    @property
    def event(self) -> Gaussian:
        """What the accountants compose."""
        return Gaussian(noise_multiplier=self.noise_multiplier)


def parts(rows: Rows) -> npt.NDArray[np.float64]:
    """Return what each user adds, `(users, intents)`: private, each of L1 norm 1."""
    return rows.means(np.eye(len(rows.names))[rows.intents])


def log_shares(noised: npt.NDArray[np.float64], sigma: float) -> npt.NDArray[np.float32]:
    """Return logarithms of positive shares of sum 1; what the noise hides is small, in its order."""
    least = max(sigma, 0.5)
    positive = np.where(noised > least, noised, least * np.exp(np.clip(noised / least - 1, -20, 0)))
    return np.asarray(np.log(positive / positive.sum()), dtype=np.float32)


def bundle_of(catalogue: Catalogue, params: SupportParams, summed: npt.NDArray[np.float64], sigma: float) -> Bundle:
    """Return the floor of noised counts, `(intents,)`."""
    config, arrays = public_part(catalogue, params)
    return Bundle(config, {**arrays, "bias": log_shares(summed, sigma)}, catalogue.table, catalogue.passages)


class Prior:
    """The candidate, see the module."""

    name = "prior"
    personal = False
    share = 0.05
    modules = (
        __name__,
        "components.services.bundles",
        "components.services.support.bundle",
        "components.services.support.data",
        "components.services.support.policies",
        "components.language.encoder",
        "components.privacy.canaries",
        "components.privacy.mechanisms",
    )

    def plan(self, *, mu: float, delta: float, population: int, params: SupportParams, floor: Path | None) -> PriorPlan:
        """Return the release at μ: σ = sensitivity ÷ μ."""
        return PriorPlan(noise_multiplier=1 / mu, params=params, passages=read_policies(params.policies))

    def at_noise(self, plan: PriorPlan, noise_multiplier: float) -> PriorPlan:
        """Return the same plan with another noise."""
        return plan.model_copy(update={"noise_multiplier": noise_multiplier})

    def fit(
        self,
        rows: Rows,
        plan: PriorPlan,
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
        """Release the counts and write the bundle."""
        intend(1)
        mine = sparse.csr_array(parts(rows))
        added = canaries.as_items(mine) if canaries else mine
        summed = np.asarray(added.sum(axis=0), dtype=np.float64).ravel()
        noised = mechanisms.noised_sum(summed, plan.sensitivity, plan.noise_multiplier)
        noised, reserved = np.split(noised, [len(rows.names)])
        if canaries:
            canaries.observe(reserved / plan.sensitivity)
        write_bundle(out, bundle_of(catalogue, plan.params, noised, plan.sensitivity * plan.noise_multiplier))
        return plan.event
