"""How a task's score moves with a knob that a sweep turned: more environments, a weaker shortcut, noisier labels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.cells import HEADLINE, Cell, Entrant, Protocol
from leaderboard.curves import Point
from leaderboard.panels import Panel, panels
from tasks.types import SCORE_CLIP, Dose, Task


@dataclass(frozen=True)
class DoseView:
    """One knob of a task under one protocol: the cell of every entry at every value, with its curve."""

    protocol: Protocol
    knob: Dose
    rows: Mapping[Entrant, Mapping[float, Cell]]
    panels: Sequence[Panel]

    @property
    def values(self) -> list[float]:
        """Every value that anyone has a cell at."""
        return sorted({value for cells in self.rows.values() for value in cells})


def dose_views(task: Task, cells: Sequence[Cell]) -> list[DoseView]:
    """Every knob that was turned alone, the headline protocol first. The task's own value stands among the others."""
    found: dict[tuple[Protocol, str], dict[Entrant, dict[float, Cell]]] = {}
    for cell in cells:
        for name, value in places(task, cell):
            undosed = undosed_entrant(cell.entrant)
            found.setdefault((undosed.protocol, name), {}).setdefault(undosed, {})[value] = cell
    knobs = {knob.name: knob for knob in task.spec.doses}
    views = [
        dose_view(protocol, knobs[name], {e: by_value for e, by_value in sorted(rows.items()) if len(by_value) > 1})
        for (protocol, name), rows in sorted(found.items(), key=lambda f: (not f[0][0].is_headline, f[0]))
    ]
    return [view for view in views if view.rows]


def places(task: Task, cell: Cell) -> list[tuple[str, float]]:
    """Where a cell stands on which knobs: at one value of one, or at the task's own values of all; else nowhere."""
    dose = json.loads(cell.entrant.protocol.dose)
    if not dose:
        return [(knob.name, knob.own) for knob in task.spec.doses]
    return list(dose.items()) if len(dose) == 1 else []


def undosed_entrant(entrant: Entrant) -> Entrant:
    """The same without a dose."""
    return replace(entrant, protocol=replace(entrant.protocol, dose=HEADLINE.dose))


def dose_view(protocol: Protocol, knob: Dose, rows: Mapping[Entrant, Mapping[float, Cell]]) -> DoseView:
    """One knob of one protocol with its panels."""
    curves = {
        entrant: {knob.name: [Point(x, c.score) for x, c in sorted(by_value.items()) if c.score is not None]}
        for entrant, by_value in rows.items()
    }
    return DoseView(
        protocol, knob, rows, panels(curves, SCORE_CLIP, what=f"score by {knob.name.replace('-', ' ')} ({knob.unit})")
    )
