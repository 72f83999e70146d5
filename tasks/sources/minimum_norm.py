"""Least squares at least norm on Gaussian data: the solution, and its expected risk in closed form.

n examples, x (N, d) standard normal, y = x . beta + noise of variance s^2. Where there are fewer examples than inputs,
of all solutions the one of least norm. A risk here is the expected squared error to x . beta, without the noise of a
test label, in the mean over training sets. It is infinite where n and the number of inputs differ by less than 2.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def least_norm(x: Tensor, y: Tensor) -> Tensor:
    """The coefficients (d, C) of least norm among those of least squares, in float64; x (N, d), y (N, C)."""
    inverse: Tensor = torch.linalg.pinv(x.double())
    return inverse @ y.double()


def risk_on_features(n: int, n_inputs: int, n_features: int, noise: float) -> float:
    """The risk on the first p of D inputs, where beta has norm 1 and equal entries (Belkin, Hsu, Xu 2020, theorem 1).

    What the other inputs contribute, 1 - p/D in variance, is noise to the fit and an error of its own.
    """
    unseen = 1 - n_features / n_inputs
    variance = unseen + noise**2
    if n_features <= n - 2:
        return unseen + variance * n_features / (n - n_features - 1)
    if n_features >= n + 2:
        return (1 - unseen) * (1 - n / n_features) + unseen + variance * n / (n_features - n - 1)
    return math.inf


def risk_under_shift(n: int, beta: Tensor, second_moment: Tensor, noise: float) -> float:
    """The risk where test inputs have the second moment S (d, d): E (x . (b - beta))^2 = E (b - beta)' S (b - beta).

    With fewer inputs than examples the error of b is all variance, the same in every direction. With more, b is the
    projection of beta on the span of a random n-dimensional subspace, plus noise: beta' S beta and tr S enter.
    """
    d, trace = len(beta), float(second_moment.trace())
    if d <= n - 2:
        return noise**2 * trace / (n - d - 1)
    if d < n + 2:
        return math.inf
    lost = d - n  # dimensions of the subspace on which the data say nothing
    spread = lost * n / (d * (d + 2) * (d - 1))
    along = lost * (lost + 2) / (d * (d + 2)) - spread
    signal = along * float(beta @ second_moment @ beta) + spread * float(beta @ beta) * trace
    return signal + noise**2 * trace * n / (d * (d - n - 1))


def gradient_descent(x: Tensor, y: Tensor, step_size: float, steps: float) -> Tensor:
    """The coefficients (d, C) after t steps from zero on half the mean squared error, without doing the steps.

    In the basis of eigenvectors of x'x/n with eigenvalues v each is (1 - (1 - step_size v)^t) / v of what x'y/n asks;
    t may be infinite. x (N, d) and y (N, C) in float64.
    """
    n = len(x)
    values, vectors = torch.linalg.eigh(x.T @ x / n)
    learned = (1 - (1 - step_size * values) ** steps) / values
    found: Tensor = vectors @ (learned.unsqueeze(1) * (vectors.T @ (x.T @ y / n)))
    return found
