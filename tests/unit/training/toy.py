"""A small model and small rows, and a count of intents, for tests of the training loop."""

import numpy as np
import pytorch_lightning as lightning
import scipy.sparse as sparse
import torch
from torch import Tensor, nn

from components.core.errors import BudgetExhausted
from components.privacy.plan import PrivacyPlan

ITEMS = 30


class Autoencoder(lightning.LightningModule):
    def __init__(self, learning_rate=0.05):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(ITEMS, 8), nn.Linear(8, ITEMS)
        self.learning_rate = learning_rate

    def losses(self, batch: Tensor) -> Tensor:
        logits = self.decoder(torch.tanh(self.encoder(batch)))
        return -(batch * torch.log_softmax(logits, dim=1)).sum(dim=1)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)


def rows_of(users=400, seed=0):
    """Two tastes: each user likes items of one half."""
    generator = np.random.default_rng(seed)
    liked = generator.random((users, ITEMS)) < 0.3
    half = np.arange(ITEMS)[None, :] < ITEMS // 2
    mine = half == (generator.random((users, 1)) < 0.5)
    return sparse.csr_array((liked & mine).astype(np.float32))


def plan_of(**changes):
    facts = {
        "delta": 1e-6,
        "noise_multiplier": 0.5,
        "sample_rate": 0.2,
        "max_grad_norm": 1.0,
        "steps": 20,
        "expected_batch_size": 80.0,
    }
    return PrivacyPlan(**{**facts, **changes})


class Intents:
    """What `Open.intend` does, in memory."""

    def __init__(self, held=1_000_000):
        self.steps, self.held = 0, held

    def __call__(self, steps):
        if self.steps + steps > self.held:
            raise BudgetExhausted("no further steps")
        self.steps += steps


def vector(module):
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])
