"""Maximal margins of linear classifiers through the origin, in three norms, exactly: linear and quadratic programs.

The margin of a direction w is min_i y_i w.x_i / |w|. `signed` is y_i x_i, (N, d).
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Norm = Literal["l1", "l2", "linf"]
NORMS: tuple[Norm, ...] = get_args(Norm)
ORDERS = {"l1": 1, "l2": 2, "linf": np.inf}


def margin(signed: Array, w: Array, norm: Norm) -> float:
    """min_i y_i w.x_i / |w| of a direction w (d,) that is not 0."""
    return float((signed @ w).min() / np.linalg.norm(w, ORDERS[norm]))


def max_margin(signed: Array, norm: Norm) -> Array:
    """The direction w (d,) of length 1 whose margin in this norm is largest.

    Raises:
        ValueError: where no hyperplane through the origin separates the classes.
    """
    w = {"l1": least_sum, "l2": least_length, "linf": least_largest}[norm](signed)
    if not (signed @ w).min() > 0:
        raise ValueError("no hyperplane through the origin separates these classes")
    unit: Array = w / np.linalg.norm(w, ORDERS[norm])
    return unit


def least_sum(signed: Array) -> Array:
    """Maximize g subject to signed w >= g and |w|_1 <= 1, w being a difference of two positive vectors."""
    n, d = signed.shape
    separates = np.hstack([-signed, signed, np.ones((n, 1))])
    bounded = np.append(np.ones(2 * d), 0.0)
    solution = linear_program(np.vstack([separates, bounded]), np.append(np.zeros(n), 1.0), [(0.0, None)] * (2 * d))
    return solution[:d] - solution[d:]


def least_largest(signed: Array) -> Array:
    """Maximize g subject to signed w >= g and -1 <= w <= 1."""
    n, d = signed.shape
    return linear_program(np.hstack([-signed, np.ones((n, 1))]), np.zeros(n), [(-1.0, 1.0)] * d)


def linear_program(matrix: Array, most: Array, bounds: list[tuple[float, float | None]]) -> Array:
    """The variables v within their bounds that maximize a last one, g, subject to matrix (v, g) <= most."""
    from scipy.optimize import linprog

    objective = np.append(np.zeros(len(bounds)), -1.0)
    found = linprog(objective, A_ub=matrix, b_ub=most, bounds=[*bounds, (None, None)])
    solution: Array = found.x[:-1]
    return solution


def least_length(signed: Array) -> Array:
    """The point of the convex hull of the rows that is nearest to the origin: its direction has the largest margin.

    Non-negative least squares: |s' a|^2 + (1'a - 1)^2 over a >= 0 is least at a multiple of that point's weights.
    """
    from scipy.optimize import nnls

    n, d = signed.shape
    weights, _ = nnls(np.vstack([signed.T, np.ones(n)]), np.append(np.zeros(d), 1.0))
    nearest: Array = signed.T @ weights / weights.sum()
    return nearest
