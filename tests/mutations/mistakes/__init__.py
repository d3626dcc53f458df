"""The classic mistakes, each seeded into the real code: what a careless change could do to a training or a release."""

from __future__ import annotations

import sys
from typing import Any

import pytest

Patch = pytest.MonkeyPatch


def everywhere(patch: Patch, name: str, instead: Any) -> None:
    """Exchange a function wherever the product knows it by its name."""
    for module in [module for known, module in sys.modules.items() if known.startswith("components.")]:
        if name in vars(module):
            patch.setattr(module, name, instead)
