"""Completing a matrix: the completion of least nuclear norm, and how many ranks a matrix has in effect.

Mazumder, Hastie, Tibshirani, Spectral regularization algorithms for learning large incomplete matrices, JMLR 2010.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LAST_THRESHOLD = 1e-4
"""Of the largest singular value of what is known."""
DECAY = 0.8
SETTLED = 1e-4
MOST_STEPS = 200


def soft_impute(values: Array, known: NDArray[np.bool_]) -> Array:
    """The matrix (n, n) of least nuclear norm that has the known values, up to the last of a row of falling thresholds.

    For each threshold the unknown entries are filled in from the last estimate, and singular values are lowered by it,
    until nothing moves.
    """
    estimate = np.zeros_like(values)
    threshold = first = float(np.linalg.norm(np.where(known, values, 0.0), 2))
    while threshold > LAST_THRESHOLD * first:
        threshold *= DECAY
        for _ in range(MOST_STEPS):
            before = estimate
            u, s, vh = np.linalg.svd(np.where(known, values, estimate), full_matrices=False)
            estimate = (u * np.maximum(s - threshold, 0)) @ vh
            if np.linalg.norm(estimate - before) <= SETTLED * np.linalg.norm(estimate):
                break
    return estimate


def effective_rank(matrix: Array) -> float:
    """exp of the entropy of the singular values over their sum (Roy and Vetterli, 2007): k for k equal ones.

    Raises:
        ValueError: for a matrix of zeros.
    """
    s = np.linalg.svd(matrix, compute_uv=False)
    if not s.sum() > 0:
        raise ValueError("a matrix of zeros has no effective rank")
    share = s[s > 0] / s.sum()
    return float(np.exp(-(share * np.log(share)).sum()))
