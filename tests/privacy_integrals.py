"""Exact hockey-stick divergences of a Gaussian count and what is chosen after it, by numerical integration."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri
from scipy.stats import norm

from components.privacy import adaptive
from components.privacy.mechanisms import lower_bound


def gaussian_divergence(epsilon: Any, mu: Any) -> Any:
    """Return the hockey-stick divergence of N(μ, 1) from N(0, 1) at e^ε, also for ε below 0."""
    return ndtr(mu / 2 - epsilon / mu) - np.exp(epsilon + log_ndtr(-epsilon / mu - mu / 2))


def after_count(
    users: int, noise: float, epsilon: float, most: float, whole: Callable[[float], float], added: bool = True
) -> float:
    """Return the exact δ at `epsilon` of a count of `users` and of Gaussian releases whose μ is chosen from it.

    The integral, over what is counted, of its density times the divergence that is left at e^ε over the ratio of
    densities. Neighbours have one user less (`added`) or one more.

    Args:
        whole: stated δ → μ of everything together, the count included.
    """
    counts = users + noise * np.linspace(-9, 9, 18_001)
    bounds = np.maximum(1, np.floor(lower_bound(counts, noise)))
    stated, place = np.unique([adaptive.stated_delta(bound, most) for bound in bounds], return_inverse=True)
    left = np.sqrt([whole(delta) ** 2 - noise**-2 for delta in stated])[place]
    other = users - 1 if added else users + 1
    density = norm.pdf(counts, users, noise)
    loss = norm.logpdf(counts, users, noise) - norm.logpdf(counts, other, noise)
    return float(np.trapezoid(density * gaussian_divergence(epsilon - loss, left), counts)) + 2 * float(ndtr(-9))


def least_stated(users: int, noise: float, most: float) -> float:
    """Return the least δ that is stated for `users`, the count's noise within `adaptive.REACH`."""
    highest = users + noise * (adaptive.REACH + float(ndtri(1e-3)))
    return adaptive.stated_delta(max(1, math.floor(highest)), most)
