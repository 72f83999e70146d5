"""An entry beside the others of its protocol: whom it is most like, and on which tasks it stands out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from benchmarks.cells import Cell, Entrant
from tasks.types import Task

FEWEST_SHARED = 5  # values that two profiles need in common, and half of the entry's own
FEWEST_OTHERS = 3  # entries that make a median worth standing out from
SHOWN = 3
STANDS_OUT = 0.05  # of a score

Profile = Mapping[tuple[str, str], float]
"""Score of a task as (task, ""), place between the ends of an index as (task, index); both are of order one."""


@dataclass(frozen=True)
class Neighbour:
    """Another entry: the root mean square difference of the values that both have, and how many these are."""

    entrant: Entrant
    distance: float
    shared: int


@dataclass(frozen=True)
class StandsOut:
    """A task where an entry's score lies `above` the median of the `others` (below it, where negative)."""

    cell: Cell
    above: float
    others: int


def profiles(cells: Sequence[Cell]) -> dict[Entrant, Profile]:
    """What each entrant's cells say, as one vector."""
    found: dict[Entrant, dict[tuple[str, str], float]] = {}
    for cell in cells:
        found.setdefault(cell.entrant, {}).update(values_of(cell.task, cell))
    return dict(found)


def values_of(task: Task, cell: Cell) -> Profile:
    """A cell's score, and its places between the ends of the task's axes."""
    values = {} if cell.score is None else {(task.spec.id, ""): cell.score.mean}
    for axis in task.spec.axes:
        position, (low, high) = cell.on(axis), axis.ends
        if position is not None:
            values[task.spec.id, axis.index] = min(max((position.mean - low) / (high - low), 0.0), 1.0)
    return values


def nearest(entrant: Entrant, found: Mapping[Entrant, Profile]) -> list[Neighbour]:
    """The entries of other models under the same protocol that chose most alike, nearest first."""
    own = found.get(entrant, {})
    fewest = max(FEWEST_SHARED, math.ceil(len(own) / 2))
    others = (
        Neighbour(other, distance, shared)
        for other, profile in found.items()
        if other.model != entrant.model and other.protocol == entrant.protocol
        for distance, shared in [between(own, profile)]
        if shared >= fewest
    )
    return sorted(others, key=lambda n: (n.distance, n.entrant))[:SHOWN]


def between(one: Profile, other: Profile) -> tuple[float, int]:
    """Root mean square difference over what both have, and how much that is."""
    shared = sorted(one.keys() & other.keys())
    return (math.sqrt(fmean((one[k] - other[k]) ** 2 for k in shared)) if shared else math.inf), len(shared)


def stands_out(entrant: Entrant, by_task: Mapping[str, Sequence[Cell]]) -> tuple[list[StandsOut], list[StandsOut]]:
    """The tasks where an entrant lies furthest above the median of the others of its protocol, and furthest below."""
    found = [s for cells in by_task.values() if (s := beside_others(entrant, cells)) is not None]
    ordered = sorted(found, key=lambda s: (-s.above, s.cell.task.spec.id))
    above = [s for s in ordered if s.above >= STANDS_OUT][:SHOWN]
    below = [s for s in ordered[::-1] if s.above <= -STANDS_OUT][:SHOWN]
    return above, below


def beside_others(entrant: Entrant, cells: Sequence[Cell]) -> StandsOut | None:
    """An entrant's score on one task beside the median of the others, where there are enough of them."""
    scores = {c.entrant: c.score.mean for c in cells if c.score is not None and c.entrant.protocol == entrant.protocol}
    if entrant not in scores or len(scores) <= FEWEST_OTHERS:
        return None
    others = [score for other, score in scores.items() if other != entrant]
    own = next(cell for cell in cells if cell.entrant == entrant)
    return StandsOut(own, scores[entrant] - median(others), len(others))
