"""Spectral mechanisms: what stands out of the noise's spectrum is kept.

A symmetric matrix of noise with deviation s off the diagonal has its eigenvalues within ±2s√m. One of ℓ beyond it is
seen at ℓ + ms²/ℓ, and of its eigenvector a share of 1 − ms²/ℓ² (Benaych-Georges and Nadakuditi 2011); the shrinkage
below is best in Frobenius norm for what is seen (Gavish and Donoho 2017).
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from scipy import sparse

from components.privacy.mechanisms import noised_sum
from components.services.recommend import gram
from components.services.recommend.bundle import Bundle, Config
from components.services.recommend.data import Rows
from components.services.recommend.scoring import Scorer

from .ours import floor, scorer, starts

_RIDGE = 3.0
"""λ of the regression, in eigenvalues of the noise's edge."""
_SWEEPS, _RANK, _CODES = 2, 64, 0.05
"""Of DPALS: sweeps, most factors, and the share of a sweep's μ² that the factors' own moments get."""


def one_shot(train: Rows, mu: float, scratch: Path) -> Scorer:
    """Return the plain noisy Gram matrix with its eigenvalues shrunk by the known noise, and a ridge regression."""
    share = starts(train, mu)
    _, known = floor(train, mu * math.sqrt(share), scratch)
    vectors, values, edge = _released(train, mu * math.sqrt(1 - share))
    weights = (vectors * (values / (values + _RIDGE * edge))) @ vectors.T
    return _scorer(weights, known)


def alternating(train: Rows, mu: float, scratch: Path) -> Scorer:
    """Return DPALS (Chien et al. 2021, Krichene et al. 2023): each sweep embeds the users by the items' factors,
    un-noised and unreleased, and regresses the items on them by two noised moments, Σ y zᵀ and Σ z zᵀ.
    """
    share = starts(train, mu)
    left = mu * math.sqrt((1 - share) / (_SWEEPS + 1))
    _, known = floor(train, mu * math.sqrt(share), scratch)
    factors, values, _ = _released(train, left)
    factors = factors[:, np.argsort(-values)[:_RANK]]
    if not factors.shape[1]:
        return _scorer(np.zeros((len(train.catalogue),) * 2), known)
    rows = _unit(train.matrix)
    weights = np.zeros(0)
    for _ in range(_SWEEPS):
        codes = rows @ factors
        codes /= np.maximum(np.linalg.norm(codes, axis=1, keepdims=True), 1e-12)
        # y zᵀ and z zᵀ have norm 1 each; weighted, the two together have norm 1.
        moments = noised_sum(
            np.vstack([math.sqrt(1 - _CODES) * (rows.T @ codes), math.sqrt(_CODES) * (codes.T @ codes)]), 1.0, 1 / left
        )
        crossed, own = moments[: len(factors)] / math.sqrt(1 - _CODES), moments[len(factors) :] / math.sqrt(_CODES)
        ridge = math.sqrt(len(factors)) / left
        eigenvalues, basis = np.linalg.eigh((own + own.T) / 2)
        inverse = (basis / (np.maximum(eigenvalues, 0) + ridge)) @ basis.T
        regressed = crossed @ inverse
        weights = factors @ regressed.T
        factors, _ = np.linalg.qr(regressed)
    return _scorer(weights, known)


def _released(train: Rows, mu: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Return eigenvectors and shrunk eigenvalues of the noisy Gram matrix, and the edge of the noise's."""
    exact = gram.statistic(train.matrix)
    noised = gram.as_matrix(noised_sum(gram.as_vector(exact), 1.0, 1 / mu), len(exact))
    edge = 2 * math.sqrt(len(exact) / 2) / mu
    values, vectors = np.linalg.eigh(noised.astype(np.float32))
    kept = values > edge
    shrunk = np.sqrt(values[kept].astype(np.float64) ** 2 - edge**2)
    return vectors[:, kept].astype(np.float64), shrunk, edge


def _unit(matrix: sparse.csr_array) -> sparse.csr_array:
    size = np.sqrt(np.maximum(np.asarray(matrix.sum(axis=1)), 1))
    return sparse.csr_array(sparse.diags_array(1 / size.astype(np.float64)) @ matrix)


def _scorer(weights: np.ndarray, known: Bundle) -> Scorer:
    single = weights.astype(np.float32)
    np.fill_diagonal(single, 0)
    column = np.arange(len(single), dtype=np.int32)
    arrays = {"popularity": known.arrays["popularity"], "column": column, "weights": single}
    return scorer(Bundle(Config(kind="gram", blend=2.0), arrays, known.catalogue))
