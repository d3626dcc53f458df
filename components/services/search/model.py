"""The re-ranker as a LightningModule: one row is one user, and no layer lets rows act on each other."""

from __future__ import annotations

import pytorch_lightning as lightning
import torch
from torch import Tensor, nn

from components.services.search.features import OF_HISTORY, OF_QUERY, SIZE

_MOMENTUM = 0.9


class Reranker(lightning.LightningModule):
    """A linear score of candidates, learnt by the likelihood of what was taken among what was found (ListNet's first
    place, Cao et al. 2007).

    A row holds, for each of `searches` and each of `candidates`, `SIZE` features, then the share of the row's clicks,
    and whether there is a candidate at all. Its loss is the mean over the row's clicks, so that a user who searches
    much weighs no more.

    What is learnt is what the history adds; what fits the query is held as the floor has it, since noise on weights
    that are right already only moves them away.

    Args:
        start: `(SIZE,)` the weights before the first step: the floor's, which are public.
    """

    def __init__(self, start: Tensor, *, searches: int, candidates: int, learning_rate: float) -> None:
        super().__init__()
        self.score = nn.Linear(len(start[OF_HISTORY]), 1, bias=False)  # a list's order knows no bias
        self.searches, self.candidates, self.learning_rate = searches, candidates, learning_rate
        self.held: Tensor
        self.register_buffer("held", start[OF_QUERY].clone())
        with torch.no_grad():
            self.score.weight.copy_(start[None, OF_HISTORY])

    def losses(self, rows: Tensor) -> Tensor:
        """Return each row's loss, `(rows,)`."""
        parts = rows.reshape(len(rows), self.searches, self.candidates, SIZE + 2)
        seen, taken, there = parts[..., :SIZE], parts[..., SIZE], parts[..., SIZE + 1]
        own = self.score(seen[..., OF_HISTORY].reshape(len(rows), -1, len(range(SIZE)[OF_HISTORY])))
        logits = seen[..., OF_QUERY] @ self.held + own.reshape(taken.shape)
        logits = torch.where(there > 0, logits, torch.full_like(logits, -1e4))
        return -(taken * torch.log_softmax(logits, dim=2)).sum(dim=(1, 2))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return SGD with momentum."""
        return torch.optim.SGD(self.parameters(), lr=self.learning_rate, momentum=_MOMENTUM)
