"""Ridge regression in the space of a Gaussian kernel, with bandwidth and ridge chosen by leave-one-out error."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, eigh
from scipy.spatial.distance import pdist
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils import check_random_state

from tasks.types import Problem

ENTRIES = {
    "kernel-ridge": {
        "class": "KernelRidge",
        "summary": "Gaussian kernel ridge regression (one-hot targets for classes), at most 5,000 examples",
    }
}

Array = NDArray[Any]

MAX_EXAMPLES = 5_000
TUNING_EXAMPLES = 1_000
BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
RIDGES = (1e-6, 1e-4, 1e-2, 1.0)

log = logging.getLogger(__name__)


class KernelRidge:
    """f(x) = mean + sum_i a_i exp(-|x - x_i|^2 / (2 s^2)), a = (K + ridge W^-1)^-1 (y - mean).

    The bandwidth s is one of five multiples of the median distance, the ridge one of four values: the pair with the
    least leave-one-out squared error on at most 1,000 training examples. Far from all data f is the training mean.
    Above 5,000 training examples it fits 5,000 drawn at random, and logs that. Example weights W = diag(w) weigh the
    squared errors (Saunders, Gammerman and Vovk, ICML 1998).

    `random_state`: int, or None for NumPy's global stream.
    """

    takes = ("vector", "signal", "image")

    def __init__(self, problem: Problem, random_state: int | None = None) -> None:
        self.problem = problem
        self.random_state = random_state

    def fit(self, x: Array, y: Array, sample_weight: Array | None = None) -> KernelRidge:
        """x: (N, *S). y: (N,) classes, or values (N,) or (N, C). sample_weight: (N,), non-negative."""
        order = check_random_state(self.random_state).permutation(len(x))[:MAX_EXAMPLES]
        if len(order) < len(x):
            log.warning("kernel-ridge: fitted on %s of %s training examples, at random", len(order), len(x))
        self.x = x.reshape(len(x), -1)[order]
        classes = self.problem.output_kind == "classes"
        targets = np.eye(self.problem.n_outputs)[y[order]] if classes else y[order].reshape(len(order), -1)
        weights = np.ones(len(order)) if sample_weight is None else sample_weight[order].astype(np.float64)
        root = np.sqrt(weights / weights.mean())[:, None]  # (N, 1)
        self.mean = np.average(targets, axis=0, weights=weights)  # (C,)
        whitened = root * (targets - self.mean)  # (N, C)
        few = slice(TUNING_EXAMPLES)
        self.bandwidth, self.ridge = least_error(self.x[few], whitened[few], root[few])
        kernel = root * gaussian(self.x, self.x, self.bandwidth) * root.T
        kernel.flat[:: len(kernel) + 1] += self.ridge
        self.coefficients = root * cho_solve(cho_factor(kernel, overwrite_a=True), whitened)  # (N, C)
        return self

    def scores(self, x: Array) -> Array:
        """The regression itself (N, C); for classes it estimates the probabilities, without their bounds."""
        estimate: Array = self.mean + gaussian(x.reshape(len(x), -1), self.x, self.bandwidth) @ self.coefficients
        return estimate

    def predict_proba(self, x: Array) -> Array:
        """The scores (N, C), cut at 1e-6 from below and normalised."""
        positive = np.maximum(self.scores(x), 1e-6)
        shares: Array = positive / positive.sum(axis=1, keepdims=True)
        return shares

    def predict(self, x: Array) -> Array:
        """The class of the largest score (N,), or values (N, C)."""
        scores = self.scores(x)
        return scores.argmax(axis=1) if self.problem.output_kind == "classes" else scores


def least_error(x: Array, whitened: Array, root: Array) -> tuple[float, float]:
    """Bandwidth and ridge with the least leave-one-out error sum_i w_i |y_i - f_-i(x_i)|^2.

    Its closed form is sum_i |a_i / G_ii|^2, G the inverse of the regularized kernel matrix (Allen's PRESS).
    """
    errors = {}
    for bandwidth in median_distance(x) * np.asarray(BANDWIDTHS):
        values, vectors = eigh(root * gaussian(x, x, bandwidth) * root.T)
        projected = vectors.T @ whitened
        for ridge in RIDGES:
            inverse = 1 / (np.maximum(values, 0) + ridge)
            residuals = vectors @ (inverse[:, None] * projected) / (vectors**2 @ inverse)[:, None]
            errors[bandwidth, ridge] = float((residuals**2).sum())
    return min(errors, key=errors.__getitem__)


def median_distance(x: Array) -> float:
    """The median over pairs of distinct points; 1 where there are none."""
    distances = pdist(x)
    distinct = distances[distances > 0]
    return float(np.median(distinct)) if len(distinct) else 1.0


def gaussian(a: Array, b: Array, bandwidth: float) -> Array:
    """exp(-|a_i - b_j|^2 / (2 bandwidth^2)), (N_a, N_b), in double precision."""
    squared = euclidean_distances(a.astype(np.float64), b.astype(np.float64), squared=True)
    kernel: Array = np.exp(-squared / (2 * bandwidth**2))
    return kernel
