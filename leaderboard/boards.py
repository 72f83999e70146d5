"""Boards: entrants by tasks of one input kind under one protocol, with the mean of those that are complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from benchmarks.cells import HEADLINE, Cell, Entrant, Protocol
from benchmarks.ranking import rank_intervals
from benchmarks.records import TARGET_INPUTS
from benchmarks.statistics import Estimate, mean_of_means
from leaderboard.collect import Collection
from tasks.registry import newest
from tasks.types import Task

FEWEST = 2  # groups of tasks, and seeds, for an interval of ranks
INPUT_KINDS = ("vector", "signal", "image", "tokens")


@dataclass(frozen=True)
class Row:
    """One entrant on a board. `mean` is over the ranked tasks, None where `missing` names one that has no score.

    `ranks` is the interval of its rank by that mean, None where it has none. What was given the inputs of the test
    (`target-inputs`) is shown and has neither.
    """

    entrant: Entrant
    cells: Mapping[str, Cell]
    mean: Estimate | None
    missing: tuple[str, ...]
    ranks: tuple[int, int] | None = None

    @property
    def flags(self) -> list[str]:
        """What a reader must know of any of its cells."""
        return sorted({flag for cell in self.cells.values() for flag in cell.flags})


@dataclass(frozen=True)
class Board:
    """Tasks with results as columns, `ranked` those that the mean is over; rows best first, then those without a mean.

    `without` are entrants that were skipped on every task here.
    """

    kind: str
    protocol: Protocol
    tasks: tuple[Task, ...]
    ranked: frozenset[str]
    rows: tuple[Row, ...]
    without: tuple[Entrant, ...]

    @cached_property
    def cells(self) -> list[Cell]:
        return [cell for row in self.rows for cell in row.cells.values()]


def boards(collection: Collection) -> list[Board]:
    """Every board that has a cell: the headline protocol's first, input kinds in their order. A dose is on no board."""
    found = {e.protocol for e in collection.entrants if e.protocol.dose == HEADLINE.dose}
    protocols = sorted(found, key=lambda p: (not p.is_headline, p))
    made = (board(collection, protocol, kind) for protocol in protocols for kind in INPUT_KINDS)
    return [b for b in made if b.tasks]


def board(collection: Collection, protocol: Protocol, kind: str) -> Board:
    """The board of one input kind and protocol. Tasks that only describe are on none: see `leaderboard.profiles`."""
    cells = [
        c
        for c in collection.cells
        if c.task.spec.scored and c.entrant.protocol == protocol and input_kind(c.task) == kind
    ]
    tasks = {c.task.spec.id: c.task for c in cells}
    ranked = frozenset(() if protocol.sees_test else ranked_tasks(tasks, cells))
    by_entrant: dict[Entrant, dict[str, Cell]] = {}
    for cell in cells:
        by_entrant.setdefault(cell.entrant, {})[cell.task.spec.id] = cell
    took_part = {e: own for e, own in by_entrant.items() if any(c.state != "skipped" for c in own.values())}
    rows = with_ranks([row(entrant, own, ranked) for entrant, own in took_part.items()], ranked)
    return Board(
        kind=kind,
        protocol=protocol,
        tasks=tuple(tasks[name] for name in sorted(tasks)),
        ranked=ranked,
        rows=tuple(sorted(rows, key=place)),
        without=tuple(sorted(set(by_entrant) - set(took_part))),
    )


def input_kind(task: Task) -> str:
    """The input kind that a task's card names."""
    return task.spec.entry.input


def ranked_tasks(tasks: Mapping[str, Task], cells: Sequence[Cell]) -> list[str]:
    """What a mean is over: newest versions that are neither controls nor optional, and that someone has a score on."""
    scored = {cell.task.spec.id for cell in cells if cell.score is not None}
    entries = newest(task.spec.entry for task in tasks.values())
    return [e.id for e in entries if e.id in scored and "control" not in e.tags and not e.optional]


def row(entrant: Entrant, cells: Mapping[str, Cell], ranked: frozenset[str]) -> Row:
    """An entrant's cells, and their mean if it has a score on every ranked task."""
    missing = tuple(name for name in sorted(ranked) if name not in cells or cells[name].score is None)
    given_test = any(TARGET_INPUTS in cell.flags for cell in cells.values())
    complete = bool(ranked) and not missing and not given_test
    return Row(entrant, cells, mean_of_means(counted(cells, ranked)) if complete else None, missing)


def with_ranks(rows: Sequence[Row], ranked: frozenset[str]) -> list[Row]:
    """The rows with the intervals of their ranks, from the seeds that all with a mean have on each ranked task.

    One idea or one seed drawn again is always itself: with fewer than two of either there is no interval.
    """
    complete = [row for row in rows if row.mean is not None]
    scores, groups = [], []
    for name in sorted(ranked):
        by_seed = [{o.seed: v for o in r.cells[name].outcomes if (v := o.counted) is not None} for r in complete]
        seeds = sorted(set[int].intersection(*map(set, by_seed))) if by_seed else []
        if len(complete) < 2 or len(seeds) < FEWEST:
            return list(rows)
        scores.append([[values[seed] for seed in seeds] for values in by_seed])
        groups.append(complete[0].cells[name].task.spec.entry.module)  # variants of one idea share a file
    if len(set(groups)) < FEWEST:
        return list(rows)
    found = rank_intervals(scores, groups)
    ranks = dict(zip((r.entrant for r in complete), zip(found.low, found.high, strict=True), strict=True))
    return [replace(r, ranks=ranks.get(r.entrant)) for r in rows]


def counted(cells: Mapping[str, Cell], ranked: frozenset[str]) -> list[list[float]]:
    """Per ranked task the scores that its seeds count."""
    return [[v for o in cells[name].outcomes if (v := o.counted) is not None] for name in sorted(ranked)]


def place(row: Row) -> tuple[bool, float, Entrant]:
    """Order on a board: with a mean before without, the best first, then by name."""
    return row.mean is None, -(row.mean.mean if row.mean else 0.0), row.entrant


def ranking(cells: Sequence[Cell]) -> list[Cell]:
    """The cells of one task, best mean first; those without a score last, by name."""
    return sorted(cells, key=lambda c: (c.score is None, -(c.score.mean if c.score else 0.0), c.entrant))
