"""Checkpoints of a training: what was learnt and how many steps it took, and nothing of the noise.

On resume the count comes first, the noise is drawn afresh, and steps that were taken after the checkpoint are taken
again as new steps, which are charged again. Checkpoints hold released parameters but are kept in the trusted zone.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from components.core.errors import ContractBroken
from components.core.files import write_bytes

NAME = "checkpoint.pt"


@dataclass(frozen=True)
class Checkpoint:
    """`steps` taken under the plan with digest `plan`, and the states that they led to."""

    steps: int
    plan: str
    module: dict[str, Any]
    optimizer: dict[str, Any]
    watched: dict[str, Any] | None = None
    """Canaries that took part, and what was seen of them."""

    def write(self, folder: Path) -> None:
        """Write it atomically; a reader sees the one before or this one."""
        buffer = io.BytesIO()
        torch.save(vars(self), buffer)
        write_bytes(folder / NAME, buffer.getvalue())


def read(folder: Path, plan: str) -> Checkpoint | None:
    """Return the checkpoint in `folder`, or None where there is none.

    Raises:
        ContractBroken: it is of another plan, or cannot be read.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        found = Checkpoint(**torch.load(path, weights_only=True, map_location="cpu"))
    except (RuntimeError, TypeError, EOFError, OSError, ValueError, KeyError) as error:
        raise ContractBroken(
            f"The checkpoint {path} cannot be read",
            next_step="Remove it; the training starts anew and is charged anew.",
        ) from error
    if found.plan != plan:
        raise ContractBroken(
            f"The checkpoint {path} is of another plan",
            value=found.plan[:12],
            limit=plan[:12],
            next_step="Give every plan a folder of its own, or remove it.",
        )
    return found
