"""Where an entry of a board stands beyond its mean: ranks, what one idea less would change, seeds that would tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from benchmarks.cells import Cell
from benchmarks.ranking import rank_intervals, ranks_without_one, seeds_to_separate

FEWEST_ENTRIES, FEWEST_IDEAS, FEWEST_SEEDS = 2, 2, 3  # for ranks: two seeds drawn again are half the time one
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


def standings(entries: Sequence[Cells], ranked: Sequence[str]) -> list[Standing | None]:
    """entries: the cells of those with a score on every ranked task, best mean first.

    None for those with fewer than three seeds on a ranked task, and for all of them where `no_ranks` has a reason.
    """
    if no_ranks(entries, ranked):
        return [None] * len(entries)
    able = [cells for cells in entries if has_seeds(cells, ranked)]
    scores = [
        [values(cells[name], seeds) for cells in able] for name in ranked for seeds in (shared_seeds(able, name),)
    ]
    groups = [idea(able[0][name]) for name in ranked]
    ranks, without = rank_intervals(scores, groups), ranks_without_one(scores, groups)
    to_next = [*(seeds_to_tell(one, other, ranked) for one, other in pairwise(able)), None]
    found = map(Standing, zip(ranks.low, ranks.high, strict=True), without, to_next)
    return [next(found) if has_seeds(cells, ranked) else None for cells in entries]


def no_ranks(entries: Sequence[Cells], ranked: Sequence[str]) -> str:
    """In words why none of these entries has a rank, as `standings` takes them; empty where some have.

    One idea or one seed drawn again is always itself, and two seeds are half the time one of them twice.
    """
    if len(entries) < FEWEST_ENTRIES:
        return f"fewer than {FEWEST_ENTRIES} entries have a mean"
    if len(ranked) == 1:
        return "only one task is ranked"
    if len({idea(entries[0][name]) for name in ranked}) < FEWEST_IDEAS:
        return "all ranked tasks are variants of one idea"
    able = [cells for cells in entries if has_seeds(cells, ranked)]
    if len(able) < FEWEST_ENTRIES:
        return f"fewer than {FEWEST_ENTRIES} entries have {FEWEST_SEEDS} seeds on every ranked task"
    if any(len(shared_seeds(able, name)) < FEWEST_SEEDS for name in ranked):
        return f"the entries share fewer than {FEWEST_SEEDS} seeds"
    return ""


def has_seeds(cells: Cells, ranked: Sequence[str]) -> bool:
    """Whether an entry has enough seeds everywhere to be drawn again."""
    return all(len(counted(cells[name])) >= FEWEST_SEEDS for name in ranked)


def shared_seeds(entries: Sequence[Cells], name: str) -> list[int]:
    """The seeds of a task that count for all of some entries."""
    return sorted(set[int].intersection(*({*counted(cells[name])} for cells in entries)))


def idea(cell: Cell) -> str:
    """Variants of one idea share a file."""
    return cell.task.spec.entry.module


def counted(cell: Cell) -> dict[int, float]:
    """What each seed counts."""
    return {outcome.seed: value for outcome in cell.outcomes if (value := outcome.counted) is not None}


def values(cell: Cell, seeds: Sequence[int]) -> list[float]:
    """What some seeds count."""
    found = counted(cell)
    return [found[seed] for seed in seeds]


def seeds_to_tell(one: Cells, other: Cells, ranked: Sequence[str]) -> float | None:
    """From the means over tasks of each seed that both have everywhere; None with fewer than three of these."""
    pairs = [(counted(one[name]), counted(other[name])) for name in ranked]
    seeds = sorted(set[int].intersection(*({*a} & {*b} for a, b in pairs)))
    if len(seeds) < FEWEST_SEEDS:
        return None
    first, second = ([fmean(pair[k][seed] for pair in pairs) for seed in seeds] for k in (0, 1))
    needed = seeds_to_separate(first, second)
    return math.inf if needed is None else needed
