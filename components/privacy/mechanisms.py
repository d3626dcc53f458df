"""One-shot Gaussian mechanisms on rows that are users: sums, counts, and the noise itself.

Formal guarantee: the sum of vectors whose L2 distance between neighbours is at most `sensitivity`, plus Gaussian noise
of standard deviation `noise_multiplier · sensitivity`, costs `Gaussian(noise_multiplier)`.

Not protected: the noise is a floating-point number, and its low bits can tell about the sum that it was added to
(Mironov 2012). Every draw takes fresh bits from the operating system's generator; no seed exists that could be
replayed or found out.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sized
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse
from scipy.special import ndtri

from components.core import digest
from components.core.errors import ContractBroken
from components.core.private import Private
from components.core.records import Population
from components.privacy.ledger import Ledger
from components.privacy.release import Gaussian, Release, content_key

Vector = NDArray[np.float64]

_EVERY_SERVICE = "all"


def gaussian_noise(shape: int | tuple[int, ...], sigma: float) -> Vector:
    """Return Gaussian noise of standard deviation `sigma`, made from the operating system's random bytes.

    Box and Muller's transform of 53-bit uniforms; a draw lies within 8.6 standard deviations.
    """
    size = math.prod(shape) if isinstance(shape, tuple) else shape
    pairs = (size + 1) // 2
    bits = np.frombuffer(os.urandom(16 * pairs), dtype=np.uint64) >> np.uint64(11)
    uniform = (bits.astype(np.float64) + 1.0) * 2.0**-53  # in (0, 1]: its logarithm is finite
    radius, angle = np.sqrt(-2 * np.log(uniform[:pairs])), 2 * np.pi * uniform[pairs:]
    draws = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:size]
    return np.asarray(sigma * draws).reshape(shape)


def clip_rows(rows: Any, bound: float) -> Any:
    """Return `rows` (users, columns), dense or CSR, with every row scaled down to L2 norm `bound` where it is longer.

    A row that is not finite becomes zero: it may not make the sum, and with it everyone's answer, NaN.
    """
    if issparse(rows):
        rows = csr_array(rows, dtype=np.float64, copy=True)
        users = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
        squares = np.bincount(users, weights=rows.data**2, minlength=rows.shape[0])
        factors = _clip_factors(np.sqrt(squares), bound)
        rows.data = np.where(factors[users] > 0, rows.data, 0.0) * factors[users]
        return rows
    rows = np.asarray(rows, dtype=np.float64)
    with np.errstate(over="ignore"):  # a norm beyond floating point is not finite, and counts as such
        factors = _clip_factors(np.linalg.norm(rows, axis=1), bound)
    return np.where(factors[:, None] > 0, rows, 0.0) * factors[:, None]


def noised_sum(vector: NDArray[Any], sensitivity: float, noise_multiplier: float) -> Vector:
    """Return `vector`, of any shape, with noise of standard deviation `noise_multiplier · sensitivity` on each entry.

    Args:
        vector: a sum over users; one user moves it by at most `sensitivity` in L2 norm.

    Raises:
        ContractBroken: it is not finite. Bound each user's part first (`clip_rows`).
    """
    if not np.isfinite(vector).all():
        raise ContractBroken("A sum that is to be noised is not finite", next_step="Clip each user's part first.")
    return np.asarray(vector, dtype=np.float64) + gaussian_noise(vector.shape, noise_multiplier * sensitivity)


def dp_count(rows: Sized | Any, noise_multiplier: float) -> float:
    """Return the number of `rows` (users) with Gaussian noise; one user moves it by 1."""
    users = rows.shape[0] if hasattr(rows, "shape") else len(rows)
    return float(noised_sum(np.array([users]), 1.0, noise_multiplier)[0])


def lower_bound(noised: float, sigma: float, failure: float = 1e-3) -> float:
    """Return what the un-noised figure exceeds with probability 1 - `failure` over the noise."""
    return noised + sigma * float(ndtri(failure))


def population(ledger: Ledger, of: Private[Any], noise_multiplier: float) -> Population:
    """Return the DP count of the rows (users) of `of`, made and charged once; a second call finds it and is free.

    Its lower bound, at least 1, is all that anything public (q, the normaliser, δ) may know of the number of users.

    Raises:
        BudgetExhausted: the count does not fit into the split's accounts.
    """
    event = Gaussian(noise_multiplier=noise_multiplier)
    release = Release.model_validate(
        {
            "mechanism": "dp_count",
            "service": _EVERY_SERVICE,
            "sensitivity": 1.0,
            "event": event,
            "blocks": of.blocks,
            "split": of.split,
        }
    )
    key = content_key(
        service=_EVERY_SERVICE,
        dataset=of.digest,
        plan=event,
        mechanism_digest=digest.of_modules([__name__]),
    )
    done = ledger.settled(key)
    if done is not None and done.folder is not None:
        return done.record(Population)
    with ledger.release(release, key=key, of=of) as opened:
        opened.intend(1)
        noised = dp_count(opened.value, noise_multiplier)
        count = Population(
            split=of.split,
            noised=noised,
            lower_bound=max(1, math.floor(lower_bound(noised, noise_multiplier))),
            release=release.digest,
            ledger=ledger.genesis,
        )
        return opened.keep(count).record(Population)


def _clip_factors(norms: Vector, bound: float) -> Vector:
    with np.errstate(divide="ignore"):
        factors = np.minimum(1.0, bound / norms)
    return np.where(np.isfinite(norms), factors, 0.0)
