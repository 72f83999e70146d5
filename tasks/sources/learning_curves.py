"""What is read off a learning curve: the area under it, the size at which it reaches a level, and its exponent.

Sizes (K,) are numbers of examples (or of parameters, or of steps), rising; values (K,) belong to them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations, pairwise
from statistics import fmean, median


def log_area(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The mean of the values over the logarithm of the size, by the trapezoidal rule."""
    logs = [math.log(size) for size in sizes]
    area = sum((b - a) * (u + v) / 2 for (a, b), (u, v) in zip(pairwise(logs), pairwise(values), strict=True))
    return area / (logs[-1] - logs[0])


def first_size_at(sizes: Sequence[float], values: Sequence[float], level: float) -> float | None:
    """The first size at which a value is at least the level, interpolated on the logarithm of the size.

    It is the first size of all where that is enough already: an upper bound. None where no size is enough.
    """
    if values[0] >= level:
        return float(sizes[0])
    for (below, enough), (low, high) in zip(pairwise(sizes), pairwise(values), strict=True):
        if low < level <= high:
            share = (level - low) / (high - low)
            return below * math.exp(share * math.log(enough / below))
    return None


def exponent(sizes: Sequence[float], errors: Sequence[float]) -> float:
    """The slope of log error against log size: the median over all pairs of sizes (Theil 1950, Sen 1968).

    Errors are positive. A single odd size does not move it.
    """
    points = [(math.log(size), math.log(error)) for size, error in zip(sizes, errors, strict=True)]
    return median((v - u) / (b - a) for (a, u), (b, v) in combinations(points, 2))


def mean_log_ratio(values: Sequence[float], others: Sequence[float]) -> float:
    """The mean of log10(value / other) over sizes; all are positive."""
    return fmean(math.log10(value / other) for value, other in zip(values, others, strict=True))
