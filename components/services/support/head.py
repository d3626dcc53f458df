"""A linear head over the frozen encoder, by user-level DP-SGD.

It starts from what is public or already released: the sentence that describes each intent as its weights, and the
floor's counts as its bias, so that before the first step it answers by likeness to the descriptions.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.core import digest
from components.core.params import PerformanceFlags
from components.core.progress import Progress, no_progress
from components.language.encoder import SIZE
from components.language.variations import drawn_from, paraphrased, with_typos
from components.privacy.canaries import Canaries
from components.privacy.plan import PrivacyPlan
from components.privacy.release import Event
from components.services.support.bundle import Bundle, read_floor, write_bundle
from components.services.support.data import Catalogue, Floats, Rows
from components.services.support.params import Augmentation, HeadParams, SupportParams
from components.training import descent

if TYPE_CHECKING:
    from components.training.fit import Fitted


_MOST_LONGER = 4.0


class HeadPlan(descent.DescentPlan):
    """Everything that shapes the head's training."""

    params: SupportParams


def matrix(rows: Rows, augmentation: Augmentation | None = None) -> Floats:
    """Return what the model reads, `(users, most · (1 + copies) · (SIZE + 2))`: each row of that user alone.

    A variation follows from its message and nothing else, and it is one more message of the same row, whose loss is the
    mean of all: sensitivity and charge are those without it.
    """
    augmentation = augmentation or Augmentation()
    copies = augmentation.copies
    answer = np.zeros((len(rows), rows.most, 1 + copies, SIZE + 2), dtype=np.float32)
    turn = np.arange(len(rows.owners)) - np.searchsorted(rows.owners, rows.owners)
    answer[rows.owners, turn, 0, :SIZE] = rows.vectors
    for copy in range(copies):
        texts = [varied(text, augmentation, copy) for text in rows.texts]
        answer[rows.owners, turn, 1 + copy, :SIZE] = rows.encoded(texts)
    answer[rows.owners, turn, :, SIZE] = rows.intents[:, None]
    answer[rows.owners, turn, :, SIZE + 1] = 1
    return answer.reshape(len(rows), int(np.prod(answer.shape[1:])))


def varied(text: str, augmentation: Augmentation, copy: int) -> str:
    """Return a variation of a message, by number: of the message alone."""
    drawn = drawn_from(text, copy)
    said = paraphrased(text, augmentation.templates, augmentation.paraphrase, drawn)
    return with_typos(said, augmentation.typos, drawn)


def start(floor: Bundle, params: HeadParams) -> Floats:
    """Return the weights before the first step, `(intents, SIZE)`: an intent's description, less the mean of all.

    Out of scope has no description and starts at 0, which is the mean.
    """
    described = floor.arrays["described"].astype(np.float32)
    return np.asarray(params.trust * np.r_[described[:-1] - described[:-1].mean(axis=0), described[-1:]])


def learning_rate(params: HeadParams, population: int) -> float:
    """Return the learning rate for at least `population` users, as they were counted: with more of them there is less
    noise in a step, so that it may be longer.
    """
    return params.learning_rate * float(np.clip(np.sqrt(population / 1000), 0.5, _MOST_LONGER))


def train(
    rows: Rows,
    floor: Bundle,
    params: HeadParams,
    *,
    plan: PrivacyPlan | None,
    augmentation: Augmentation | None = None,
    intend: Callable[[int], None] | None = None,
    checkpoints: Path | None = None,
    canaries: Canaries | None = None,
    flags: PerformanceFlags | None = None,
    progress: Progress = no_progress,
) -> tuple[Bundle, Fitted]:
    """Return the bundle, and what the training did. Without a plan there is no privacy: a ceiling."""
    import torch

    from components.services.support.model import Head as Network
    from components.training.fit import fit

    module = Network(
        torch.from_numpy(start(floor, params)),
        torch.from_numpy(floor.arrays["bias"].astype(np.float32)),
        learning_rate=params.learning_rate,
    )
    schedule: dict[str, Any] = {} if plan else {"steps": params.ceiling_steps, "batch_size": params.expected_batch_size}
    fitted = fit(
        module,
        matrix(rows, augmentation),
        plan=plan,
        intend=intend,
        checkpoints=checkpoints,
        canaries=canaries,
        flags=flags,
        progress=progress,
        **schedule,
    )
    learnt = {name: tensor.detach().cpu().numpy() for name, tensor in module.linear.state_dict().items()}
    config = floor.config.model_copy(update={"kind": "head"})
    return Bundle(config, {**floor.arrays, **learnt}, floor.items, floor.passages), fitted


class Head:
    """The candidate, see the module."""

    name = "head"
    personal = True
    share = 0.95
    modules = (
        __name__,
        "components.services.bundles",
        "components.services.support.bundle",
        "components.services.support.data",
        "components.services.support.model",
        "components.services.support.policies",
        "components.language.encoder",
        "components.language.variations",
        *descent.MODULES,
    )

    def plan(self, *, mu: float, delta: float, population: int, params: SupportParams, floor: Path | None) -> HeadPlan:
        """Return the training whose ε at `delta` is that of a Gaussian mechanism at μ."""
        chosen = params.head.model_copy(update={"learning_rate": learning_rate(params.head, population)})
        return HeadPlan(
            privacy=descent.calibrated(chosen, mu=mu, delta=delta, population=population),
            params=params.model_copy(update={"head": chosen}),
            floor=digest.of_path(floor) if floor else "",
        )

    def at_noise(self, plan: HeadPlan, noise_multiplier: float) -> HeadPlan:
        """Return the same plan with another noise."""
        return plan.at_noise(noise_multiplier)

    def fit(
        self,
        rows: Rows,
        plan: HeadPlan,
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
            plan.params.head,
            plan=plan.privacy,
            augmentation=plan.params.augmentation,
            intend=intend,
            checkpoints=telemetry and telemetry / "checkpoints",
            canaries=canaries,
            flags=flags,
            progress=progress,
        )
        write_bundle(out, bundle)
        return plan.ended(fitted, telemetry)
