"""A training by `once` that is killed at ten random moments of its steps, and resumed until it ends.

Run as `python -m tests.fire.training HOME SEED`. It forks each attempt after the libraries are loaded, and before any
of them has threads; every step that drew noise leaves a line in HOME/drawn.
"""

from __future__ import annotations

import os
import random
import sys
from functools import partial
from pathlib import Path

import torch

from components.privacy.engine import DPSGD
from components.privacy.ledger import once
from components.training.fit import fit
from tests.fire.forks import die, fork, wait
from tests.unit.privacy.builders import open_ledger, private, release_of
from tests.unit.training.toy import Autoencoder, plan_of, rows_of

KILLS, STEPS, EVERY = 10, 60, 4
PLAN = plan_of(noise_multiplier=8.0, steps=STEPS)


def attempt(home: Path, moment: int) -> None:
    """Train, from the last checkpoint on; die at a moment, each step having four: about its intent and its noise."""
    torch.set_num_threads(1)
    left = moment

    def passing(line: str = "") -> None:
        nonlocal left
        if line:
            file = os.open(home / "drawn", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.write(file, f"{line}\n".encode())
            os.close(file)
        left -= 1
        if left == 0:
            die()

    real = DPSGD.step

    def step(self, batch):
        loss = real(self, batch)
        passing("step")
        return loss

    DPSGD.step = step

    def mechanism(rows, intend, out):
        def intended(steps):
            passing()
            intend(steps)
            passing()

        fitted = fit(
            Autoencoder(),
            rows,
            plan=PLAN,
            intend=intended,
            checkpoints=home / "checkpoints",
            checkpoint_every=EVERY,
            progress=lambda *_: passing(),
        )
        (out / "resumed").write_text(str(fitted.resumed_from))
        return PLAN.event.model_copy(update={"steps": fitted.steps})

    once(open_ledger(home), release_of(PLAN.event), "k", private(rows_of()), mechanism)


if __name__ == "__main__":
    place, lot = Path(sys.argv[1]), random.Random(int(sys.argv[2]))
    # Any of the first six steps, so that none gets past two checkpoints, and at least one gets past the first.
    moments = [lot.randint(4 * EVERY + 1, 6 * EVERY), *(lot.randint(1, 6 * EVERY) for _ in range(KILLS - 1))]
    lot.shuffle(moments)
    ended = [wait(fork(partial(attempt, place, moment))) for moment in moments]
    print(*ended, wait(fork(partial(attempt, place, 0))))
