"""The rules for `nn.Embedding` and `nn.EmbeddingBag`: what is sparse stays so."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.core.errors import ContractBroken
from components.privacy.clipping.calls import CHUNK, Call, joined, lengths
from components.privacy.clipping.sums import Sums


class EmbeddingRule:
    """`nn.Embedding`: a row's gradient is the sum of the signals of equal ids; no (rows, vocabulary, width) is made."""

    def supports(self, layer: nn.Embedding) -> bool:
        """All but gradients that are scaled by how often an id is in the *batch*: one row would act on another's."""
        return not layer.scale_grad_by_freq

    def norms(self, layer: nn.Embedding, calls: Sequence[Call]) -> Tensor:
        """See the class."""
        ids, signals = self._looked_up(layer, calls)
        count, positions = ids.shape
        if positions == 1:
            return lengths(signals)
        ids, order = ids.sort(dim=1)
        place = torch.zeros_like(ids)
        torch.cumsum(ids[:, 1:] != ids[:, :-1], dim=1, out=place[:, 1:])
        first = torch.arange(0, count * positions, positions, device=ids.device)[:, None]
        by_id = torch.zeros_like(signals).flatten(0, 1)
        by_id.index_add_(0, (place + first).flatten(), signals.flatten(0, 1)[(order + first).flatten()])
        return lengths(by_id.view(count, -1))

    def add(self, layer: nn.Embedding, calls: Sequence[Call], factors: Tensor, sums: Sums) -> None:
        """Add each signal, times its row's factor, at its id."""
        if (weight := sums.of(layer.weight)) is None:
            return
        ids, signals = self._looked_up(layer, calls)
        step = max(1, CHUNK // max(1, signals[0].numel()))
        for start in range(0, len(ids), step):
            some = slice(start, start + step)
            weight.index_add_(0, ids[some].flatten(), (signals[some] * factors[some, None, None]).flatten(0, 1))

    def _looked_up(self, layer: nn.Embedding, calls: Sequence[Call]) -> tuple[Tensor, Tensor]:
        """Return ids (rows, positions) and signals (rows, positions, width); those of the padding are zero."""
        ids = joined([call.argument(0, "input").reshape(len(call.arrived), -1) for call in calls])
        signals = joined([call.arrived.reshape(len(call.arrived), -1, layer.embedding_dim) for call in calls])
        if layer.padding_idx is not None:
            signals = signals.masked_fill((ids == layer.padding_idx)[:, :, None], 0)
        return ids, signals


class EmbeddingBagRule:
    """`nn.EmbeddingBag` by sum or mean, one bag a row: multi-hot rows that are never made dense.

    A row's gradient at an id is its signal times the id's weights in the bag, so its norm is ‖signal‖·‖weights by id‖.
    """

    def supports(self, layer: nn.EmbeddingBag) -> bool:
        """Sums and means; not a maximum, nor gradients that are scaled by how often an id is in the batch."""
        return layer.mode in ("sum", "mean") and not layer.scale_grad_by_freq

    def norms(self, layer: nn.EmbeddingBag, calls: Sequence[Call]) -> Tensor:
        """See the class."""
        call = self._one(calls)
        signal = lengths(call.arrived)
        rows, ids, weights = self._entries(layer, call)
        return signal * _norms_of_bags(rows, ids, weights, len(signal), layer.num_embeddings)

    def add(self, layer: nn.EmbeddingBag, calls: Sequence[Call], factors: Tensor, sums: Sums) -> None:
        """Add each row's signal, times its factor and the entry's weight, at the ids of its bag.

        That is an embedding bag again, of signals: an id's bag holds the rows that have it.
        """
        if (weight := sums.of(layer.weight)) is None:
            return
        call = self._one(calls)
        rows, ids, weights = self._entries(layer, call)
        ids, order = ids.sort()
        ids, sizes = torch.unique_consecutive(ids, return_counts=True)
        shares = (weights * factors[rows])[order]
        starts = sizes.cumsum(0) - sizes
        by_id = functional.embedding_bag(rows[order], call.arrived, starts, mode="sum", per_sample_weights=shares)
        weight.index_add_(0, ids, by_id)

    def _one(self, calls: Sequence[Call]) -> Call:
        if len(calls) > 1:
            raise ContractBroken(
                "An EmbeddingBag was called more than once in one pass",
                value=len(calls),
                limit=1,
                next_step="Join the bags, or give every use a layer of its own.",
            )
        return calls[0]

    def _entries(self, layer: nn.EmbeddingBag, call: Call) -> tuple[Tensor, Tensor, Tensor]:
        """Return row, id and weight of every entry of every bag."""
        ids, offsets, weights = (
            call.argument(place, name) for place, name in enumerate(("input", "offsets", "per_sample_weights"))
        )
        count, device = len(call.arrived), ids.device
        if ids.dim() == 2:
            rows = torch.arange(count, device=device).repeat_interleave(ids.shape[1])
            ids, weights = ids.flatten(), weights if weights is None else weights.flatten()
        else:
            bounds = offsets if layer.include_last_offset else torch.cat([offsets, offsets.new_tensor([len(ids)])])
            rows = torch.arange(count, device=device).repeat_interleave(bounds.diff().to(device))
        if weights is None:
            weights = torch.ones(len(ids), dtype=call.arrived.dtype, device=device)
        if layer.padding_idx is not None:
            weights = weights.masked_fill(ids == layer.padding_idx, 0)
        if layer.mode == "mean":
            sizes = torch.zeros(count, dtype=weights.dtype, device=device).index_add_(0, rows, weights)
            weights = weights / sizes.clamp(min=1)[rows]
        return rows, ids, weights


def _norms_of_bags(rows: Tensor, ids: Tensor, weights: Tensor, count: int, vocabulary: int) -> Tensor:
    """Return for each of `count` rows the norm of its weights, those of an id that comes more than once added up."""
    keys = rows * vocabulary + ids
    if not bool((keys[1:] > keys[:-1]).all()):
        keys, place = torch.unique(keys, return_inverse=True)
        weights = torch.zeros(len(keys), dtype=weights.dtype, device=weights.device).index_add_(0, place, weights)
        rows = keys // vocabulary
    squares = torch.zeros(count, dtype=weights.dtype, device=weights.device)
    return squares.index_add_(0, rows, lengths(weights[:, None]) ** 2).sqrt()
