"""What a layer was called with, and what a rule for a kind of layer has to answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from components.privacy.clipping.sums import Sums

CHUNK = 1 << 22
"""Numbers of a temporary: 16 MB."""


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


def trained(parameter: nn.Parameter | None) -> bool:
    """Tell whether there is such a weight, and it is not frozen."""
    return parameter is not None and parameter.requires_grad


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Return several calls as one, along the positions of sequences."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=1)
