"""What a private step costs: time and peak memory of DP-SGD against the same Lightning model without privacy.

Rows are users, made up. Every contestant draws its batches alike (Poisson, `BATCH` users on average), trains with the
model's own optimizer, and pays for sampling; the private ones also for clipping and noise. Contestants take turns in
rounds, so that a busy machine hits all alike. A step's time is from the end of one to the end of the next. Peak memory
is that of a process of its own (on a GPU, of torch's allocator), less what it held before training. A batch is summed
in parts of at most 768 users, as shipped, save the text head's, whose rows are small; Opacus' hooks, which make every
user's gradient, take what fits into memory, and no more steps once they took half a minute: the table says how many.

    book-keeping       the private step alone
    with canaries      the same among 1,000 canary users, as `audit: on` trains
    with intents       the same, each step's intent made durable first by a ledger on this machine's disk
    as shipped         with both

    autoencoder  `recommend`'s own network, 128 wide, at the catalogues of a small and of a large shop
    ctr          a user's 8 impressions of 8 fields (28,101 ids, 16 wide), the 400-400-400 of DeepFM (2017), Adam
    ctr-million  the same with 1,000,000 ids in the first field
    text head    a user's 4 messages of 384 numbers (a frozen sentence encoder's), a linear head of 77 intents, Adam

    python bench/dp_step.py [--models text-head ctr ctr-million autoencoder-2000 …] [--steps 30] [--no-opacus]
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as lightning
import torch
from dp_models import LEAST_WIDTH, SUBJECTS, USERS
from machine import machine
from torch import Tensor
from torch.utils.data import DataLoader

from components.core.params import Cap
from components.core.private import Private
from components.privacy.canaries import Canaries
from components.privacy.ledger import Ledger
from components.privacy.plan import PerformanceFlags, PrivacyPlan
from components.privacy.release import Release
from components.training.batches import Batches, poisson
from components.training.fit import fit

BATCH, ROUND, CANARIES = 1024, 7, 1000
PLAN = PrivacyPlan(
    delta=4e-6,
    noise_multiplier=1.0,
    sample_rate=BATCH / USERS,
    max_grad_norm=1.0,
    steps=ROUND,
    expected_batch_size=BATCH,
)
Times = list[tuple[float, float]]


PEER, OURS, WATCHED, INTENDED = "without privacy", "book-keeping", "with canaries", "with intents"
SHIPPED, GHOST, HOOKS = "as shipped", "opacus ghost", "opacus hooks"
LONG = 30.0
"""Seconds of Opacus' hooks, after which they take no further steps."""


class Without(lightning.LightningModule):
    """The same model as Lightning trains it: automatic optimization of the batch's mean loss."""

    def __init__(self, module: lightning.LightningModule, after_step: Callable[[], None]) -> None:
        super().__init__()
        self.module, self._after_step = module, after_step

    def training_step(self, batch: Any) -> Tensor:
        """Return the mean loss."""
        return self.module.losses(batch).mean()

    def on_train_batch_end(self, *_: Any) -> None:
        """Tell the time."""
        self._after_step()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the model's own."""
        return self.module.configure_optimizers()


def a_round(contestant: str, module: lightning.LightningModule, rows: Any, steps: int, at_once: int) -> Times:
    """Train for `steps` and return the wall and processor seconds of all but the first."""
    ends: Times = []

    def after_step(*_: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        ends.append((time.perf_counter(), time.process_time()))

    if contestant == PEER:
        quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
        trainer = lightning.Trainer(max_epochs=1, devices=1, **quiet)
        batches = Batches(rows, poisson(rows, PLAN.sample_rate), steps)
        trainer.fit(Without(module, after_step), DataLoader(batches, batch_size=None))
    else:
        mode = {GHOST: "ghost", HOOKS: "hooks"}.get(contestant, "book_keeping")
        flags = PerformanceFlags(grad_sample_mode=mode, physical_batch_size=at_once)
        plan = PLAN.model_copy(update={"steps": steps})
        canaries = Canaries.flipped(CANARIES) if contestant in (WATCHED, SHIPPED) else None
        with _intents(plan) if contestant in (INTENDED, SHIPPED) else nullcontext(lambda steps: None) as intend:
            fit(module, rows, plan=plan, intend=intend, flags=flags, canaries=canaries, progress=after_step)
    return [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(ends)]


@contextmanager
def _intents(plan: PrivacyPlan) -> Iterator[Callable[[int], None]]:
    """A training's own: a row of a fresh ledger for each step, on the disk before its noise is drawn."""
    with tempfile.TemporaryDirectory() as home:
        account = {"blocks": ("2000Q1",), "split": "train"}
        release = Release(mechanism="bench", service="bench", sensitivity=plan.sensitivity, event=plan.event, **account)
        nothing: Private[None] = Private(_load=lambda: None, digest="made up", **account)
        ledger = Ledger.open(Path(home), Cap(epsilon=100, delta=plan.delta))
        with ledger.release(release, key="bench", of=nothing) as opened:
            yield opened.intend


def _at_once(name: str, contestant: str) -> int:
    """Return how many users of a batch a contestant sums at once."""
    return SUBJECTS[name].hooks_at_once if contestant == HOOKS else SUBJECTS[name].at_once


def times(name: str, steps: int, contestants: list[str]) -> dict[str, tuple[float, float, int]]:
    """Return each contestant's median wall and processor seconds a step, taken in turns, and of how many steps."""
    rows, found = SUBJECTS[name].rows(), {one: Times() for one in contestants}
    modules = {one: SUBJECTS[name].model() for one in contestants}
    for number in range(-(-steps // (ROUND - 1))):
        for one in contestants if number % 2 == 0 else contestants[::-1]:
            if one == HOOKS and sum(wall for wall, _ in found[one]) > LONG / 2:
                continue  # half, since the first step of each round is not counted
            taken = 3 if one == HOOKS else ROUND
            found[one] += a_round(one, modules[one], rows, taken, _at_once(name, one))
    return {one: (*map(statistics.median, zip(*each, strict=True)), len(each)) for one, each in found.items()}


def peak(name: str, contestant: str) -> float:
    """Return the MB that a few steps need beyond rows, model and libraries. To be run in a process of its own."""
    rows, module = SUBJECTS[name].rows(), SUBJECTS[name].model()
    few = np.zeros((2, LEAST_WIDTH), np.float32)
    a_round(contestant, SUBJECTS["text-head"].model(), few, 2, 2)  # libraries are loaded
    steps = 1 if contestant == HOOKS else 3
    return peak_of(lambda: a_round(contestant, module, rows, steps, _at_once(name, contestant)), module)


def peak_of(training: Callable[[], Any], module: torch.nn.Module) -> float:
    """Return the MB that `training` needs at its highest beyond what is held before it, and the model of a GPU."""
    if torch.cuda.is_available():  # the model comes to a GPU within the training, and is no part of what it needs
        torch.cuda.reset_peak_memory_stats()
        model = sum(part.numel() * part.element_size() for part in [*module.parameters(), *module.buffers()])
        before = torch.cuda.memory_allocated() + model
        training()
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    training()
    return _resident("VmHWM") - before


def _resident(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key + ":")) * 1024 / 1e6


def _elsewhere(*arguments: str) -> Any:
    """Return what this script prints when run in another process."""
    tidy = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"} if "--peak" in arguments else {}
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | tidy)
    return json.loads(done.stdout.splitlines()[-1])


def compared(name: str, steps: int, contestants: list[str]) -> dict[str, Any]:
    """Print one model's table and return its line of the result."""
    seconds = _elsewhere("--times", name, "--steps", str(steps), "--contestants", *contestants)
    print(f"\n{name}: batches of {BATCH} users on average, of {USERS:,}")
    head = [f"{unit:>{width}}{'ratio':>8}" for unit, width in (("ms a step", 12), ("cpu ms", 10), ("peak MB", 10))]
    print(f"{'median of':16}{'steps':>6}{''.join(head)}")
    megabytes = {one: _elsewhere("--peak", name, "--contestants", one) for one in contestants}
    for one in contestants:
        figures = (seconds[one][0] * 1e3, seconds[one][1] * 1e3, megabytes[one])
        of_peer = (seconds[PEER][0] * 1e3, seconds[PEER][1] * 1e3, megabytes[PEER])
        cells = [f"{a:>{w}.1f}{a / b:>8.2f}" for a, b, w in zip(figures, of_peer, (12, 10, 10), strict=True)]
        print(f"{one:16}{seconds[one][2]:>6}{''.join(cells)}", flush=True)
    (ours, ours_cpu, _), (peer, peer_cpu, _) = seconds[OURS], seconds[PEER]
    others = {one: round(seconds[one][0] / peer, 2) for one in contestants if one not in (OURS, PEER)}
    return {
        "name": name,
        "ours": round(ours * 1e3, 2),
        "peer": round(peer * 1e3, 2),
        "ratio": round(ours / peer, 3),
        "unit": "ms a step",
        "cores": os.cpu_count(),
        "cpu_ratio": round(ours_cpu / peer_cpu, 3),
        "memory_ratio": round(megabytes[OURS] / megabytes[PEER], 3),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        **others,
    }


def main() -> None:
    asked = _arguments()
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    if asked.times:
        print(json.dumps(times(asked.times, asked.steps, asked.contestants)))
    elif asked.peak:
        print(json.dumps(peak(asked.peak, asked.contestants[0])))
    else:
        contestants = [PEER, OURS, WATCHED, INTENDED, SHIPPED, *([] if asked.no_opacus else [GHOST, HOOKS])]
        print(machine())
        print(json.dumps([compared(name, asked.steps, contestants) for name in asked.models]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(SUBJECTS), choices=list(SUBJECTS))
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--no-opacus", action="store_true", help="leave out Opacus' modes, which take most of the time")
    for name in ("--times", "--peak"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    parser.add_argument("--contestants", nargs="+", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
