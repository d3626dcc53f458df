"""What a private step costs: time and peak memory of DP-SGD against the same Lightning model without privacy.

Rows are users, made up. Every contestant draws its batches alike (Poisson, `BATCH` users on average), trains with the
model's own optimizer, and pays for sampling; the private ones also for clipping and noise. Contestants take turns in
rounds, so that a busy machine hits all alike. A step's time is from the end of one to the end of the next. Peak memory
is that of a process of its own (on a GPU, of torch's allocator), less what it held before training. The ledger's
intents are left out. A batch is summed in parts of at most 768 users, as shipped, save the text head's, whose rows are
small; hooks, which make every user's gradient, take what fits into memory, and fewer steps.

    autoencoder  `recommend`'s own network, 128 wide, at the catalogues of a small and of a large shop
    ctr          a user's 8 impressions of 8 fields (28,101 ids, 16 wide), the 400-400-400 of DeepFM (2017), Adam
    text head    a user's 4 messages of 384 numbers (a frozen sentence encoder's), a linear head of 77 intents, Adam

    python bench/dp_step.py [--models text-head ctr autoencoder-2000 autoencoder-20000] [--steps 30] [--no-opacus]
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as lightning
import scipy.sparse as sparse
import torch
from machine import machine
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from components.privacy.plan import PerformanceFlags, PrivacyPlan
from components.services.recommend.model import Autoencoder
from components.training.batches import Batches, poisson
from components.training.fit import fit

USERS, BATCH, ROUND = 25_000, 1024, 7
ITEMS_PER_USER, HIDDEN = 30, 128
IMPRESSIONS, FIELDS, WIDTH = 8, (20_000, 5_000, 2_000, 1_000, 50, 24, 20, 7), 16
MESSAGES, ENCODED, INTENTS = 4, 384, 77
PLAN = PrivacyPlan(
    delta=4e-6,
    noise_multiplier=1.0,
    sample_rate=BATCH / USERS,
    max_grad_norm=1.0,
    steps=ROUND,
    expected_batch_size=BATCH,
)
Times = list[tuple[float, float]]


class Ctr(lightning.LightningModule):
    """Clicks by embeddings of fields and a perceptron of DeepFM's size; a user's loss is the mean over impressions."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(size, WIDTH) for size in FIELDS)
        widths = [WIDTH * len(FIELDS), 400, 400, 400]
        hidden = [part for pair in pairwise(widths) for part in (nn.Linear(*pair), nn.ReLU())]
        self.perceptron = nn.Sequential(*hidden, nn.Linear(widths[-1], 1))

    def losses(self, rows: Tensor) -> Tensor:
        """Return each user's loss."""
        seen = rows.reshape(len(rows), IMPRESSIONS, len(FIELDS) + 1)
        ids, clicked = seen[:, :, :-1].long(), seen[:, :, -1]
        embedded = torch.cat([table(ids[:, :, field]) for field, table in enumerate(self.tables)], dim=2)
        scores = self.perceptron(embedded).squeeze(2)
        return functional.binary_cross_entropy_with_logits(scores, clicked, reduction="none").mean(dim=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the model's own."""
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class TextHead(lightning.LightningModule):
    """Intents of messages by one linear layer on their encodings; a user's loss is the mean over messages."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(ENCODED, INTENTS)

    def losses(self, rows: Tensor) -> Tensor:
        """Return each user's loss."""
        messages = rows.reshape(len(rows), MESSAGES, ENCODED + 1)
        scores, intents = self.head(messages[:, :, :-1]), messages[:, :, -1].long()
        each = functional.cross_entropy(scores.flatten(0, 1), intents.flatten(), reduction="none")
        return each.view(len(rows), MESSAGES).mean(dim=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the model's own."""
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def autoencoder(items: int) -> Autoencoder:
    drawn = torch.Generator().manual_seed(0)
    start = torch.randn(items, HIDDEN, generator=drawn) / HIDDEN**0.5
    return Autoencoder(start, start.T, torch.zeros(items), dropout=0.5, learning_rate=1.0)


def baskets(items: int) -> sparse.csr_array:
    """About 30 items a user, popular as 1/rank."""
    drawn = np.random.default_rng(0)
    popularity = np.cumsum(1 / np.arange(1, items + 1))
    sizes = np.clip(drawn.poisson(ITEMS_PER_USER, USERS), 1, 100)
    users = np.repeat(np.arange(USERS), sizes)
    chosen = np.searchsorted(popularity, drawn.random(len(users)) * popularity[-1])
    return sparse.csr_array((np.ones(len(users), np.float32), (users, chosen)), shape=(USERS, items))


def impressions() -> np.ndarray:
    drawn = np.random.default_rng(0)
    ids = [drawn.integers(0, size, (USERS, IMPRESSIONS, 1)) for size in FIELDS]
    clicked = drawn.random((USERS, IMPRESSIONS, 1)) < 0.05
    return np.concatenate([*ids, clicked], axis=2).reshape(USERS, -1).astype(np.float32)


def messages() -> np.ndarray:
    drawn = np.random.default_rng(0)
    encoded = drawn.standard_normal((USERS, MESSAGES, ENCODED), dtype=np.float32) / np.float32(ENCODED**0.5)
    intents = drawn.integers(0, INTENTS, (USERS, MESSAGES, 1)).astype(np.float32)
    return np.concatenate([encoded, intents], axis=2).reshape(USERS, -1)


@dataclass(frozen=True)
class Subject:
    """A model, its rows, and how many users are summed at once: as shipped, or all where rows are small.

    Opacus' hooks make every user's gradient, so they get as few users at once as fit.
    """

    model: Callable[[], lightning.LightningModule]
    rows: Callable[[], Any]
    hooks_at_once: int
    at_once: int = PerformanceFlags().physical_batch_size

    def users_at_once(self, contestant: str) -> int:
        """Return how many users of a batch a contestant sums at once."""
        return self.hooks_at_once if contestant == HOOKS else self.at_once


SUBJECTS = {
    "autoencoder-2000": Subject(lambda: autoencoder(2_000), lambda: baskets(2_000), 128),
    "autoencoder-20000": Subject(lambda: autoencoder(20_000), lambda: baskets(20_000), 16),
    "ctr": Subject(Ctr, impressions, 64),
    "text-head": Subject(TextHead, messages, 1024, 4096),
}
OURS, PEER, GHOST, HOOKS = "book-keeping", "without privacy", "opacus ghost", "opacus hooks"


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
        mode = {OURS: "book_keeping", GHOST: "ghost", HOOKS: "hooks"}[contestant]
        flags = PerformanceFlags(grad_sample_mode=mode, physical_batch_size=at_once)
        plan = PLAN.model_copy(update={"steps": steps})
        fit(module, rows, plan=plan, intend=lambda steps: None, flags=flags, progress=after_step)
    return [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(ends)]


def times(name: str, steps: int, contestants: list[str]) -> dict[str, tuple[float, float]]:
    """Return each contestant's median wall and processor seconds a step, taken in turns."""
    subject, found = SUBJECTS[name], {one: Times() for one in contestants}
    rows = subject.rows()
    modules = {one: subject.model() for one in contestants}
    rounds = -(-steps // (ROUND - 1))
    for number in range(rounds):
        for one in contestants if number % 2 == 0 else contestants[::-1]:
            if one == HOOKS and number:
                continue  # up to a hundred times as slow: a few steps tell
            taken = 3 if one == HOOKS else ROUND
            found[one] += a_round(one, modules[one], rows, taken, subject.users_at_once(one))
    return {one: tuple(map(statistics.median, zip(*each, strict=True))) for one, each in found.items()}


def peak(name: str, contestant: str) -> float:
    """Return the MB that a few steps need beyond rows, model and libraries. To be run in a process of its own."""
    subject = SUBJECTS[name]
    rows, module = subject.rows(), subject.model()
    few = np.zeros((2, MESSAGES * (ENCODED + 1)), np.float32)
    at_once = subject.users_at_once(contestant)
    a_round(contestant, SUBJECTS["text-head"].model(), few, 2, 2)  # libraries are loaded
    before = _resident("VmRSS")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    a_round(contestant, module, rows, 3, at_once)
    return torch.cuda.max_memory_allocated() / 1e6 if torch.cuda.is_available() else _resident("VmHWM") - before


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
    print(f"\n{name}: batches of {BATCH} users on average, of {USERS:,}; median of {steps} steps")
    print(f"{'':16}{'ms a step':>12}{'ratio':>8}{'cpu ms':>10}{'ratio':>8}{'peak MB':>10}{'ratio':>8}")
    megabytes = {one: _elsewhere("--peak", name, "--contestants", one) for one in contestants}
    for one in contestants:
        figures = (seconds[one][0] * 1e3, seconds[one][1] * 1e3, megabytes[one])
        of_peer = (seconds[PEER][0] * 1e3, seconds[PEER][1] * 1e3, megabytes[PEER])
        cells = [f"{a:>{w}.1f}{a / b:>8.2f}" for a, b, w in zip(figures, of_peer, (12, 10, 10), strict=True)]
        print(f"{one:16}{''.join(cells)}", flush=True)
    (ours, ours_cpu), (peer, peer_cpu) = seconds[OURS], seconds[PEER]
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
        contestants = [OURS, PEER, *([] if asked.no_opacus else [GHOST, HOOKS])]
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
