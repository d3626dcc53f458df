"""Generators seeded from the operating system, fresh for every step; no seed is chosen, logged or kept.

Not protected: these generators are not cryptographic, and floating-point noise has low bits that can tell about the sum
it was added to (Mironov 2012). A seed of torch's own CPU generator would be worse: it keeps only 32 bits of it, so all
of them can be tried.
"""

from __future__ import annotations

import secrets

import numpy as np
import torch


def numpy_generator() -> np.random.Generator:
    """Return a generator with 256 bits of state from the operating system."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(secrets.randbits(256), pool_size=8)))


def normal_like(reference: torch.Tensor, sigma: float, generator: np.random.Generator) -> torch.Tensor:
    """Return Gaussian noise of standard deviation `sigma` with the shape, type and device of `reference`.

    A GPU draws it itself (Philox, 63 bits of seed); sending it there would take longer than the step.
    """
    if reference.device.type == "cpu":
        draws = generator.standard_normal(tuple(reference.shape), dtype=np.float32)
        return torch.from_numpy(draws).to(reference.dtype).mul_(sigma)
    on_device = torch.Generator(device=reference.device).manual_seed(secrets.randbits(63))
    return torch.empty_like(reference).normal_(0.0, sigma, generator=on_device)
