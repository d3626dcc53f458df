"""Figures of a privacy statement as people write them, never rounded to the better side."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def surest(epsilon: float) -> float:
    """Return what a belief of one half can become, but for a probability of 2δ.

    (ε, δ) bounds E[(1 − exp(ε − L))⁺] ≤ δ for the privacy loss L, and so P[L ≥ ε + t] ≤ δ/(1 − exp(−t)) (compare
    Kasiviswanathan & Smith 2014). With t = log 2 the odds change by at most 2·exp(ε), but for 2δ. To
    say exp(ε) but for δ would be wrong: for a Gaussian that fails several times as often.
    """
    odds = 2 * math.exp(epsilon)
    return odds / (1 + odds)


def at_most(figure: float) -> str:
    """Return a bound with four digits, rounded up: what is promised is never less than what was computed."""
    step = 10.0 ** (math.floor(math.log10(figure)) - 3) if figure > 0 else 1.0
    return f"{math.ceil(figure / step - 1e-9) * step:.4g}"


def small(figure: float) -> str:
    """Return a small probability as people write it, as 10⁻⁵ or 3.1 × 10⁻⁶."""
    digits, _, power = f"{figure:.1e}".partition("e")
    ten = f"10{str(int(power)).translate(_RAISED)}"
    return ten if float(digits) == 1 else f"{float(digits):g} × {ten}"


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return parameters as dotted names with their values for readers."""
    found: dict[str, str] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = f"{value:.6g}" if isinstance(value, float) else str(value)
    return found
