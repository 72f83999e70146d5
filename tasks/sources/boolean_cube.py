"""Functions on the cube {-1, +1}^d: all its points, the Walsh-Hadamard transform, the minimum-degree interpolator.

A function is the vector of its 2^d values. Point p and monomial T are numbered by their bits: coordinate i of point p
is -1 where bit i of p is set, and i is in T where bit i of T is set. So p = 0 is (+1, ..., +1), T = 0 the constant 1.

    d = 2: points (+1, +1), (-1, +1), (+1, -1), (-1, -1); monomials 1, x0, x1, x0 x1
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

ROUNDING = 1e-9  # of numbers that are at most a few thousand, from sums of +1 and -1


def points(d: int) -> Tensor:
    """Every point of the cube, (2^d, d) float32."""
    return 1 - 2 * (torch.arange(2**d)[:, None] >> torch.arange(d) & 1).float()


def number(x: Tensor) -> Tensor:
    """The number of each point x (N, d), (N,) int64."""
    return ((x < 0).long() << torch.arange(x.shape[1])).sum(1)


def monomial(coordinates: Iterable[int]) -> int:
    """The number of the product of these coordinates."""
    return sum(1 << i for i in set(coordinates))


def degrees(d: int) -> Tensor:
    """The degree of every monomial, (2^d,) int64."""
    return (torch.arange(2**d)[:, None] >> torch.arange(d) & 1).sum(1)


def walsh_hadamard(values: Tensor) -> Tensor:
    """Fourier-Walsh coefficients c_T = mean over the cube of f(x) prod_(i in T) x_i, (2^d,) float64.

    values: (2^d,), f at every point. In d 2^d additions; 2^d times the transform is its own inverse.
    """
    d = len(values).bit_length() - 1
    if len(values) != 2**d:
        raise ValueError(f"{len(values)} values are no function on a cube; its number of points is a power of 2")
    sums = values.double()
    for i in range(d):
        plus, minus = sums.view(-1, 2, 2**i).unbind(1)  # coordinate i is +1, -1
        sums = torch.stack([plus + minus, plus - minus], dim=1)
    coefficients: Tensor = sums.flatten() / 2**d
    return coefficients


def minimum_degree_interpolator(values: Tensor, seen: Tensor) -> Tensor:
    """The function that agrees on the seen points and has the lexicographically least degree profile.

    Of all that agree, those with the least energy (sum of squared coefficients) at degree d; of these those with the
    least at degree d - 1; and so on (Abbe, Bengio, Lotfi and Rizk, ICML 2023). It is unique: two
    functions of equal profile differ at no degree, because every step is a projection.

    values, seen: (2^d,), f and whether a point is seen; f at the others is not read. Returns (2^d,) float64.
    """
    d = len(values).bit_length() - 1
    degree = degrees(d)
    rest = values[seen].double()  # (n,), what the degrees above leave to be explained
    coefficients = torch.zeros(2**d, dtype=torch.float64)
    for j in range(least_degree(rest, seen, degree), -1, -1):
        of_degree = characters(seen, degree == j)
        unexplained = beyond(characters(seen, degree < j), torch.cat([of_degree, rest[:, None]], dim=1))
        # what no lower degree can do, degree j does, with the least energy
        solution = torch.linalg.pinv(unexplained[:, :-1], atol=ROUNDING) @ unexplained[:, -1]
        coefficients[degree == j] = solution
        rest = rest - of_degree @ solution
    interpolator: Tensor = walsh_hadamard(coefficients) * 2**d
    return interpolator


def least_degree(target: Tensor, seen: Tensor, degree: Tensor) -> int:
    """The smallest degree whose polynomials can agree with the target (n,) on the seen points."""
    for j in range(int(degree.max())):
        if not bool(beyond(characters(seen, degree <= j), target[:, None]).any()):
            return j
    return int(degree.max())


def characters(seen: Tensor, chosen: Tensor) -> Tensor:
    """The chosen monomials at the seen points, (n seen, n chosen) float64, each +1 or -1."""
    point, term = torch.nonzero(seen), torch.nonzero(chosen).T
    parity = torch.zeros(len(point), term.shape[1], dtype=torch.int64)
    for i in range((len(seen) - 1).bit_length()):
        parity ^= (point & term) >> i & 1
    return 1.0 - 2.0 * parity.double()


def beyond(basis: Tensor, columns: Tensor) -> Tensor:
    """The part of the columns (n, k) that is orthogonal to the span of a basis (n, m), rounding set to 0."""
    left, sizes, _ = torch.linalg.svd(basis, full_matrices=False)
    span = left[:, sizes > ROUNDING]
    orthogonal = columns - span @ (span.T @ columns)
    exact: Tensor = orthogonal.masked_fill(orthogonal.abs() < ROUNDING, 0.0)
    return exact
