"""Intervals against numbers worked out by hand, and their coverage against simulation."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pytest
from numpy.random import default_rng

from benchmarks.statistics import (
    Estimate,
    mean_interval,
    mean_of_means,
    median_range,
    paired_difference,
    variance_components,
    welch_difference,
)

# Two-sided 95 % quantiles of Student's t from any printed table.
T1, T2, T4 = 12.706, 4.303, 2.776


def test_mean_interval_by_hand() -> None:
    estimate = mean_interval([1.0, 2.0, 3.0])  # s = 1, so the margin is t(2) / sqrt(3)
    assert estimate.mean == 2.0
    assert estimate.n == 3
    assert estimate.half_width == pytest.approx(T2 / math.sqrt(3), abs=1e-3)
    assert (estimate.low, estimate.high) == pytest.approx((2 - 2.4843, 2 + 2.4843), abs=1e-3)


def test_two_values_use_one_degree_of_freedom() -> None:
    estimate = mean_interval([0.0, 2.0])  # s = sqrt(2), s / sqrt(2) = 1
    assert estimate.half_width == pytest.approx(T1, abs=1e-3)


def test_a_wider_level_widens_the_interval() -> None:
    ninety = mean_interval([1.0, 2.0, 3.0], level=0.9)
    assert ninety.half_width == pytest.approx(2.920 / math.sqrt(3), abs=1e-3)


def test_one_value_has_no_interval() -> None:
    estimate = mean_interval([0.7])
    assert (estimate.mean, estimate.low, estimate.high, estimate.half_width, estimate.n) == (0.7, None, None, None, 1)


def test_equal_values_have_an_interval_of_no_width() -> None:
    estimate = mean_interval([0.5, 0.5, 0.5, 0.5])
    assert (estimate.low, estimate.high) == (0.5, 0.5)


@pytest.mark.parametrize(
    "values", [[], [0.1, math.nan], [math.inf], [[1.0, 2.0]]], ids=["none", "nan", "infinite", "matrix"]
)
def test_what_is_no_sample_is_refused(values: list[float]) -> None:
    for function in (mean_interval, median_range, lambda v: mean_of_means([v])):
        with pytest.raises(ValueError):
            function(values)


def test_median_and_range() -> None:
    spread = median_range([9.0, 1.0, 2.0, 4.0])
    assert (spread.median, spread.low, spread.high, spread.n) == (3.0, 1.0, 9.0, 4)
    assert median_range([1e9, 2.0, 1.0]).median == 2.0


def test_paired_difference_cancels_what_the_seeds_share() -> None:
    seeds = np.array([10.0, -40.0, 3.0, 700.0, 0.0])
    better = seeds + np.arange(1.0, 6.0)
    estimate = paired_difference(better, seeds)  # differences 1..5: s^2 = 2.5
    assert estimate.mean == pytest.approx(3.0)
    assert estimate.half_width == pytest.approx(T4 * math.sqrt(2.5 / 5), abs=2e-3)
    unpaired = welch_difference(better, seeds)
    assert unpaired.half_width is not None and unpaired.half_width > 100


def test_paired_difference_needs_both_of_every_seed() -> None:
    with pytest.raises(ValueError, match="3 and 2 values"):
        paired_difference([1.0, 2.0, 3.0], [1.0, 2.0])


def test_welch_by_hand() -> None:
    # s^2/n: 1/3 and 4/3; freedom (5/3)^2 / ((1/3)^2/2 + (4/3)^2/2) = 50/17; t(2.941) = 3.219 between t(2) and t(3)
    estimate = welch_difference([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
    assert estimate.mean == -2.0
    assert estimate.half_width is not None
    assert 3.182 * math.sqrt(5 / 3) < estimate.half_width < T2 * math.sqrt(5 / 3)
    assert estimate.half_width == pytest.approx(3.2193 * math.sqrt(5 / 3), abs=2e-3)


def test_welch_of_equal_spreads_and_sizes_is_the_pooled_t_interval() -> None:
    estimate = welch_difference([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])  # four degrees of freedom
    assert estimate.half_width == pytest.approx(T4 * math.sqrt(2 / 3), abs=2e-3)
    assert welch_difference([1.0], [4.0, 5.0]).half_width is None


def test_mean_of_means_weighs_groups_not_values() -> None:
    estimate = mean_of_means([[0.0, 0.0, 0.0, 0.0], [1.0, 1.0]])
    assert estimate.mean == 0.5
    assert estimate.n == 2
    assert (estimate.low, estimate.high) == (0.5, 0.5)


def test_mean_of_means_by_hand() -> None:
    # two groups of s = 1, n = 3: variance of the mean (1/4)(1/3 + 1/3) = 1/6, four degrees of freedom
    estimate = mean_of_means([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert estimate.mean == 3.5
    assert estimate.half_width == pytest.approx(T4 * math.sqrt(1 / 6), abs=2e-3)


def test_mean_of_one_group_is_its_mean_interval() -> None:
    values = [0.2, 0.9, 0.4]
    one, same = mean_of_means([values]), mean_interval(values)
    assert (one.low, one.high) == pytest.approx((same.low, same.high))


def test_mean_of_means_with_a_single_seed_somewhere_has_no_interval() -> None:
    assert mean_of_means([[1.0, 2.0, 3.0], [4.0]]).half_width is None
    with pytest.raises(ValueError):
        mean_of_means([])


REPETITIONS = 4000


def coverage(estimates: Iterable[Estimate], truth: float) -> float:
    """Share of intervals that hold the true value."""
    hits = [e.low is not None and e.high is not None and e.low <= truth <= e.high for e in estimates]
    return sum(hits) / len(hits)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_t_interval_covers_95_percent_of_normal_data(n: int) -> None:
    samples = default_rng(n).normal(loc=0.3, scale=2.0, size=(REPETITIONS, n))
    assert 0.93 <= coverage(map(mean_interval, samples), 0.3) <= 0.97


@pytest.mark.parametrize("n", [3, 5, 10])
def test_paired_interval_covers_95_percent_of_normal_differences(n: int) -> None:
    rng = default_rng(100 + n)
    shared = rng.normal(scale=10, size=(REPETITIONS, n))
    first = shared + rng.normal(loc=0.5, size=(REPETITIONS, n))
    second = shared + rng.normal(size=(REPETITIONS, n))
    assert 0.93 <= coverage(map(paired_difference, first, second), 0.5) <= 0.97


@pytest.mark.parametrize(("n", "m"), [(5, 10), (10, 10)])
def test_welch_interval_covers_95_percent_of_normal_data_with_unequal_spreads(n: int, m: int) -> None:
    rng = default_rng(200 + n)
    first = rng.normal(scale=1.0, size=(REPETITIONS, n))
    second = rng.normal(scale=4.0, size=(REPETITIONS, m))
    assert 0.93 <= coverage(map(welch_difference, first, second), 0.0) <= 0.97


def test_mean_of_means_covers_95_percent_of_normal_data() -> None:
    scales = np.array([0.1, 0.5, 1.0, 2.0])  # tasks of very different spread, three seeds each
    samples = default_rng(7).normal(size=(REPETITIONS, 4, 3)) * scales[:, None]
    assert 0.93 <= coverage(map(mean_of_means, map(list, samples)), 0.0) <= 0.97


def test_variance_components_by_hand() -> None:
    """Rows differ by 2, columns by 4, no interaction, repetitions are -1 and +1 around each cell."""
    rows, columns, repetitions = np.array([0.0, 2.0]), np.array([0.0, 4.0]), np.array([-1.0, 1.0])
    values = rows[:, None, None] + columns[None, :, None] + repetitions[None, None, :]
    found = variance_components(values)
    # within: 4 cells x (1 + 1) / 4 degrees of freedom = 2; rows: var 2, less (interaction mean square 0) / 4
    assert (found.rows, found.columns, found.interaction, found.repetitions) == pytest.approx((2.0, 8.0, 0.0, 2.0))


def test_variance_components_are_right_on_average() -> None:
    """Normal effects with sd 1, 2, .5 and noise .3; 400 designs of 6 x 8 x 5. Tolerance: 4 standard errors."""
    random = np.random.default_rng(0)
    found = []
    for _ in range(400):
        effects = random.normal(0, 1, (6, 1, 1)) + random.normal(0, 2, (1, 8, 1)) + random.normal(0, 0.5, (6, 8, 1))
        parts = variance_components(effects + random.normal(0, 0.3, (6, 8, 5)))
        found.append([parts.rows, parts.columns, parts.interaction, parts.repetitions])
    errors = np.std(found, axis=0) / np.sqrt(len(found))
    assert (np.abs(np.mean(found, axis=0) - [1.0, 4.0, 0.25, 0.09]) < 4 * errors).all()


@pytest.mark.parametrize("shape", [(1, 2, 2), (2, 1, 2), (2, 2, 1), (4, 4)])
def test_variance_components_need_two_of_everything(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="each at least 2"):
        variance_components(np.zeros(shape))
