"""Where an entry of a board stands beyond its mean: ranks, what one idea less would change, seeds that would tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from benchmarks.cells import Cell
from benchmarks.ranking import rank_intervals, ranks_without_one, seeds_to_separate

FEWEST = 2  # groups of tasks, and seeds, for an interval of ranks
Cells = Mapping[str, Cell]
"""An entry's cells by task."""


@dataclass(frozen=True)
class Standing:
    """`ranks`: the interval of its rank; `without_one`: its ranks when any one idea is left out.

    `to_next`: how many seeds a paired test would need to tell its mean from that of the next entry, infinite beyond
    what is searched, None for the last.
    """

    ranks: tuple[int, int]
    without_one: tuple[int, int]
    to_next: float | None


def standings(entries: Sequence[Cells], ranked: Sequence[str]) -> list[Standing] | None:
    """entries: the cells of those with a score on every ranked task, best mean first.

    One idea or one seed drawn again is always itself: None with fewer than two of either, or of entries.
    """
    if len(entries) < 2 or len({idea(entries[0][name]) for name in ranked}) < FEWEST:
        return None
    by_seed = [[counted(cells[name]) for cells in entries] for name in ranked]
    shared = [sorted(set[int].intersection(*map(set, listed))) for listed in by_seed]
    if min(map(len, shared)) < FEWEST:
        return None
    scores = [[[v[seed] for seed in seeds] for v in each] for each, seeds in zip(by_seed, shared, strict=True)]
    groups = [idea(entries[0][name]) for name in ranked]
    ranks, without = rank_intervals(scores, groups), ranks_without_one(scores, groups)
    to_next = [*(seeds_to_tell(one, other, ranked) for one, other in pairwise(entries)), None]
    return [Standing(*each) for each in zip(zip(ranks.low, ranks.high, strict=True), without, to_next, strict=True)]


def idea(cell: Cell) -> str:
    """Variants of one idea share a file."""
    return cell.task.spec.entry.module


def counted(cell: Cell) -> dict[int, float]:
    """What each seed counts."""
    return {outcome.seed: value for outcome in cell.outcomes if (value := outcome.counted) is not None}


def seeds_to_tell(one: Cells, other: Cells, ranked: Sequence[str]) -> float | None:
    """From the means over tasks of each seed that both have everywhere; None with fewer than two of these."""
    values = [(counted(one[name]), counted(other[name])) for name in ranked]
    seeds = sorted(set[int].intersection(*({*a} & {*b} for a, b in values)))
    if len(seeds) < FEWEST:
        return None
    first, second = ([fmean(pair[k][seed] for pair in values) for seed in seeds] for k in (0, 1))
    needed = seeds_to_separate(first, second)
    return math.inf if needed is None else needed
