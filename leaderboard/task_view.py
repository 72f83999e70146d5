"""What the page of a task shows: its card, and its results under each protocol."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from statistics import fmean
from typing import Any

from benchmarks.cells import HEADLINE, Cell, Entrant, Protocol
from benchmarks.ranking import Trend, effective_robustness
from benchmarks.statistics import Estimate
from leaderboard import axes, charts, wording
from leaderboard.axes import Anchors
from leaderboard.boards import ranking
from leaderboard.charts import Mark, Plane
from leaderboard.collect import Collection
from leaderboard.curves import Curve, known_anchors, ladders, learning_curve, severity_curves
from leaderboard.doses import dose_views
from leaderboard.endings import Failure, failures, skips, tried
from leaderboard.panels import Panel, panels
from tasks.types import Role, Split, Task, TaskSpec

FEW_SPLITS = 3  # more training splits than this share one line

Named = Sequence[tuple[Entrant, Mapping[str, Estimate]]]


@dataclass(frozen=True)
class TaskView:
    """The results of one task under one protocol, best first; `skips` are the entries that were skipped, by reason.

    `trend` is the line from in to out of distribution, `beyond` what each entry has more than the line says.
    """

    protocol: Protocol
    cells: Sequence[Cell]
    skips: Sequence[tuple[str, Sequence[Cell]]]
    plane: Plane
    trend: Trend | None
    beyond: Mapping[Entrant, float]
    severity: Sequence[Panel]
    learning: Sequence[Panel]
    extras: Named
    indices: Named

    @property
    def series_names(self) -> list[str]:
        """The curves of a severity panel, in the order of their colours."""
        return list(dict.fromkeys(name for cell in self.cells for name in severity_curves(cell)))

    @property
    def extra_names(self) -> list[str]:
        return names_in(self.extras)

    @property
    def index_names(self) -> list[str]:
        return names_in(self.indices)

    @property
    def failures(self) -> list[Failure]:
        return failures(self.cells)


@dataclass(frozen=True)
class SplitLine:
    """One split, or a run of training splits, as the task's page lists it."""

    name: str
    role: Role
    size: str
    severity: str
    params: str
    anchors: Mapping[str, float]


def task_context(collection: Collection, task: Task) -> dict[str, Any]:
    """What the page of a task says, but for its picture."""
    spec = task.spec
    cells = [cell for cell in collection.cells if cell.task.spec.id == spec.id]
    found = {cell.entrant.protocol for cell in cells if cell.entrant.protocol.dose == HEADLINE.dose}
    protocols = sorted(found, key=lambda p: (not p.is_headline, p))
    marks = charts.marks(collection.entrants)
    anchors = known_anchors(task, [cell for cell in cells if cell.entrant.protocol.is_headline] or cells)
    return {
        "task": task,
        "sections": [task_view(task, [c for c in cells if c.entrant.protocol == p], marks) for p in protocols],
        "doses": dose_views(task, cells),
        "definition": definition(task),
        "split_rows": split_lines(spec, anchors),
        "has_severity": any(split.severity is not None for split in spec.splits),
        "anchor_names": anchor_names(spec, anchors),
        "recipe": [item for item in asdict(spec.recipe).items() if item[1] not in (None, 0)],
    }


def task_view(task: Task, cells: Sequence[Cell], marks: Mapping[Entrant, Mark]) -> TaskView:
    """One task under one protocol."""
    ordered = ranking(cells)
    anchors = known_anchors(task, cells)
    trend, beyond = robustness(ordered)
    return TaskView(
        protocol=cells[0].entrant.protocol,
        cells=tried(ordered),
        skips=skips(ordered),
        plane=charts.plane(ordered, anchors, marks),
        trend=trend,
        beyond=beyond,
        severity=severity_panels(task, ordered, anchors),
        learning=learning_panels(task, ordered, anchors),
        extras=[(cell.entrant, extra) for cell in ordered if (extra := cell.extra_scores())],
        indices=[(cell.entrant, index) for cell in ordered if (index := cell.indices())],
    )


def robustness(cells: Sequence[Cell]) -> tuple[Trend | None, dict[Entrant, float]]:
    """The line through the entries that are trained, and what each lies above it, the better way up; or none.

    Entries below the gate would make a line that says no more than that they did not train.
    """
    shown = [(c, c.iid.mean, c.ood.mean) for c in cells if c.state == "trained" and c.iid and c.ood]
    sign = 1.0 if cells[0].task.spec.higher_is_better else -1.0
    try:
        trend = effective_robustness([iid for _, iid, _ in shown], [ood for _, _, ood in shown])
    except ValueError:  # too few entries, or no spread among them
        return None, {}
    return trend, {c.entrant: sign * above for (c, _, _), above in zip(shown, trend.residuals, strict=True)}


def severity_panels(task: Task, cells: Sequence[Cell], anchors: Anchors) -> list[Panel]:
    """The metric by severity, a panel an entrant; none where the task has no ladder."""
    curves = {cell.entrant: severity_curves(cell) for cell in cells}
    rungs = [split for ladder in ladders(task.spec).values() for split in ladder]
    trained_on = [s.severity for s in task.spec.with_role("train", "val", "iid") if s.severity is not None]
    return panels(
        curves,
        axes.metric_range(task.spec, measured_anchors(task.spec, anchors), means(curves)),
        anchor_curves=[anchor_curve(rungs, anchors, name) for name in axes.ends(task.spec)],
        seen=(min(trained_on), max(trained_on)) if trained_on else None,
        what=f"{task.spec.metric} by {task.spec.severity_unit or 'severity'}",
    )


def learning_panels(task: Task, cells: Sequence[Cell], anchors: Anchors) -> list[Panel]:
    """The metric along the training, in and out of distribution."""
    roles: dict[str, Role] = {"in distribution": "iid", "out of distribution": "ood"}
    measured = {name: role for name, role in roles.items() if task.spec.with_role(role)}
    curves = {c.entrant: {name: learning_curve(c, role) for name, role in measured.items()} for c in cells}
    trained_in_steps = {e: named for e, named in curves.items() if all(len(curve) > 1 for curve in named.values())}
    value_range = axes.metric_range(task.spec, measured_anchors(task.spec, anchors), means(trained_in_steps))
    return panels(trained_in_steps, value_range, what=f"{task.spec.metric} by training step")


def measured_anchors(spec: TaskSpec, anchors: Anchors) -> list[float]:
    """Floors and ceilings on everything that a curve may show."""
    return axes.anchor_values(spec, anchors, "iid", "ood", "probe")


def means(curves: Mapping[Entrant, Mapping[str, Curve]]) -> list[float]:
    """Every mean on some curves."""
    return [point.estimate.mean for named in curves.values() for curve in named.values() for point in curve]


def anchor_curve(rungs: Sequence[Split], anchors: Anchors, name: str) -> list[tuple[float, float]]:
    """An anchor by severity, averaged over ladders, where it is known on every rung."""
    values: dict[float, list[float]] = {}
    for split in rungs:
        if name not in anchors.get(split.name, {}):
            return []
        values.setdefault(split.severity or 0.0, []).append(anchors[split.name][name])
    return [(severity, fmean(found)) for severity, found in sorted(values.items())]


def anchor_names(spec: TaskSpec, anchors: Anchors) -> list[str]:
    """Floor and ceiling first, then the others by name."""
    found = {name for values in anchors.values() for name in values}
    ends = axes.ends(spec)
    return [name for name in ends if name in found] + sorted(found - set(ends))


def definition(task: Task) -> str:
    """What the task's source says of it in words: its file's and its class's documentation."""
    module = sys.modules[type(task).__module__].__doc__
    parts = [inspect.cleandoc(text) for text in (module, type(task).__doc__) if text]
    return "\n\n".join(parts)


def split_lines(spec: TaskSpec, anchors: Anchors) -> list[SplitLine]:
    """The splits in the card's order; a run of many training splits of one size shares a line."""
    runs = [
        list(run) for _, run in groupby(spec.splits, key=lambda s: (s.role, s.size if s.role == "train" else s.name))
    ]
    parts = [[run] if len(run) > FEW_SPLITS else [[split] for split in run] for run in runs]
    return [split_line(part, anchors) for several in parts for part in several]


def split_line(run: Sequence[Split], anchors: Anchors) -> SplitLine:
    """One split, or the first and the last of a run."""
    first, last = run[0], run[-1]
    ends = [first] if first is last else [first, last]
    return SplitLine(
        name=" … ".join(split.name for split in ends),
        role=first.role,
        size=f"{first.size:,}" if first is last else f"{len(run)} × {first.size:,}",
        severity=" … ".join(wording.number(s.severity) for s in ends if s.severity is not None),
        params=" … ".join(wording.settings(split.params) for split in ends),
        anchors={} if first.role == "train" else anchors.get(first.name, {}),
    )


def names_in(named: Named) -> list[str]:
    """Every name that any entrant has a value for."""
    return sorted({name for _, found in named for name in found})
