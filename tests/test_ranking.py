"""Ranks and comparisons against numbers worked out by hand, and the coverage of rank intervals by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.random import default_rng
from rank_coverage import simulate

from benchmarks.ranking import (
    effective_robustness,
    rank_intervals,
    seeds_to_separate,
    win_probability,
)


def test_entries_that_never_overlap_have_a_rank_and_no_range() -> None:
    tasks = [[[0.9, 0.91], [0.5, 0.52], [0.1, 0.12]]] * 3
    found = rank_intervals(tasks, ["a", "b", "c"])
    assert found.rank == found.low == found.high == (1, 2, 3)


def test_equal_entries_share_the_best_rank() -> None:
    found = rank_intervals([[[0.5, 0.6], [0.5, 0.6], [0.1, 0.1]]], ["a"])
    assert found.rank == (1, 1, 3)
    assert found.high == (1, 1, 3)


def test_two_entries_that_win_a_task_each_have_both_ranks() -> None:
    """Of two groups drawn twice, one resample in four has only the first: the interval must hold 1 and 2."""
    found = rank_intervals([[[1.0], [0.0]], [[0.0], [0.9]]], ["a", "b"])
    assert found.rank == (1, 2)
    assert (found.low, found.high) == ((1, 1), (2, 2))


def test_variants_of_one_idea_are_one_observation() -> None:
    """Ten tasks of one group on which the first wins do not make it certain; ten ideas nearly do."""
    tasks = [[[1.0], [0.9]]] * 10 + [[[0.0], [0.8]]]
    together = rank_intervals(tasks, ["a"] * 10 + ["b"])
    apart = rank_intervals(tasks, list(range(11)))
    assert together.low == (1, 1) and together.high == (2, 2)
    assert apart.rank == (1, 2)


def test_a_seed_is_drawn_for_all_entries_at_once() -> None:
    """Seeds differ much more than entries do; paired, the order is the same in every resample."""
    base = default_rng(0).normal(size=5)
    found = rank_intervals([np.stack([base + 0.01, base])], ["a"])
    assert (found.low, found.high) == ((1, 2), (1, 2))


def test_the_order_of_entries_and_a_clone_move_nobody_else() -> None:
    random = default_rng(1)
    tasks = [random.normal(size=(4, 5)) for _ in range(6)]
    groups = list("aabbcd")
    found = rank_intervals(tasks, groups)
    turned = rank_intervals([task[::-1] for task in tasks], groups)
    assert turned.low == found.low[::-1] and turned.high == found.high[::-1]
    assert rank_intervals(tasks, groups) == found


@pytest.mark.parametrize("scores", [[], [[[1.0], [2.0]], [[1.0]]], [[[math.nan], [1.0]]], [[1.0, 2.0]]])
def test_scores_that_make_no_table_are_refused(scores: list[object]) -> None:
    with pytest.raises(ValueError, match=r"tasks|shape"):
        rank_intervals(scores, ["a"] * len(scores))  # type: ignore[arg-type]


def test_rank_intervals_cover_the_true_rank_and_say_something() -> None:
    """Of 300 intervals 95 % has a standard error of 1.3 points; an interval of all ranks would be 4 wide."""
    coverage, width = simulate(groups=8, seeds=5, worlds=60, resamples=400)
    assert coverage >= 0.95 - 3 * 0.013
    assert width < 2.5


def test_win_probability_by_hand() -> None:
    """Three wins, one tie, one loss of five: .7. Wilson's interval for .7 of 5, worked out on paper."""
    found = win_probability([1, 1, 1, 1, 0], [0, 0, 0, 1, 1])
    assert found.share == pytest.approx(0.7)
    z2 = 1.96**2
    centre = (0.7 + z2 / 10) / (1 + z2 / 5)
    margin = 1.96 * math.sqrt(0.7 * 0.3 / 5 + z2 / 100) / (1 + z2 / 5)
    assert (found.low, found.high) == pytest.approx((centre - margin, centre + margin), abs=1e-4)
    assert win_probability([1.0] * 5, [0.0] * 5).low == pytest.approx(5 / (5 + z2), abs=1e-4)


@pytest.mark.parametrize(("effect", "expected"), [(0.5, 34), (1.0, 10), (2.0, 5)])
def test_seeds_to_separate_are_those_of_power_tables(effect: float, expected: int) -> None:
    """A paired t test at 5 % with power .8 needs 34 pairs for d = .5, 10 for d = 1 and 5 for d = 2 (Cohen 1988)."""
    noise = np.array([-1.0, 0.0, 1.0])  # sd 1
    assert seeds_to_separate(effect + noise, np.zeros(3)) == expected


def test_seeds_that_never_separate_and_those_that_always_do() -> None:
    assert seeds_to_separate([0.0, 1.0], [1.0, 0.0]) is None
    assert seeds_to_separate([1.0, 1.0], [0.0, 0.0]) == 2
    with pytest.raises(ValueError, match="at least two seeds"):
        seeds_to_separate([1.0], [0.0])


def test_effective_robustness_by_hand() -> None:
    """Points (0, 0), (1, 1), (2, 5): slope 2.5, intercept -.5; residuals .5, -1, .5; r2 = 1 - 1.5 / 14."""
    found = effective_robustness([0, 1, 2], [0, 1, 5])
    assert (found.slope, found.intercept) == pytest.approx((2.5, -0.5))
    assert found.residuals == pytest.approx((0.5, -1.0, 0.5))
    assert found.r2 == pytest.approx(1 - 1.5 / 14)
    assert found.n == 3
    with pytest.raises(ValueError, match="equally good"):
        effective_robustness([1, 1, 1], [0, 1, 2])
