"""The head as a LightningModule: one row is one user, and no layer lets rows act on each other."""

from __future__ import annotations

import pytorch_lightning as lightning
import torch
from torch import Tensor, nn

from components.language.encoder import SIZE

_MOMENTUM = 0.9

WIDTH = SIZE + 2
"""Numbers of a message: its vector, the place of its intent, and 1, which says that there is one."""


class Head(lightning.LightningModule):
    """A linear softmax over the intents, on vectors of a frozen encoder.

    A row holds `WIDTH` numbers for each of its messages. Its loss is the mean over them of the negative log-likelihood,
    so that a user who writes much weighs no more.

    Args:
        weight, bias: `(intents, SIZE)` and `(intents,)` before the first step: public, or released.
    """

    def __init__(self, weight: Tensor, bias: Tensor, *, learning_rate: float) -> None:
        super().__init__()
        self.linear = nn.Linear(SIZE, len(bias))
        self.learning_rate = learning_rate
        with torch.no_grad():
            self.linear.weight.copy_(weight)
            self.linear.bias.copy_(bias)

    def losses(self, rows: Tensor) -> Tensor:
        """Return each row's loss, `(rows,)`."""
        cells = rows.reshape(len(rows), -1, WIDTH)
        there = (cells[..., SIZE + 1] > 0).to(cells.dtype)
        logits = torch.log_softmax(self.linear(cells[..., :SIZE]), dim=-1)
        intent = cells[..., SIZE].detach().clamp(0, logits.shape[-1] - 1).long()
        loss = -logits.gather(-1, intent[..., None])[..., 0]
        return (loss * there).sum(dim=1) / there.sum(dim=1).clamp_min(1.0)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return SGD with momentum."""
        return torch.optim.SGD(self.parameters(), lr=self.learning_rate, momentum=_MOMENTUM)
