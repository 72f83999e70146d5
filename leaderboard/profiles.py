"""Inductive-bias profiles: where an entrant stands on every axis of every task, between which solutions it chose."""

from __future__ import annotations

from collections.abc import Iterable
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


@dataclass(frozen=True)
class Profile:
    """Axes whose tasks compare the same kind of thing: models, or ways to train the model that they fix (`fixed`)."""

    fixed: str
    lines: tuple[Line, ...]

    @property
    def id(self) -> str:
        """Unique on a page."""
        return f"profile-{self.fixed}" if self.fixed else "profile"

    @property
    def entrants(self) -> list[Entrant]:
        """Everyone on any of the lines, by name."""
        return sorted({entrant for line in self.lines for entrant in line.positions})


def profiles(cells: Iterable[Cell]) -> list[Profile]:
    """The axes that somebody stands on, the model track first."""
    by_model: dict[str, list[Line]] = {}
    for line in lines(cells):
        by_model.setdefault(line.task.spec.entry.model, []).append(line)
    return [Profile(fixed, tuple(found)) for fixed, found in sorted(by_model.items())]
