"""The rule for `nn.Linear`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from components.privacy.clipping.calls import CHUNK, Call, joined, lengths, trained
from components.privacy.clipping.sums import Sums

_CANCELLED, _CANCELLED_IN_DOUBLE = 0.2, 1e-9
"""Below this part of its positions' own squares, an inner product of Gram matrices has lost too many digits."""


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
        with_weight, with_bias = layer.weight.requires_grad, trained(layer.bias)
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


def _positions(calls: Sequence[Call]) -> tuple[Tensor, Tensor]:
    """Return inputs and signals, (rows, width) of one call on vectors, else (rows, positions, width) of all calls."""
    if len(calls) == 1 and calls[0].arrived.numel() == calls[0].arrived.shape[0] * calls[0].arrived.shape[-1]:
        given, arrived = calls[0].argument(0, "input"), calls[0].arrived
        return given.reshape(len(given), -1), arrived.reshape(len(arrived), -1)
    pairs = [(call.argument(0, "input"), call.arrived) for call in calls]
    both = ([one.reshape(len(one), -1, one.shape[-1]) for one in side] for side in zip(*pairs, strict=True))
    given, arrived = map(joined, both)
    return given, arrived


def _outer_norms(given: Tensor, arrived: Tensor, with_bias: bool) -> Tensor:
    """Return ‖Σ over positions of gᵀa‖ for each row; a bias is one more input, which is always 1.

    What is rounded in the Gram matrices is of the size of the positions' own squares, Σᵢ ‖aᵢ‖²‖gᵢ‖². Rows whose
    positions cancel to a part of that are done in double precision, and where that is not enough either, by the
    gradient itself: else a crafted row could pass for a shorter one.
    """
    rows, positions, wide, high = *given.shape, arrived.shape[2]
    if positions * (wide + high) > wide * high:
        return _instantiated(given, arrived, with_bias)
    step, parts = max(1, CHUNK // (2 * positions**2)), []
    least = _CANCELLED_IN_DOUBLE if given.dtype == torch.float64 else _CANCELLED
    for start in range(0, rows, step):
        some = slice(start, start + step)
        by_given, by_arrived = (one[some] @ one[some].mT for one in (given, arrived))
        if with_bias:
            by_given += 1
        inner = by_given.mul_(by_arrived)
        squares, own = inner.sum(dim=(1, 2)), inner.diagonal(dim1=1, dim2=2).sum(dim=1)
        norms = squares.clamp(min=0).sqrt()
        if (poor := ~(squares > least * own)).any():  # a comparison with what is not a number is false
            norms[poor] = _carefully(given[some][poor], arrived[some][poor], with_bias).to(norms.dtype)
        parts.append(norms)
    return torch.cat(parts) if parts else given.new_zeros(0)


def _carefully(given: Tensor, arrived: Tensor, with_bias: bool) -> Tensor:
    """The same where digits were lost."""
    if given.dtype == torch.float64 or given.device.type == "mps":  # which has no double precision
        return _instantiated(given, arrived, with_bias)
    return _outer_norms(given.double(), arrived.double(), with_bias)


def _instantiated(given: Tensor, arrived: Tensor, with_bias: bool) -> Tensor:
    """The same by the gradients themselves, a few rows at a time."""
    step = max(1, CHUNK // (given.shape[2] * arrived.shape[2]))
    parts = [
        lengths(arrived[start : start + step].mT @ given[start : start + step]) for start in range(0, len(given), step)
    ]
    norms = torch.cat(parts) if parts else given.new_zeros(0)
    return torch.hypot(norms, lengths(arrived.sum(dim=1))) if with_bias else norms
