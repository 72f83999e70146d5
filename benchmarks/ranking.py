"""What a few seeds on a few tasks say about order: rank intervals, who beats whom, how many seeds would tell.

Pure and seeded. A rank is no number but a range: the intervals come from a bootstrap that draws groups of tasks (six
variants of one idea are one observation) and seeds again, the same ones for every entry, since entries are paired on
both. Their coverage is simulated in the tests and stated in docs/statistics.md, not promised.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import nctdtr, stdtrit

from benchmarks.statistics import LEVEL, Estimate, checked

RESAMPLES = 2000
POWER = 0.8
MOST_SEEDS = 1000
WILSON_Z = 1.959963984540054
MIDDLE = 0.5  # of an anchored score: nearer to the ceiling above it, nearer to the floor below
Array = NDArray[np.float64]
Tier = Literal["ceiling side", "undecided", "floor side", "at the floor"]


def tier(score: Estimate) -> Tier | None:
    """Which side of the middle between floor (0) and ceiling (1) an interval lies on; None without an interval.

    The anchors are fixed, so no other entry, and no copy of one, can move a tier.
    """
    if score.low is None or score.high is None:
        return None
    if score.low >= MIDDLE:
        return "ceiling side"
    if score.high >= MIDDLE:
        return "undecided"
    return "floor side" if score.low > 0 else "at the floor"


@dataclass(frozen=True)
class Ranks:
    """For each of E entries its rank by the plain mean, and the interval of it; 1 is best, ties share the best."""

    rank: tuple[int, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]


def rank_intervals(
    scores: Sequence[ArrayLike], groups: Sequence[Hashable], level: float = LEVEL, resamples: int = RESAMPLES
) -> Ranks:
    """scores: T arrays (E, R_t), more is better, column r the same seed for all entries; groups: what each task is of.

    The mean over tasks decides a rank. A resample draws as many groups as there are, with all their tasks, and in each
    task as many seeds as there are. The same input gives the same intervals.

    Raises:
        ValueError: for no tasks, arrays of different entries, or a value that is not finite.
    """
    arrays = [matrix(task) for task in scores]
    if not arrays or len(arrays) != len(groups) or len({len(a) for a in arrays}) != 1:
        raise ValueError(f"{len(arrays)} tasks with {sorted({len(a) for a in arrays})} entries, {len(groups)} groups")
    random = np.random.default_rng(0)
    means = np.stack([resampled_means(array, resamples, random) for array in arrays])  # (T, E, B)
    weights = resampled_weights(groups, resamples, random)  # (T, B)
    drawn = (means * weights[:, None, :]).sum(0) / weights.sum(0)  # (E, B)
    ranks = np.sort(ranks_of(drawn), axis=1)  # (E, B)
    tail = (1 - level) / 2
    place = math.floor(tail * resamples), math.ceil((1 - tail) * resamples) - 1
    plain = ranks_of(np.stack([array.mean(1) for array in arrays]).mean(0)[:, None])[:, 0]
    return Ranks(*(tuple(int(r) for r in column) for column in (plain, ranks[:, place[0]], ranks[:, place[1]])))


def matrix(values: ArrayLike) -> Array:
    """values (E, R), finite and not empty."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or 0 in array.shape or not np.isfinite(array).all():
        raise ValueError(f"scores of shape {array.shape}; expected finite (E, R)")
    return array


def resampled_means(array: Array, resamples: int, random: np.random.Generator) -> Array:
    """array (E, R): the entries' means over seeds drawn again (E, B), the same seeds for every entry."""
    drawn = random.integers(array.shape[1], size=(resamples, array.shape[1]))  # (B, R)
    counts = np.stack([(drawn == seed).sum(1) for seed in range(array.shape[1])])  # (R, B)
    means: Array = array @ counts / array.shape[1]
    return means


def resampled_weights(groups: Sequence[Hashable], resamples: int, random: np.random.Generator) -> Array:
    """How often each task is in each resample (T, B), when groups are drawn."""
    names = list(dict.fromkeys(groups))
    drawn = random.integers(len(names), size=(resamples, len(names)))
    counts = {name: (drawn == place).sum(1) for place, name in enumerate(names)}
    return np.stack([counts[group] for group in groups]).astype(np.float64)


def ranks_of(values: Array) -> NDArray[np.int64]:
    """values (E, B): in each column 1 plus the number of entries that are better."""
    ordered = np.sort(-values, axis=0)
    return np.stack([1 + np.searchsorted(ordered[:, b], -values[:, b]) for b in range(values.shape[1])], axis=1)


def ranks_without_one(scores: Sequence[ArrayLike], groups: Sequence[Hashable]) -> list[tuple[int, int]]:
    """scores and groups as in `rank_intervals`: each entry's best and worst rank when any one group is left out.

    How much of an order hangs on one idea.

    Raises:
        ValueError: for fewer than two groups, arrays of different entries, or a value that is not finite.
    """
    means = np.stack([matrix(task).mean(1) for task in scores])  # (T, E)
    names = list(dict.fromkeys(groups))
    if len(names) < 2:
        raise ValueError(f"{len(names)} group; nothing is left where the only one is left out")
    kept = np.array([[group != name for group in groups] for name in names])  # (G, T)
    ranks = ranks_of(np.stack([means[keep].mean(0) for keep in kept], axis=1))  # (E, G)
    return [(int(row.min()), int(row.max())) for row in ranks]


@dataclass(frozen=True)
class Share:
    """A share of `n` trials, with its interval [low, high]."""

    share: float
    low: float
    high: float
    n: int


def win_probability(first: ArrayLike, second: ArrayLike) -> Share:
    """first, second (R,), the same seeds: how often the first is better, a tie counting half; 95 % Wilson interval.

    Wilson 1927.

    Raises:
        ValueError: for arrays of different lengths, no values, or one that is not finite.
    """
    a, b = checked(first), checked(second)
    if len(a) != len(b):
        raise ValueError(f"a comparison of {len(a)} and {len(b)} values; each seed needs both")
    n, share = len(a), float((a > b).mean() + 0.5 * (a == b).mean())
    scale = 1 + WILSON_Z**2 / n
    centre = (share + WILSON_Z**2 / (2 * n)) / scale
    margin = WILSON_Z / scale * math.sqrt(share * (1 - share) / n + WILSON_Z**2 / (4 * n**2))
    return Share(share, max(0.0, centre - margin), min(1.0, centre + margin), n)


def seeds_to_separate(first: ArrayLike, second: ArrayLike, level: float = LEVEL, power: float = POWER) -> int | None:
    """first, second (R,), the same seeds: how many seeds a paired t test of this difference and spread would need.

    The smallest n at which it finds a difference like the one seen with this power; None where even 1,000 are too few,
    and 2 where the difference has no spread.

    Raises:
        ValueError: for arrays of different lengths, fewer than two values, or one that is not finite.
    """
    a, b = checked(first), checked(second)
    if len(a) != len(b) or len(a) < 2:
        raise ValueError(f"a paired difference of {len(a)} and {len(b)} values; at least two seeds need both")
    difference = a - b
    mean, sd = abs(float(difference.mean())), float(difference.std(ddof=1))
    if sd == 0.0:
        return 2 if mean > 0 else None
    for n in range(2, MOST_SEEDS + 1):
        threshold = float(stdtrit(n - 1, (1 + level) / 2))
        if 1 - float(nctdtr(n - 1, mean / sd * math.sqrt(n), threshold)) >= power:
            return n
    return None


@dataclass(frozen=True)
class Trend:
    """A least-squares line through `n` points, the share of variance it explains, and what each point lies above it."""

    slope: float
    intercept: float
    r2: float
    n: int
    residuals: tuple[float, ...]


def effective_robustness(iid: ArrayLike, ood: ArrayLike) -> Trend:
    """iid, ood (E,): each entry's value out of distribution beyond what its value in distribution predicts.

    Taori et al. 2020, with a line on the plain scale. Read it with r2 and n: without a line there is no residual.

    Raises:
        ValueError: for fewer than three entries, no spread in distribution, or a value that is not finite.
    """
    x, y = checked(iid), checked(ood)
    if len(x) != len(y) or len(x) < 3:
        raise ValueError(f"a line through {len(x)} and {len(y)} values; at least three entries need both")
    if float(np.ptp(x)) == 0.0:
        raise ValueError("all entries are equally good in distribution; no line has a slope there")
    slope, intercept = (float(c) for c in np.polyfit(x, y, 1))
    residuals = y - (slope * x + intercept)
    total = float(((y - y.mean()) ** 2).sum())
    r2 = 1.0 if total == 0.0 else 1.0 - float((residuals**2).sum()) / total
    return Trend(slope, intercept, r2, len(x), tuple(float(r) for r in residuals))
