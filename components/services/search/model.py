"""The re-ranker as a LightningModule: one row is one user, and no layer lets rows act on each other."""

from __future__ import annotations

import pytorch_lightning as lightning
import torch
from torch import Tensor, nn

from components.services.search.features import SIZE

_MOMENTUM = 0.9


class Reranker(lightning.LightningModule):
    """A linear score of candidates, learnt by the likelihood of what was taken among what was found (ListNet's first
    place, Cao et al. 2007).

    A row holds, for each of `searches` and each of `candidates`, `SIZE` features, then the share of the row's clicks,
    and whether there is a candidate at all. Its loss is the mean over the row's clicks, so that a user who searches
    much weighs no more.

    Args:
        start: `(SIZE,)` the weights before the first step: the floor's, which are public.
    """

    def __init__(self, start: Tensor, *, searches: int, candidates: int, learning_rate: float) -> None:
        super().__init__()
        self.score = nn.Linear(SIZE, 1, bias=False)  # a list's order knows no bias
        self.searches, self.candidates, self.learning_rate = searches, candidates, learning_rate
        with torch.no_grad():
            self.score.weight.copy_(start[None])

    def losses(self, rows: Tensor) -> Tensor:
        """Return each row's loss, `(rows,)`."""
        parts = rows.reshape(len(rows), self.searches, self.candidates, SIZE + 2)
        seen, taken, there = parts[..., :SIZE], parts[..., SIZE], parts[..., SIZE + 1]
        logits = self.score(seen.reshape(len(rows), -1, SIZE)).reshape(taken.shape)
        logits = torch.where(there > 0, logits, torch.full_like(logits, -1e4))
        return -(taken * torch.log_softmax(logits, dim=2)).sum(dim=(1, 2))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return SGD with momentum."""
        return torch.optim.SGD(self.parameters(), lr=self.learning_rate, momentum=_MOMENTUM)
