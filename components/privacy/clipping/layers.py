"""Rules for layers: the norm of each row's gradient without that gradient, and the weighted sum over rows at once.

A rule is given what a layer was called with and the gradients of the losses by its outputs. Rows are users. Nothing
here is as large as (rows, parameters of a layer), save in chunks of `_CHUNK` numbers. (Goodfellow 2015; ghost norms: Li
et al. 2022; book-keeping: Bu et al. 2023.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.core.errors import ContractBroken
from components.privacy.clipping.sums import Sums

_CHUNK = 1 << 22
"""Numbers of a temporary: 16 MB."""
_CANCELLED = 1e-3
"""Below this part of its terms' squares, an inner product of Gram matrices has lost its digits to cancellation."""


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


@dataclass
class Call:
    """One call of a layer: its arguments, detached, and the gradient of the losses by its output, once it is known."""

    inputs: tuple[Any, ...]
    options: Mapping[str, Any]
    gradient: Tensor | None = None
    owned: bool = False
    """Whether nobody else reads `gradient` any more, so that it may be overwritten."""

    def argument(self, position: int, name: str) -> Any:
        """Return an argument however it was passed; None where it was not."""
        return self.inputs[position] if len(self.inputs) > position else self.options.get(name)

    @property
    def arrived(self) -> Tensor:
        """The gradient by its output."""
        assert self.gradient is not None, "calls that the losses do not depend on are left out"
        return self.gradient


class Rule(Protocol):
    """What book-keeping asks of a kind of layer. `calls` are those of one forward pass, at least one."""

    def supports(self, layer: Any) -> bool:
        """Tell whether this very layer, as it is set up, is covered."""
        ...

    def norms(self, layer: Any, calls: Sequence[Call]) -> Tensor:
        """Return the L2 norm of each row's gradient by all of the layer's parameters, `(rows,)`; not too small."""
        ...

    def add(self, layer: Any, calls: Sequence[Call], factors: Tensor, sums: Sums) -> None:
        """Add the gradients of all rows, each times its factor `(rows,)`, to the layer's sums."""
        ...


class LinearRule:
    """`nn.Linear` on vectors `(rows, in)` and on sequences `(rows, ..., in)`.

    A row's gradient is gᵀa over the positions of its sequence. For one position its norm is ‖a‖·‖g‖. For more it is
    √⟨aaᵀ, ggᵀ⟩, or that of the gradient itself where this is less work than the two Gram matrices.
    """

    def supports(self, layer: nn.Linear) -> bool:
        """Every one."""
        return True

    def norms(self, layer: nn.Linear, calls: Sequence[Call]) -> Tensor:
        """See the class."""
        given, arrived = _positions(calls)
        with_weight, with_bias = layer.weight.requires_grad, _trained(layer.bias)
        if not with_weight:
            return lengths(arrived.sum(dim=1) if arrived.dim() == 3 else arrived)
        if arrived.dim() == 3:
            return _outer_norms(given, arrived, with_bias)
        length = lengths(given)
        return lengths(arrived) * (torch.hypot(length, torch.ones_like(length)) if with_bias else length)

    def add(self, layer: nn.Linear, calls: Sequence[Call], factors: Tensor, sums: Sums) -> None:
        """One matrix product for the weight, one for the bias; the narrower side takes the factors."""
        given, arrived = _positions(calls)
        spread = factors.repeat_interleave(arrived.shape[1]) if arrived.dim() == 3 else factors
        given, arrived = given.flatten(0, -2), arrived.flatten(0, -2)
        if layer.bias is not None and (bias := sums.of(layer.bias)) is not None:
            bias.addmv_(arrived.T, spread)
        if (weight := sums.of(layer.weight)) is None:
            return
        if given.shape[1] < arrived.shape[1]:
            weight.addmm_(arrived.T, given * spread[:, None])
        elif calls[0].owned and len(calls) == 1:
            weight.addmm_(arrived.mul_(spread[:, None]).T, given)  # last use of it
        else:
            weight.addmm_((arrived * spread[:, None]).T, given)


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
        step = max(1, _CHUNK // max(1, signals[0].numel()))
        for start in range(0, len(ids), step):
            some = slice(start, start + step)
            weight.index_add_(0, ids[some].flatten(), (signals[some] * factors[some, None, None]).flatten(0, 1))

    def _looked_up(self, layer: nn.Embedding, calls: Sequence[Call]) -> tuple[Tensor, Tensor]:
        """Return ids (rows, positions) and signals (rows, positions, width); those of the padding are zero."""
        ids = _joined([call.argument(0, "input").reshape(len(call.arrived), -1) for call in calls])
        signals = _joined([call.arrived.reshape(len(call.arrived), -1, layer.embedding_dim) for call in calls])
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


class LayerNormRule:
    """`nn.LayerNorm`: a row's gradient is as small as the layer's parameters, so it is simply made."""

    def supports(self, layer: nn.LayerNorm) -> bool:
        """Every one."""
        return True

    def norms(self, layer: nn.LayerNorm, calls: Sequence[Call]) -> Tensor:
        """See the class."""
        parts = [lengths(by_row) for _, by_row in self._by_row(layer, calls)]
        return _together(*parts)

    def add(self, layer: nn.LayerNorm, calls: Sequence[Call], factors: Tensor, sums: Sums) -> None:
        """Add the weighted rows."""
        for parameter, by_row in self._by_row(layer, calls):
            if (total := sums.of(parameter)) is not None:
                total.view(-1).addmv_(by_row.T, factors)

    def _by_row(self, layer: nn.LayerNorm, calls: Sequence[Call]) -> list[tuple[nn.Parameter, Tensor]]:
        found = []
        shape, size = layer.normalized_shape, math.prod(layer.normalized_shape)
        if _trained(layer.weight):
            scaled = (
                functional.layer_norm(call.argument(0, "input"), shape, eps=layer.eps) * call.arrived for call in calls
            )
            found.append((layer.weight, sum(one.reshape(len(one), -1, size).sum(dim=1) for one in scaled)))
        if _trained(layer.bias):
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
        return _joined([part.sum(dim=1, keepdim=True) for part in parts]).sum(dim=1)


RULES: Mapping[type[nn.Module], Rule] = {
    nn.Linear: LinearRule(),
    nn.Embedding: EmbeddingRule(),
    nn.EmbeddingBag: EmbeddingBagRule(),
    nn.LayerNorm: LayerNormRule(),
    Bias: BiasRule(),
}
"""By exact type: a subclass may compute something else."""


def without(call: Call, kept: Tensor) -> Call:
    """Return the call with zeros for the rows that are not in the mask `kept`: what is not finite times 0 is not 0."""

    def row_by_row(value: Tensor) -> Tensor:
        return value.masked_fill(~kept.view(-1, *[1] * (value.dim() - 1)), 0) if value.is_floating_point() else value

    def cleaned(place: int | str, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if place in (0, "input"):
            return row_by_row(value)
        return torch.nan_to_num(value, nan=0.0, posinf=0.0, neginf=0.0)  # a weight for each entry of a bag

    return replace(
        call,
        inputs=tuple(cleaned(place, value) for place, value in enumerate(call.inputs)),
        options={name: cleaned(name, value) for name, value in call.options.items()},
        gradient=row_by_row(call.arrived),
    )


def lengths(values: Tensor) -> Tensor:
    """Return the L2 norm of each row `(rows,)`, never less than it is: what squaring may underflow is added."""
    flat = values.flatten(1)
    lost = math.sqrt(flat.shape[1] * torch.finfo(flat.dtype).tiny)
    return cast(Tensor, torch.linalg.vector_norm(flat, dim=1).add_(lost))


def _trained(parameter: nn.Parameter | None) -> bool:
    return parameter is not None and parameter.requires_grad


def _together(*norms: Tensor) -> Tensor:
    """Return the norm of parts that have these norms."""
    whole = norms[0]
    for norm in norms[1:]:
        whole = torch.hypot(whole, norm)
    return whole


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=1)


def _positions(calls: Sequence[Call]) -> tuple[Tensor, Tensor]:
    """Return inputs and signals, (rows, width) of one call on vectors, else (rows, positions, width) of all calls."""
    if len(calls) == 1 and calls[0].arrived.numel() == calls[0].arrived.shape[0] * calls[0].arrived.shape[-1]:
        given, arrived = calls[0].argument(0, "input"), calls[0].arrived
        return given.reshape(len(given), -1), arrived.reshape(len(arrived), -1)
    pairs = [(call.argument(0, "input"), call.arrived) for call in calls]
    both = ([one.reshape(len(one), -1, one.shape[-1]) for one in side] for side in zip(*pairs, strict=True))
    given, arrived = map(_joined, both)
    return given, arrived


def _outer_norms(given: Tensor, arrived: Tensor, with_bias: bool) -> Tensor:
    """Return ‖Σ over positions of gᵀa‖ for each row; a bias is one more input, which is always 1."""
    rows, positions, wide, high = *given.shape, arrived.shape[2]
    if positions * (wide + high) > wide * high:
        return _instantiated(given, arrived, with_bias)
    step, parts = max(1, _CHUNK // (2 * positions**2)), []
    for start in range(0, rows, step):
        some = slice(start, start + step)
        by_given, by_arrived = (one[some] @ one[some].mT for one in (given, arrived))
        if with_bias:
            by_given += 1
        sizes = [one.diagonal(dim1=1, dim2=2).clamp(min=0).sqrt() for one in (by_given, by_arrived)]
        terms, squares = (sizes[0] * sizes[1]).sum(dim=1), by_given.mul_(by_arrived).sum(dim=(1, 2))
        norms = squares.clamp(min=0).sqrt()
        if (poor := ~(squares > _CANCELLED * terms**2)).any():  # a comparison with what is not a number is false
            norms[poor] = _instantiated(given[some][poor], arrived[some][poor], with_bias)
        parts.append(norms)
    return torch.cat(parts) if parts else given.new_zeros(0)


def _instantiated(given: Tensor, arrived: Tensor, with_bias: bool) -> Tensor:
    """The same by the gradients themselves, a few rows at a time."""
    step = max(1, _CHUNK // (given.shape[2] * arrived.shape[2]))
    parts = [
        lengths(arrived[start : start + step].mT @ given[start : start + step]) for start in range(0, len(given), step)
    ]
    norms = torch.cat(parts) if parts else given.new_zeros(0)
    return torch.hypot(norms, lengths(arrived.sum(dim=1))) if with_bias else norms


def _norms_of_bags(rows: Tensor, ids: Tensor, weights: Tensor, count: int, vocabulary: int) -> Tensor:
    """Return for each of `count` rows the norm of its weights, those of an id that comes more than once added up."""
    keys = rows * vocabulary + ids
    if not bool((keys[1:] > keys[:-1]).all()):
        keys, place = torch.unique(keys, return_inverse=True)
        weights = torch.zeros(len(keys), dtype=weights.dtype, device=weights.device).index_add_(0, place, weights)
        rows = keys // vocabulary
    squares = torch.zeros(count, dtype=weights.dtype, device=weights.device)
    return squares.index_add_(0, rows, lengths(weights[:, None]) ** 2).sqrt()
