"""What a few seeds say about a mean: intervals whose coverage is tested, and nothing that needs a model.

Pure functions on arrays. A percentile bootstrap over 3 seeds covers 73 % where it claims 95 %; Student's t covers 95 %
of normal data at any number of seeds, so every interval here is a t interval. One value has no interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean of `n` values, and its interval [low, high]; both are None where the values are too few for one."""

    mean: float
    low: float | None
    high: float | None
    n: int

    @property
    def half_width(self) -> float | None:
        """Half the interval's length: the number after ±."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


@dataclass(frozen=True)
class Spread:
    """The median of `n` values and their range, for what is heavy-tailed."""

    median: float
    low: float
    high: float
    n: int


def mean_interval(values: ArrayLike, level: float = LEVEL) -> Estimate:
    """values (R,): mean -+ t(R - 1) * s / sqrt(R), with s the sample standard deviation (ddof 1).

    Raises:
        ValueError: for no values, or one that is not finite.
    """
    array = checked(values)
    return interval(float(array.mean()), standard_error(array), len(array) - 1, len(array), level)


def median_range(values: ArrayLike) -> Spread:
    """values (R,): median, smallest and largest. An even number has the mean of the middle two as its median.

    Raises:
        ValueError: for no values, or one that is not finite.
    """
    array = checked(values)
    return Spread(float(np.median(array)), float(array.min()), float(array.max()), len(array))


def paired_difference(first: ArrayLike, second: ArrayLike, level: float = LEVEL) -> Estimate:
    """first, second (R,), the same seeds in the same order: mean of first - second, t interval of the differences.

    What a seed has in common for both (its data, its order) cancels, so this is the comparison to prefer.

    Raises:
        ValueError: for arrays of different lengths, no values, or one that is not finite.
    """
    a, b = checked(first), checked(second)
    if len(a) != len(b):
        raise ValueError(f"a paired difference of {len(a)} and {len(b)} values; each seed needs both")
    return mean_interval(a - b, level)


def welch_difference(first: ArrayLike, second: ArrayLike, level: float = LEVEL) -> Estimate:
    """first (R,), second (Q,), independent: difference of the means with Welch's interval; `n` is min(R, Q).

    Welch 1947; the degrees of freedom are Satterthwaite's (1946).

    Raises:
        ValueError: for no values, or one that is not finite.
    """
    a, b = checked(first), checked(second)
    error, freedom = combined_error([a, b], [1.0, -1.0])
    return interval(float(a.mean() - b.mean()), error, freedom, min(len(a), len(b)), level)


def mean_of_means(groups: Sequence[ArrayLike], level: float = LEVEL) -> Estimate:
    """groups: K arrays (R_k,) that are independent: the mean of the K means, each group counting the same.

    The interval is about the values within the groups (seeds), not about the choice of groups (tasks); degrees of
    freedom after Satterthwaite (1946). `n` is the smallest R_k; with an R_k of 1 there is no interval.

    Raises:
        ValueError: for no groups, an empty one, or a value that is not finite.
    """
    if not groups:
        raise ValueError("the mean of no groups")
    arrays = [checked(group) for group in groups]
    error, freedom = combined_error(arrays, [1 / len(arrays)] * len(arrays))
    mean = float(np.mean([array.mean() for array in arrays]))
    return interval(mean, error, freedom, min(len(array) for array in arrays), level)


def combined_error(arrays: Sequence[NDArray[np.float64]], weights: Sequence[float]) -> tuple[float | None, float]:
    """Standard error of a weighted sum of independent means, and its Satterthwaite degrees of freedom."""
    if any(len(array) < 2 for array in arrays):
        return None, 0.0
    variances = [weight**2 * array.var(ddof=1) / len(array) for array, weight in zip(arrays, weights, strict=True)]
    total = float(sum(variances))
    if total == 0.0:
        return 0.0, float(sum(len(array) - 1 for array in arrays))
    spread = sum((v / total) ** 2 / (len(array) - 1) for v, array in zip(variances, arrays, strict=True))
    return math.sqrt(total), float(1 / spread)


def interval(mean: float, error: float | None, freedom: float, n: int, level: float) -> Estimate:
    """mean -+ t(freedom) * error, or no interval where there is no error to speak of."""
    if error is None:
        return Estimate(mean, None, None, n)
    margin = float(stdtrit(freedom, (1 + level) / 2)) * error
    return Estimate(mean, mean - margin, mean + margin, n)


def standard_error(array: NDArray[np.float64]) -> float | None:
    """array (R,): s / sqrt(R), None for a single value."""
    return None if len(array) < 2 else float(array.std(ddof=1)) / math.sqrt(len(array))


def checked(values: ArrayLike) -> NDArray[np.float64]:
    """The values as a vector (R,) of finite numbers."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) == 0:
        raise ValueError(f"values of shape {array.shape}; expected (R,) with R at least 1")
    if not np.isfinite(array).all():
        raise ValueError(f"{int((~np.isfinite(array)).sum())} of {len(array)} values are not finite")
    return array


@dataclass(frozen=True)
class Components:
    """Variances of a crossed design, each what its factor adds: rows, columns, their interaction, repetitions."""

    rows: float
    columns: float
    interaction: float
    repetitions: float


def variance_components(values: ArrayLike) -> Components:
    """values (M, A, R), rows x columns x repetitions: the two-way random-effects variances by the method of moments.

    Searle, Casella and McCulloch 1992, section 4.3. An estimate below 0 is given as 0.

    Raises:
        ValueError: for fewer than two rows, columns or repetitions, or a value that is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 3 or min(array.shape) < 2 or not np.isfinite(array).all():
        raise ValueError(f"values of shape {array.shape}; expected finite (M, A, R) with each at least 2")
    m, a, r = array.shape
    cell, row, column = array.mean(2), array.mean((1, 2)), array.mean((0, 2))
    within = float(((array - cell[:, :, None]) ** 2).sum()) / (m * a * (r - 1))
    both = r * float(((cell - row[:, None] - column[None, :] + array.mean()) ** 2).sum()) / ((m - 1) * (a - 1))
    of_rows, of_columns = a * r * float(row.var(ddof=1)), m * r * float(column.var(ddof=1))
    return Components(
        rows=max(0.0, (of_rows - both) / (a * r)),
        columns=max(0.0, (of_columns - both) / (m * r)),
        interaction=max(0.0, (both - within) / r),
        repetitions=within,
    )
