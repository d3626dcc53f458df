"""The toy service with a candidate that is trained by DP-SGD, in steps that can be killed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.core.progress import Progress, no_progress
from components.privacy.plan import PrivacyPlan
from components.privacy.release import SampledGaussian
from components.training.descent import DescentPlan
from components.training.fit import fit
from tests.unit.stages import toy
from tests.unit.training.toy import ITEMS, Autoencoder

STEPS, LIKED = 12, 3


@dataclass(frozen=True)
class Descent:
    """Learns which items everybody likes; its number says how even the model's answer is over them."""

    name: str = "descent"
    personal: bool = True
    share: float = 2.0
    modules: tuple[str, ...] = (__name__,)

    def plan(self, *, mu: float, delta: float, population: int, params: Any, floor: Path | None) -> DescentPlan:
        facts = {"expected_batch_size": 200, "steps": STEPS, "max_grad_norm": 1.0}
        privacy = PrivacyPlan.calibrate(mu=mu, delta=delta, population=population, **facts)
        return DescentPlan(privacy=privacy, floor=floor.name if floor else "")

    def at_noise(self, plan: DescentPlan, noise_multiplier: float) -> DescentPlan:
        return plan.at_noise(noise_multiplier)

    def fit(
        self,
        rows: np.ndarray,
        plan: DescentPlan,
        catalogue: Any,
        *,
        intend: Callable[[int], None],
        out: Path,
        floor: Path | None,
        telemetry: Path | None = None,
        progress: Progress = no_progress,
        **options: Any,
    ) -> SampledGaussian:
        torch.manual_seed(0)
        module, liked = Autoencoder(learning_rate=0.2), np.zeros((len(rows), ITEMS), dtype=np.float32)
        liked[:, :LIKED] = 1
        fitted = fit(
            module,
            liked,
            plan=plan.privacy,
            intend=intend,
            checkpoints=telemetry and telemetry / "checkpoints",
            checkpoint_every=3,
            progress=progress,
            **options,
        )
        with torch.no_grad():
            odds = torch.softmax(module.decoder(torch.tanh(module.encoder(torch.eye(ITEMS)[:1]))), dim=1)
        (out / "number").write_text(repr(min(1.0, LIKED * float(odds[0, :LIKED].min()))))
        return plan.ended(fitted, None)


SERVICE = replace(toy.SERVICE, candidates={one.name: one for one in (toy.SERVICE.floor, Descent())})
