"""The autoencoder as a LightningModule: one row is one user, and no layer lets rows act on each other."""

from __future__ import annotations

import pytorch_lightning as lightning
import torch
from torch import Tensor, nn

from components.training.augment import item_dropout

_MOMENTUM = 0.9


class Autoencoder(lightning.LightningModule):
    """A denoising autoencoder with a multinomial likelihood (Liang et al. 2018), trained to find what it does not see.

    Each item of a row is hidden with probability `dropout`; the loss is the mean negative log-likelihood of the hidden
    items given the others. (Liang et al. score the whole row; leaving out what was seen is EASE's zero diagonal.)

    Args:
        encoder: `(columns, hidden)` start of the first layer.
        decoder: `(hidden, columns)` start of the last layer.
        prior: `(columns,)` start of the logits; log-popularity, so that training starts at the floor.
        dropout: see above.
        learning_rate: of gradients that are means over users.
        item_dropout: chance with which an item of a row takes no part in a step.
    """

    def __init__(
        self,
        encoder: Tensor,
        decoder: Tensor,
        prior: Tensor,
        *,
        dropout: float,
        learning_rate: float,
        item_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        columns, hidden = encoder.shape
        self.encoder = nn.Linear(columns, hidden)
        self.decoder = nn.Linear(hidden, columns)
        self.dropout, self.item_dropout = dropout, item_dropout
        self.learning_rate = learning_rate
        with torch.no_grad():
            self.encoder.weight.copy_(encoder.T)
            self.encoder.bias.zero_()
            self.decoder.weight.copy_(decoder.T)
            self.decoder.bias.copy_(prior)

    def forward(self, counted: Tensor) -> Tensor:
        """Return logits `(rows, columns)` from counts of items `(rows, columns)`; rows are scaled to L2 norm 1."""
        scaled = counted / counted.norm(dim=1, keepdim=True).clamp_min(1.0)
        return self.decoder(torch.tanh(self.encoder(scaled)))  # type: ignore[no-any-return]

    def losses(self, counted: Tensor) -> Tensor:
        """Return each row's loss, `(rows,)`; a row of which nothing was hidden has none."""
        counted = item_dropout(counted, self.item_dropout)
        hidden = counted * self._hidden_part(counted.detach())
        likelihood = torch.log_softmax(self(counted - hidden), dim=1)
        return -(hidden * likelihood).sum(dim=1) / hidden.sum(dim=1).clamp_min(1.0)

    def _hidden_part(self, counted: Tensor) -> Tensor:
        present = counted >= 1.0  # most columns are empty, and drawing for them costs more than the network
        counts = counted[present].round()
        part = torch.zeros_like(counted)
        part[present] = torch.binomial(counts, torch.full_like(counts, self.dropout)) / counts
        return part

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return SGD with momentum: Adam would scale the columns that hold little but noise up to the others."""
        return torch.optim.SGD(self.parameters(), lr=self.learning_rate, momentum=_MOMENTUM)
