"""The click network as a LightningModule: one row is one user, and no layer lets rows act on each other."""

from __future__ import annotations

import pytorch_lightning as lightning
import torch
from torch import Tensor, nn
from torch.nn import functional

from components.privacy.rows import SparseRows
from components.services.ads.inputs import AD, CLICKED, FIGURES, HOUR, POSITION, WIDTH

_MOMENTUM = 0.9
_LIKED = (0.6, 0.0, 0.1, 0.0)
"""Start of the weights of the figures: who likes an item, or its department, clicks on its ad more often."""


class Network(lightning.LightningModule):
    """A wide and deep network (Cheng et al. 2016) that learns what is beside the released rates.

    The logit of a click is that of the ad and its place in the floor, a weight for each name (wide), a line in the
    figures, and a small network over embeddings of the names and the figures (deep). A row's loss is the mean over its
    impressions of the negative log-likelihood.

    Args:
        of_ad: `(1 + ads, 5)` numbers of an ad's own fields.
        starts: `(3,)` where the numbers of position, hour and day begin.
        size: names of all fields.
        prior: `(1 + ads, positions)` the floor's logits, by ad and position.
        width, hidden, learning_rate: see the parameters.
    """

    sparse_rows = True

    def __init__(
        self,
        of_ad: Tensor,
        starts: Tensor,
        size: int,
        prior: Tensor,
        *,
        width: int,
        hidden: int,
        learning_rate: float,
        seed: int,
    ) -> None:
        super().__init__()
        self.register_buffer("of_ad", of_ad, persistent=False)
        self.register_buffer("starts", starts, persistent=False)
        self.register_buffer("prior", prior, persistent=False)
        fields, figures = of_ad.shape[1] + len(starts), len(_LIKED)
        self.learning_rate = learning_rate
        self.wide = nn.Embedding(size, 1)
        self.line = nn.Linear(figures, 1)
        self.deep = nn.Embedding(size, width)
        self.inner = nn.Linear(fields * width + figures, hidden)
        self.outer = nn.Linear(hidden, 1, bias=False)
        drawn = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            self.wide.weight.zero_()
            self.line.weight.copy_(torch.tensor([_LIKED]))
            self.line.bias.zero_()
            self.inner.bias.zero_()
            for weight, scale in ((self.deep.weight, 0.3), (self.inner.weight, (fields * width) ** -0.5)):
                weight.copy_(torch.randn(weight.shape, generator=drawn) * scale)
            self.outer.weight.copy_(torch.randn(self.outer.weight.shape, generator=drawn) * 0.05)

    def forward(self, cells: Tensor) -> Tensor:
        """Return logits `(rows, impressions)` from inputs `(rows, impressions, WIDTH)`."""
        ad = _whole(cells[..., AD], len(self.prior) - 1)
        position = _whole(cells[..., POSITION], self.prior.shape[1] - 1)
        hour = _whole(cells[..., HOUR], 168)
        of_week = (hour - 1).clamp_min(0)
        some = (hour > 0).long()
        context = torch.stack([position, some * (1 + of_week % 24 // 2), some * (1 + of_week // 24)], dim=-1)
        ids = torch.cat([self.of_ad[ad], context + self.starts], dim=-1)
        figures = cells[..., FIGURES:]
        inside = torch.cat([self.deep(ids).flatten(-2), figures], dim=-1)
        inner = torch.tanh(self.inner(inside))
        found = self.wide(ids).sum(dim=(-2, -1)) + (self.line(figures) + self.outer(inner)).squeeze(-1)
        return self.prior[ad, position] + found  # type: ignore[no-any-return]

    def losses(self, rows: SparseRows) -> Tensor:
        """Return each row's loss, `(rows,)`."""
        cells = rows.dense().view(len(rows), rows.width // WIDTH, WIDTH)
        shown = (cells[..., AD] > 0).to(cells.dtype)
        loss = functional.binary_cross_entropy_with_logits(self(cells), cells[..., CLICKED], reduction="none")
        return (loss * shown).sum(dim=1) / shown.sum(dim=1).clamp_min(1.0)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return SGD with momentum: Adam would scale the names that hold little but noise up to the others."""
        return torch.optim.SGD(self.parameters(), lr=self.learning_rate, momentum=_MOMENTUM)


def _whole(values: Tensor, most: int) -> Tensor:
    return values.detach().clamp(0, most).long()
