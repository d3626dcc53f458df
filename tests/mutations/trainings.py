"""Detectors of a training by DP-SGD: a toy model through the real loop, engine and sampler. None finds a fault."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytorch_lightning as lightning
import torch
from torch import Tensor, nn

from components.core.errors import ContractBroken
from components.privacy import engine
from components.privacy.accounting import epsilon_of
from components.privacy.canaries import Canaries
from components.privacy.draws import Fault, noise_faults, poisson_faults
from components.privacy.lower_bounds import bounds
from components.privacy.plan import PrivacyPlan
from components.privacy.release import Event
from components.privacy.replay import replay
from components.privacy.trace import Trace, traced
from components.training import checkpoint
from components.training import fit as room
from tests.unit.training.toy import ITEMS, plan_of, rows_of, vector

PLAN = plan_of(steps=4, noise_multiplier=1.0, sample_rate=0.2, expected_batch_size=20.0)
LONG = plan_of(steps=120, noise_multiplier=1.0, sample_rate=0.1, expected_batch_size=25.0)
AUDITED = plan_of(noise_multiplier=1.5, steps=60, sample_rate=0.1, expected_batch_size=40.0)
POISON = -5.0
"""An entry that makes this model's loss NaN: the loader takes NaN out of rows, so a model must make it itself."""


class Toy(lightning.LightningModule):
    """A small autoencoder whose rows do not act on each other."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.encoder, self.decoder = nn.Linear(ITEMS, 6), nn.Linear(6, ITEMS)

    def losses(self, batch: Tensor) -> Tensor:
        logits = self.decoder(torch.tanh(self.encoder(batch)))
        return -(batch * torch.log_softmax(logits, dim=1)).sum(dim=1) + 0 * torch.log1p(batch).sum(dim=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)


class Centred(Toy):
    """Subtracts the batch's mean: a layer across examples that no list of layers knows."""

    def losses(self, batch: Tensor) -> Tensor:
        centred = batch - batch.mean(dim=0) if len(batch) else batch
        logits = self.decoder(torch.tanh(self.encoder(centred)))
        return -(batch * torch.log_softmax(logits, dim=1)).sum(dim=1)


class Normalised(Toy):
    """Normalises over the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(6, affine=False, track_running_stats=False)

    def losses(self, batch: Tensor) -> Tensor:
        code = self.encoder(batch)
        logits = self.decoder(torch.tanh(self.norm(code) if len(batch) > 1 else code))
        return -(batch * torch.log_softmax(logits, dim=1)).sum(dim=1)


class Numbered(lightning.LightningModule):
    """Reads which users are in a batch: a row's first entry is its number, counted from 1."""

    def __init__(self, seen: list[int]) -> None:
        super().__init__()
        self.layer, self.seen = nn.Linear(2, 1), seen

    def losses(self, batch: Tensor) -> Tensor:
        self.seen += (batch[:, 0].detach().round().long() - 1).tolist()
        return self.layer(batch / 1000).square().sum(dim=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


def training(model: Callable[[], lightning.LightningModule] = Toy, plan: PrivacyPlan = PLAN) -> list[Fault]:
    """Replay a training on users that saturate the clip, are copies, are huge, or are not finite."""

    def mechanism(rows: np.ndarray, intend: Callable[[int], None], out: Path) -> Event:
        module = model()
        fitted = room.fit(module, rows, plan=plan, intend=intend)
        state = [value.numpy() for value in module.state_dict().values()]
        (out / "weights").write_bytes(b"".join(value.tobytes() for value in state))
        return plan.event.model_copy(update={"steps": fitted.steps})

    rows = rows_of(60).toarray()
    one = np.ones(ITEMS, dtype=np.float32)
    added = {"saturating": one, "copy": rows[0], "huge": 1e6 * one, "beyond": 1e30 * one, "poison": POISON * one}
    neighbours = {name: np.vstack([rows, row]) for name, row in added.items()}
    try:
        return list(replay(mechanism, plan, rows, neighbours=neighbours, nobody=rows[:0]).faults)
    except ContractBroken as refused:
        return [Fault("refused", str(refused), "a model whose users can be clipped")]


def batches(plan: PrivacyPlan = LONG, users: int = 300) -> list[Fault]:
    """Judge the batches that really reach the model, step by step."""
    activity = np.random.default_rng(0).geometric(0.2, size=users)
    rows = np.column_stack([np.arange(1, users + 1), activity]).astype(np.float32)
    seen: list[int] = []
    samples: list[np.ndarray] = []

    def after_step(done: int, total: int | None = None) -> None:
        samples.append(np.unique(seen))  # the engine may read a batch more than once
        seen.clear()

    def before_step(steps: int) -> None:
        seen.clear()  # of made-up rows that the model was checked on

    room.fit(Numbered(seen), rows, plan=plan, intend=before_step, progress=after_step)
    return poisson_faults(samples, users, plan.sample_rate)


def resumed(folder: Path, steps: int = 10, killed_at: int = 7) -> list[Fault]:
    """Kill a training, take it up twice from the same checkpoint, and compare what was drawn with what was intended.

    Its rows are nobody's, so all that reaches the optimizer is noise.
    """
    plan, nobody = PLAN.model_copy(update={"steps": steps}), rows_of(5).toarray()[:0]

    def run(kill: int | None) -> Trace:
        with traced(normaliser=plan.expected_batch_size) as trace:

            def intend(steps: int) -> None:
                trace.intend(steps)
                if trace.intended == kill:
                    raise Killed

            with suppress(Killed):
                room.fit(Toy(), nobody, plan=plan, intend=intend, checkpoints=folder, checkpoint_every=5)
        return trace

    traces = [run(killed_at)]
    kept = (folder / checkpoint.NAME).read_bytes()
    for _ in range(2):
        (folder / checkpoint.NAME).write_bytes(kept)
        traces.append(run(None))
    late = sum(answer.intended < place for trace in traces for place, answer in enumerate(trace.answers, start=1))
    found = [Fault("intent", f"{late} answers were drawn before they were intended", "0")] if late else []
    drawn = [answer.value for trace in traces for answer in trace.answers]
    return found + noise_faults(drawn, [plan.noise_multiplier * plan.sensitivity] * len(drawn))


def audit() -> list[Fault]:
    """Audit a training by its canaries, twice: the lower of two bounds must not exceed the claim."""
    proved = []
    for _ in range(2):
        canaries = Canaries.flipped(1000)
        room.fit(Toy(), rows_of(), plan=AUDITED, intend=lambda steps: None, canaries=canaries)
        proved.append(bounds(canaries.required(), AUDITED.event, AUDITED.delta).epsilon)
    claimed = epsilon_of([AUDITED.event], AUDITED.delta)
    return [Fault("audit", f"ε is at least {min(proved):.3g}", f"{claimed:.3g}")] if min(proved) > claimed else []


def beside() -> list[Fault]:
    """Train without noise beside canaries and without: they move no weight, and each weighs what one user may."""
    plan, rows, weights = plan_of(sample_rate=1.0, steps=4, expected_batch_size=400.0), rows_of(), []
    canaries = Canaries.flipped(300)
    with patch.object(engine, "add_noise_", lambda sums, sigma, scale=1.0: [one.mul_(scale) for one in sums]):
        for those in (None, canaries):
            module = Toy()
            room.fit(module, rows, plan=plan, intend=lambda steps: None, canaries=those)
            weights.append(vector(module))
    found = []
    if (away := float((weights[0] - weights[1]).abs().max())) > 1e-5:
        found.append(Fault("canaries", f"they move weights by {away:.2g}", "0"))
    due = canaries.users * canaries.inserted * np.sqrt(plan.steps)
    if (off := float(np.abs(canaries.required().scores - due).max())) > 1e-3:
        found.append(Fault("canaries", f"one of them weighs {off:.2g} more or less", "one user's part"))
    return found


class Killed(Exception):
    """Ends a training as a signal would."""
