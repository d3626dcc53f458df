"""The detector of a training on two devices: who is in a step, over both, and how much noise is in it."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytorch_lightning as lightning
import torch
from torch import Tensor, nn

from components.privacy.draws import Fault, noise_faults, poisson_faults
from components.privacy.plan import PerformanceFlags
from components.privacy.trace import traced
from components.training import fit as room
from tests.mutations.mistakes.ranks import as_the_parent
from tests.unit.training.toy import plan_of

PLAN = plan_of(steps=100, noise_multiplier=1.0, sample_rate=0.1, expected_batch_size=25.0)
USERS = 300
_IDLE = 400


class Noted(lightning.LightningModule):
    """Notes which users are in each rank's steps: a row's first entry is its number. A layer moves by noise alone."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.seen = folder, list[int]()
        self.layer, self.idle = nn.Linear(2, 1, bias=False), nn.Linear(2, _IDLE // 2, bias=False)

    def losses(self, batch: Tensor) -> Tensor:
        self.seen += batch[:, 0].detach().round().long().tolist()
        return self.layer(batch / 1000).square().sum(dim=1) + 0 * self.idle(batch).sum(dim=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        if multiprocessing.parent_process() is not None:
            as_the_parent()
        optimizer = torch.optim.SGD(self.parameters(), lr=0.0)
        optimizer.register_step_post_hook(lambda *_: self.note())
        return optimizer

    def note(self) -> None:
        rank = torch.distributed.get_rank()
        with (self.folder / f"{rank}.txt").open("a") as notes:
            notes.write(" ".join(map(str, self.seen)) + "\n")
        self.seen.clear()


def training(folder: Path) -> list[Fault]:
    """Train on two processes; the samples of both together are Poisson's, and the noise is one process's."""
    rows = np.column_stack([np.arange(1, USERS + 1), np.ones(USERS)]).astype(np.float32)
    module, flags = Noted(folder), PerformanceFlags(devices=2, accelerator="cpu")
    probed = [True]

    def intend(steps: int) -> None:
        if probed.pop() if probed else False:
            module.seen.clear()

    with traced(normaliser=PLAN.expected_batch_size) as trace:
        room.fit(module, rows, plan=PLAN, intend=intend, flags=flags)
    noise = [answer.value[-_IDLE:] for answer in trace.answers]
    found = noise_faults(noise, [PLAN.noise_multiplier * PLAN.sensitivity] * len(noise))
    ranks = [(folder / f"{rank}.txt").read_text().splitlines() for rank in range(2)]
    steps = [np.array(f"{one} {two}".split(), dtype=np.int64) - 1 for one, two in zip(*ranks, strict=True)]
    return found + poisson_faults(steps[1:], USERS, PLAN.sample_rate)  # the other rank's first holds its made-up rows
