"""Canaries in a training: reserved weights beside the model's, of which every noisy gradient is watched.

A canary's loss is linear in its direction's reserved weight, so that its gradient is there, is clipped, and leaves the
model's own weights alone; a user's loss is the model's. So users are trained on as if there were no canaries: same
sampling, same normaliser, and no gradient of a canary in any weight that is kept.
"""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from components.privacy.canaries import NULLS, Canaries
from components.privacy.plan import PrivacyPlan
from components.privacy.rows import SparseRows

_SATURATING = 16.0
"""Norm of a canary's gradient before clipping, in clipping norms."""


class Watched(nn.Module):
    """A model with reserved weights. Batches hold the model's columns, and then the number of a canary's direction;
    sparse ones stay sparse.

    Args:
        module: the model, with `losses(batch) -> (rows,)`.
        optimizer: over its parameters; the reserved ones are added, at a learning rate of zero.
        canaries: what takes part.
        plan: that of the training.
    """

    def __init__(
        self, module: nn.Module, optimizer: torch.optim.Optimizer, canaries: Canaries, plan: PrivacyPlan
    ) -> None:
        super().__init__()
        self.module = module
        # Line 0 is for users; of each line the loss reads the first weight, and the others show the noise alone.
        self.reserved = nn.Embedding(1 + canaries.directions, 1 + NULLS)
        nn.init.zeros_(self.reserved.weight)
        self._canaries, self._plan, self._steps = canaries, plan, 0
        self._sums = np.zeros((canaries.directions, 1 + NULLS))
        optimizer.add_param_group({"params": [self.reserved.weight], "lr": 0.0})
        self._hook = optimizer.register_step_pre_hook(lambda *_: self._see())

    def rows(self, rows: Any) -> Any:
        """Return the rows of users, `(users, columns)`, and of canaries."""
        return self._canaries.numbered(rows)

    def losses(self, batch: Tensor | SparseRows) -> Tensor:
        """Return the loss of every row, `(rows,)`."""
        model = cast(Any, self.module)
        if isinstance(batch, SparseRows):
            rows, number = batch.without_last_column()
            asked = batch.values.requires_grad
        else:
            rows, number = batch[:, :-1], batch[:, -1]
            asked = batch.requires_grad
        if asked:  # the engine asks which inputs act on a loss: numbers do not, and Opacus' hooks would wait
            return cast(Tensor, model.losses(rows))
        number = number.long()
        canary = _SATURATING * self._plan.max_grad_norm * cast(Tensor, self.reserved(number))[:, 0]
        return torch.where(number > 0, canary, model.losses(rows))

    def seen(self) -> dict[str, Any]:
        """Return which canaries take part and what was seen of them so far, for a checkpoint."""
        users, inserted = torch.from_numpy(self._canaries.users), torch.from_numpy(self._canaries.inserted)
        return {"users": users, "inserted": inserted, "sums": torch.from_numpy(self._sums.copy()), "steps": self._steps}

    def resume(self, seen: dict[str, Any]) -> None:
        """Go on with the canaries of a checkpoint; call it before `rows`."""
        self._canaries.users, self._canaries.inserted = seen["users"].numpy(), seen["inserted"].numpy()
        self._sums, self._steps = seen["sums"].numpy().copy(), seen["steps"]

    def end(self) -> None:
        """Stop watching, and tell the canaries what was seen of them."""
        self._hook.remove()
        if self._steps:
            self._canaries.observe(self._sums.T / math.sqrt(self._steps), steps=self._steps)

    def _see(self) -> None:
        """Add a step's noisy gradient, as the optimizer gets it, in clipping norms."""
        gradient = cast(Tensor, self.reserved.weight.grad).detach().cpu().double().numpy()
        self._sums += gradient[1:] * (self._plan.expected_batch_size / self._plan.max_grad_norm)
        self._steps += 1
