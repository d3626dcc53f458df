"""Book-keeping: one forward pass, one backward pass to the outputs of the layers, then norms, then weighted sums.

No parameter's gradient is computed by autograd. A step costs a step without privacy, the norms and the noise (Bu, Wang,
Zha & Karypis 2023, "Differentially private optimization on large model at small cost").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from opacus.grad_sample import AbstractGradSampleModule
from torch import Tensor, nn

from components.core.errors import ContractBroken
from components.privacy.clipping.calls import Call, Rule, without
from components.privacy.clipping.layers import RULES
from components.privacy.clipping.sums import Sums


class Model(Protocol):
    """What DP-SGD asks of an `nn.Module` beyond its parameters."""

    def losses(self, batch: Any) -> Tensor:
        """Return the loss of every row, shape (rows,)."""


def unsupported(module: nn.Module) -> list[str]:
    """Return what keeps `module` from book-keeping, as "name: kind" of layers; nothing where all have a rule."""
    owners: dict[nn.Parameter, str] = {}
    found = []
    for name, layer in module.named_modules():
        own = [parameter for parameter in layer.parameters(recurse=False) if parameter.requires_grad]
        rule = RULES.get(type(layer))
        if own and (rule is None or not rule.supports(layer)):
            found.append(f"{name or 'the module itself'}: {type(layer).__name__}")
        for parameter in own:
            if (first := owners.setdefault(parameter, name)) != name:
                found.append(f"{name}: a weight shared with {first}")
    return found


class BookKeeping(AbstractGradSampleModule):  # type: ignore[misc]
    """Sums of clipped gradients of a module whose layers all have a rule.

    Args:
        module: as `unsupported` finds nothing in; it is hooked, not copied.
        max_grad_norm: L2 bound of one row's gradient over all parameters.
    """

    def __init__(self, module: nn.Module, max_grad_norm: float) -> None:
        super().__init__(module, loss_reduction="sum")
        self._bound = max_grad_norm
        self._rules: dict[nn.Module, Rule] = {
            layer: RULES[type(layer)]
            for layer in module.modules()
            if any(parameter.requires_grad for parameter in layer.parameters(recurse=False))
        }
        self._trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self._calls: dict[nn.Module, list[Call]] | None = None
        self._anchor = torch.zeros((), requires_grad=True)
        self._hooks = [layer.register_forward_hook(self._keep, with_kwargs=True) for layer in self._rules]

    def add(self, rows: Any, sums: Sums) -> float:
        """Add the clipped gradients of `rows` to `sums` and return the sum of their losses.

        A row whose loss or gradient is not finite adds zero to both.

        Raises:
            ContractBroken: a layer was called on something else than one line for each row.
        """
        losses, calls = self._backward(rows)
        norms = self._norms(calls, len(losses))
        kept = torch.isfinite(norms) & torch.isfinite(losses)
        factors = (self._bound / norms.clamp(min=1e-12)).clamp(max=1.0)
        if not bool(kept.all()):
            factors, losses = factors.masked_fill(~kept, 0), losses.masked_fill(~kept, 0)
            calls = {layer: [without(call, kept) for call in its] for layer, its in calls.items()}
        for layer, its in calls.items():
            self._rules[layer].add(layer, its, factors, sums)
        return float(losses.sum())

    def norms(self, rows: Any) -> Tensor:
        """Return the L2 norm of the gradient of each row, `(rows,)`: private, for the check of a model on made-up rows.

        Raises:
            ContractBroken: as above, or a layer does not act on the losses.
        """
        losses, calls = self._backward(rows)
        if silent := [type(layer).__name__ for layer in self._rules if layer not in calls]:
            raise ContractBroken(
                f"The model has weights whose gradient cannot be clipped row by row ({', '.join(silent)})",
                next_step="Use each weight in one layer of its own, and reach every layer from losses.",
            )
        return self._norms(calls, len(losses))

    def remove_hooks(self) -> None:
        """Take the hooks off the module."""
        for hook in self._hooks:
            hook.remove()

    def _norms(self, calls: Mapping[nn.Module, list[Call]], rows: int) -> Tensor:
        for layer, its in calls.items():
            if any(len(call.arrived) != rows for call in its):
                raise ContractBroken(  # how many rows a batch has is private
                    f"A layer of kind {type(layer).__name__} was not called on one line for each row",
                    next_step="Keep the rows as the first dimension of what goes into every layer with weights.",
                )
        parts = [self._rules[layer].norms(layer, its) for layer, its in calls.items()]
        if not parts:
            return torch.zeros(rows)
        return parts[0] if len(parts) == 1 else torch.linalg.vector_norm(torch.stack(parts), dim=0)

    def _backward(self, rows: Any) -> tuple[Tensor, dict[nn.Module, list[Call]]]:
        """Return the losses, detached, and the calls of each layer with what arrived at them."""
        with self._keeping() as calls:
            losses = self._module.losses(rows)
            if losses.requires_grad:
                losses.sum().backward(inputs=[self._anchor])
        reached = {layer: [call for call in its if call.gradient is not None] for layer, its in calls.items()}
        _mark_owned([call for its in reached.values() for call in its])
        return losses.detach(), {layer: its for layer, its in reached.items() if its}

    @contextmanager
    def _keeping(self) -> Iterator[dict[nn.Module, list[Call]]]:
        """Keep the calls that layers get, with autograd blind to all parameters."""
        calls = self._calls = {}
        for parameter in self._trained:
            parameter.requires_grad_(False)
        try:
            yield calls
        finally:
            self._calls = None
            for parameter in self._trained:
                parameter.requires_grad_(True)

    def _keep(self, layer: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any], output: Tensor) -> Tensor:
        if self._calls is None:
            return output
        call = Call(tuple(map(_detached, inputs)), {name: _detached(value) for name, value in options.items()})
        self._calls.setdefault(layer, []).append(call)
        if not output.requires_grad:
            output = _Reached.apply(output, self._anchor)  # type: ignore[no-untyped-call]
        output.register_hook(lambda gradient: setattr(call, "gradient", gradient))  # type: ignore[no-untyped-call]
        return output


class _Reached(torch.autograd.Function):
    """Nothing but a mark that backward has to come to this tensor, although no parameter asks for it."""

    @staticmethod
    def forward(ctx: Any, output: Tensor, anchor: Tensor) -> Tensor:
        ctx.mark_dirty(output)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None]:
        return None, None


def _mark_owned(calls: list[Call]) -> None:
    """Mark what arrived at one call alone: a sum of two layers hands both the same tensor, a mean a stretched one."""
    readers = Counter(call.arrived.untyped_storage().data_ptr() for call in calls)
    for call in calls:
        call.owned = call.arrived.is_contiguous() and readers[call.arrived.untyped_storage().data_ptr()] == 1


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value
