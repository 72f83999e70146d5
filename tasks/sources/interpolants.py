"""Linear functions through all of fewer points than dimensions: of least l1 norm, of least length, and in between.

In between lies the end of the gradient flow of a diagonal network b = u * u - v * v that starts at u = v = a. It is the
interpolant of least Q_a, a convex function that is like |b|_1 for a to 0 and like |b|_2^2 for a to infinity.

Woodworth et al., Kernel and rich regimes in overparametrized models, COLT 2020, theorem 1. x: (N, d), N < d; y: (N,).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RESIDUAL = 1e-9
MOST_STEPS = 200
ARMIJO = 1e-4


def least_l1(x: Array, y: Array) -> Array:
    """The interpolant (d,) with the least sum of absolute weights: a linear program in their two parts."""
    from scipy.optimize import linprog

    d = x.shape[1]
    parts: Array = linprog(np.ones(2 * d), A_eq=np.hstack([x, -x]), b_eq=y).x
    return parts[:d] - parts[d:]


def least_l2(x: Array, y: Array) -> Array:
    """The interpolant (d,) of least Euclidean length."""
    return np.asarray(np.linalg.lstsq(x, y, rcond=None)[0], dtype=np.float64)


def diagonal_flow(x: Array, y: Array, scale: float) -> Array:
    """Where the gradient flow of a diagonal network ends: b = 2 a^2 sinh(x'n), with n such that x b = y.

    That n (N,) is the minimum of sum_j 2 a^2 cosh((x'n)_j) - y.n, which Newton's method finds.

    Raises:
        ArithmeticError: where it does not within 200 steps.
    """
    size, n = 2 * scale**2, np.zeros(len(y))

    def objective(n: Array) -> float:
        return float(size * np.cosh(x.T @ n).sum() - y @ n)

    for _ in range(MOST_STEPS):
        gradient = x @ (size * np.sinh(x.T @ n)) - y
        if np.abs(gradient).max() < RESIDUAL:
            weights: Array = size * np.sinh(x.T @ n)
            return weights
        step = np.linalg.solve((x * (size * np.cosh(x.T @ n))) @ x.T, -gradient)
        length = 1.0
        with np.errstate(over="ignore"):  # a step that overflows is shortened like any that is too long
            while not objective(n + length * step) <= objective(n) + ARMIJO * length * (gradient @ step) + 1e-12:
                length /= 2
        n = n + length * step
    raise ArithmeticError(f"Newton's method has not converged at scale {scale}")
