"""Opacus' own modes: for models with layers that book-keeping has no rule for, and to compare with."""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
from opacus.grad_sample import GradSampleModuleFastGradientClipping
from torch import Tensor, nn

from components.core.errors import ContractBroken
from components.privacy.clipping.book_keeping import Model
from components.privacy.clipping.sums import Sums


class ByOpacus:
    """Sums of clipped gradients by two backward passes: one for the norms, one for the weighted sum.

    Args:
        module: it is hooked, not copied.
        max_grad_norm: L2 bound of one row's gradient over all parameters.
        mode: "ghost" takes norms from activations and signals where Opacus can; "hooks" makes every row's gradient.
    """

    def __init__(self, module: nn.Module, max_grad_norm: float, mode: Literal["ghost", "hooks"]) -> None:
        self._model, self._bound = cast(Model, module), max_grad_norm
        self._parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self._sampled = GradSampleModuleFastGradientClipping(
            module, loss_reduction="sum", max_grad_norm=max_grad_norm, use_ghost_clipping=mode == "ghost"
        )

    def add(self, rows: Any, sums: Sums) -> float:
        """Add the clipped gradients of `rows` to `sums` and return the sum of their losses.

        A row whose loss or gradient is not finite adds zero to both.
        """
        while len(rows):
            losses = self._model.losses(rows)
            losses.sum().backward(retain_graph=True)  # type: ignore[no-untyped-call]
            norms = self._sampled.get_norm_sample()
            finite = torch.isfinite(norms) & torch.isfinite(losses.detach())
            if bool(finite.all()):
                factors = (self._bound / norms.clamp(min=1e-12)).clamp(max=1.0)
                self._clear()
                self._sampled.disable_hooks()
                try:
                    (factors * losses).sum().backward()
                finally:
                    self._sampled.enable_hooks()
                for parameter in self._parameters:
                    if parameter.grad is not None and (total := sums.of(parameter)) is not None:
                        total.add_(parameter.grad)
                self._clear()
                return float(losses.detach().sum())
            rows = rows[finite]
        self._clear()
        return 0.0

    def norms(self, rows: Any) -> Tensor:
        """Return the L2 norm of the gradient of each row, `(rows,)`: private, for the check of a model on made-up rows.

        Raises:
            ContractBroken: Opacus cannot tell the norms of this model's gradients.
        """
        try:
            self._model.losses(rows).sum().backward()  # type: ignore[no-untyped-call]
            return cast(Tensor, self._sampled.get_norm_sample()).detach()
        except (AttributeError, NotImplementedError) as error:
            raise ContractBroken(
                f"The model has weights whose gradient cannot be clipped row by row ({error})",
                next_step="Use each weight in one layer of its own, and reach every layer from losses.",
            ) from error
        finally:
            self._clear()

    def to_standard_module(self) -> nn.Module:
        """Take Opacus' hooks off the module and return it."""
        return cast(nn.Module, self._sampled.to_standard_module())

    def _clear(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None
