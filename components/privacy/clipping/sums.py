"""The sums of clipped gradients of all parameters: one flat buffer, so that one pass adds all noise."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Sums:
    """One buffer for each device and type, with a view of it for every parameter.

    Args:
        parameters: those that are trained; one that is listed twice has one view.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self._parameters = tuple(dict.fromkeys(parameters))
        self._kinds: tuple[tuple[torch.device, torch.dtype], ...] = ()
        self._buffers: tuple[Tensor, ...] = ()
        self._views: dict[Tensor, Tensor] = {}

    @property
    def buffers(self) -> tuple[Tensor, ...]:
        """The sums of all parameters, flat."""
        return self._buffers

    @property
    def parameters(self) -> tuple[nn.Parameter, ...]:
        """The parameters that have a sum."""
        return self._parameters

    def clear(self) -> None:
        """Set every sum to zero; follow parameters that were moved to another device since."""
        kinds = tuple((parameter.device, parameter.dtype) for parameter in self._parameters)
        if kinds == self._kinds:
            for buffer in self._buffers:
                buffer.zero_()
            return
        self._kinds, self._views, buffers = kinds, {}, []
        for device, dtype in dict.fromkeys(kinds):
            alike = [one for one, kind in zip(self._parameters, kinds, strict=True) if kind == (device, dtype)]
            buffer = torch.zeros(sum(one.numel() for one in alike), device=device, dtype=dtype)
            start = 0
            for one in alike:
                self._views[one] = buffer[start : start + one.numel()].view_as(one)
                start += one.numel()
            buffers.append(buffer)
        self._buffers = tuple(buffers)

    def of(self, parameter: Tensor) -> Tensor | None:
        """Return the sum of `parameter`, of its shape; None where it is not trained."""
        return self._views.get(parameter) if parameter.requires_grad else None

    def hand_over(self) -> None:
        """Make each sum its parameter's `.grad`."""
        for parameter, view in self._views.items():
            parameter.grad = view
