"""Boards: entrants by tasks of one input kind under one protocol, with the mean of those that are complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from benchmarks.cells import Cell, Entrant, Protocol
from benchmarks.statistics import Estimate, mean_of_means
from leaderboard.collect import Collection
from tasks.registry import newest
from tasks.types import Task

INPUT_KINDS = ("vector", "signal", "image", "tokens")


@dataclass(frozen=True)
class Row:
    """One entrant on a board. `mean` is over the ranked tasks, None where `missing` names one that has no score."""

    entrant: Entrant
    cells: Mapping[str, Cell]
    mean: Estimate | None
    missing: tuple[str, ...]


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
    """Every board that has a cell: the headline protocol's first, input kinds in their order."""
    protocols = sorted({e.protocol for e in collection.entrants}, key=lambda p: (not p.is_headline, p))
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
    ranked = frozenset(ranked_tasks(tasks, cells))
    by_entrant: dict[Entrant, dict[str, Cell]] = {}
    for cell in cells:
        by_entrant.setdefault(cell.entrant, {})[cell.task.spec.id] = cell
    took_part = {e: own for e, own in by_entrant.items() if any(c.state != "skipped" for c in own.values())}
    rows = [row(entrant, own, ranked) for entrant, own in took_part.items()]
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
    complete = bool(ranked) and not missing
    return Row(entrant, cells, mean_of_means(counted(cells, ranked)) if complete else None, missing)


def counted(cells: Mapping[str, Cell], ranked: frozenset[str]) -> list[list[float]]:
    """Per ranked task the scores that its seeds count."""
    return [[v for o in cells[name].outcomes if (v := o.counted) is not None] for name in sorted(ranked)]


def place(row: Row) -> tuple[bool, float, Entrant]:
    """Order on a board: with a mean before without, the best first, then by name."""
    return row.mean is None, -(row.mean.mean if row.mean else 0.0), row.entrant


def ranking(cells: Sequence[Cell]) -> list[Cell]:
    """The cells of one task, best mean first; those without a score last, by name."""
    return sorted(cells, key=lambda c: (c.score is None, -(c.score.mean if c.score else 0.0), c.entrant))
