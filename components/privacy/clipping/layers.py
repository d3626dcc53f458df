"""Rules for layers: the norm of each row's gradient without that gradient, and the weighted sum over rows at once.

A rule is given what a layer was called with and the gradients of the losses by its outputs. Rows are users. Nothing
here is as large as (rows, parameters of a layer), save in chunks of `CHUNK` numbers. (Goodfellow 2015; ghost norms: Li
et al. 2022; book-keeping: Bu et al. 2023.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.privacy.clipping.calls import Call, Rule, joined, lengths, trained
from components.privacy.clipping.linear import LinearRule
from components.privacy.clipping.lookups import EmbeddingBagRule, EmbeddingRule
from components.privacy.clipping.sums import Sums


class Bias(nn.Module):
    """Adds a learnt vector: what an `EmbeddingBag` lacks to be a `Linear` on sparse rows.

    Args:
        width: entries of the last dimension of its input.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, values: Tensor) -> Tensor:
        """Return `values` (..., width) + the vector."""
        return values + self.bias


class LayerNormRule:
    """`nn.LayerNorm`: a row's gradient is as small as the layer's parameters, so it is simply made."""

    def supports(self, layer: nn.LayerNorm) -> bool:
        """Every one."""
        return True

    def norms(self, layer: nn.LayerNorm, calls: Sequence[Call]) -> Tensor:
        """See the class."""
        parts = [lengths(by_row) for _, by_row in self._by_row(layer, calls)]
        return parts[0] if len(parts) == 1 else torch.hypot(*parts)

    def add(self, layer: nn.LayerNorm, calls: Sequence[Call], factors: Tensor, sums: Sums) -> None:
        """Add the weighted rows."""
        for parameter, by_row in self._by_row(layer, calls):
            if (total := sums.of(parameter)) is not None:
                total.view(-1).addmv_(by_row.T, factors)

    def _by_row(self, layer: nn.LayerNorm, calls: Sequence[Call]) -> list[tuple[nn.Parameter, Tensor]]:
        found = []
        shape, size = layer.normalized_shape, math.prod(layer.normalized_shape)
        if trained(layer.weight):
            scaled = (
                functional.layer_norm(call.argument(0, "input"), shape, eps=layer.eps) * call.arrived for call in calls
            )
            found.append((layer.weight, sum(one.reshape(len(one), -1, size).sum(dim=1) for one in scaled)))
        if trained(layer.bias):
            arrived = (call.arrived.reshape(len(call.arrived), -1, size).sum(dim=1) for call in calls)
            found.append((layer.bias, sum(arrived)))
        return found  # type: ignore[return-value]


class BiasRule:
    """`Bias`: a row's gradient is the sum of what arrives."""

    def supports(self, layer: Bias) -> bool:
        """Every one."""
        return True

    def norms(self, layer: Bias, calls: Sequence[Call]) -> Tensor:
        """See the class."""
        return lengths(self._by_row(layer, calls))

    def add(self, layer: Bias, calls: Sequence[Call], factors: Tensor, sums: Sums) -> None:
        """Add the weighted rows."""
        if (total := sums.of(layer.bias)) is not None:
            total.addmv_(self._by_row(layer, calls).T, factors)

    def _by_row(self, layer: Bias, calls: Sequence[Call]) -> Tensor:
        parts = [call.arrived.reshape(len(call.arrived), -1, len(layer.bias)) for call in calls]
        return joined([part.sum(dim=1, keepdim=True) for part in parts]).sum(dim=1)


RULES: Mapping[type[nn.Module], Rule] = {
    nn.Linear: LinearRule(),
    nn.Embedding: EmbeddingRule(),
    nn.EmbeddingBag: EmbeddingBagRule(),
    nn.LayerNorm: LayerNormRule(),
    Bias: BiasRule(),
}
"""By exact type: a subclass may compute something else."""
