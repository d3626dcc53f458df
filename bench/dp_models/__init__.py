"""The models of `bench/dp_step.py`, and made-up rows for them: one row a user."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytorch_lightning as lightning
import scipy.sparse as sparse
import torch
from torch import Tensor, nn
from torch.nn import functional

from components.privacy.plan import PerformanceFlags
from components.services.recommend.model import Autoencoder

USERS = 25_000
ITEMS_PER_USER, HIDDEN = 30, 128
IMPRESSIONS, FIELDS, WIDTH = 8, (20_000, 5_000, 2_000, 1_000, 50, 24, 20, 7), 16
MILLION = (1_000_000, *FIELDS[1:])
MESSAGES, ENCODED, INTENTS = 4, 384, 77
LEAST_WIDTH = MESSAGES * (ENCODED + 1)
"""Columns of the text head's rows."""


class Ctr(lightning.LightningModule):
    """Clicks by embeddings of fields and a perceptron of DeepFM's size; a user's loss is the mean over impressions."""

    def __init__(self, sizes: Sequence[int] = FIELDS) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(size, WIDTH) for size in sizes)
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


def impressions(sizes: Sequence[int] = FIELDS) -> np.ndarray:
    drawn = np.random.default_rng(0)
    ids = [drawn.integers(0, size, (USERS, IMPRESSIONS, 1)) for size in sizes]
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


SUBJECTS = {
    "autoencoder-2000": Subject(lambda: autoencoder(2_000), lambda: baskets(2_000), 128),
    "autoencoder-20000": Subject(lambda: autoencoder(20_000), lambda: baskets(20_000), 16),
    "ctr": Subject(Ctr, impressions, 64),
    "ctr-million": Subject(lambda: Ctr(MILLION), lambda: impressions(MILLION), 8),
    "text-head": Subject(TextHead, messages, 1024, 4096),
}
