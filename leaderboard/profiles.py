"""Inductive-bias profiles: where an entrant stands on every axis of every task, between which solutions it chose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.cells import Cell, Entrant
from benchmarks.statistics import Estimate
from tasks.types import Axis, Task


@dataclass(frozen=True)
class Line:
    """One axis of one task, and who stands where on it; an entrant that learned nothing there is missing."""

    task: Task
    axis: Axis
    positions: dict[Entrant, Estimate]


def lines(cells: Iterable[Cell]) -> list[Line]:
    """Every axis that somebody stands on: tasks by id, each task's axes in the order of its card."""
    found: dict[tuple[str, int], Line] = {}
    for cell in cells:
        for place, axis in enumerate(cell.task.spec.axes):
            position = cell.on(axis)
            if position is not None:
                line = found.setdefault((cell.task.spec.id, place), Line(cell.task, axis, {}))
                line.positions[cell.entrant] = position
    return [line for _, line in sorted(found.items(), key=lambda item: item[0])]


def entrants_of(found: Sequence[Line]) -> list[Entrant]:
    """Everyone on any of the lines, by name."""
    return sorted({entrant for line in found for entrant in line.positions})
