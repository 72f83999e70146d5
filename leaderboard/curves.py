"""Curves of a cell: the headline metric along a ladder of severities, and along the training."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks.cells import Cell
from benchmarks.records import Record
from benchmarks.statistics import Estimate, mean_interval
from tasks.types import Role, Scores, Split, Task, TaskSpec


@dataclass(frozen=True)
class Point:
    """A place on a curve, and the mean over seeds there."""

    x: float
    estimate: Estimate


Curve = Sequence[Point]

RUNG = re.compile(r"[-_]?[0-9.]+$")


def ladders(spec: TaskSpec) -> dict[str, list[Split]]:
    """The measured splits with a severity, mildest first, by the name of their ladder.

    Where a severity appears twice, such as level 3 of two corruptions, there are several ladders: `noise-1`, `noise-2`
    are one, named `noise`. Otherwise there is one, named after the unit. Fewer than two rungs are no ladder.
    """
    measured = [split for split in spec.with_role("iid", "ood", "probe") if split.severity is not None]
    several = len({split.severity for split in measured}) < len(measured)
    found: dict[str, list[Split]] = {}
    for split in sorted(measured, key=lambda s: s.severity or 0.0):
        name = RUNG.sub("", split.name) if several else spec.severity_unit or "severity"
        found.setdefault(name, []).append(split)
    return {name: rungs for name, rungs in sorted(found.items()) if len(rungs) > 1}


def severity_curves(cell: Cell) -> dict[str, Curve]:
    """The metric at the selected step by severity, a curve a condition and ladder."""
    conditions, found = cell.task.spec.conditions, ladders(cell.task.spec)
    return {
        series_name(condition.name, ladder, len(conditions), len(found)): severity_curve(cell, condition.name, rungs)
        for condition in conditions
        for ladder, rungs in found.items()
    }


def series_name(condition: str, ladder: str, n_conditions: int, n_ladders: int) -> str:
    """What tells a curve from the others."""
    if n_conditions == 1:
        return ladder
    return condition if n_ladders == 1 else f"{condition}, {ladder}"


def severity_curve(cell: Cell, condition: str, rungs: Sequence[Split]) -> Curve:
    """One condition along one ladder, at the rungs that every seed has."""
    metric, records = cell.task.spec.metric, finished(cell, condition)
    points = []
    for split in rungs:
        values = [
            record.scores[split.name][metric] for record in records if metric in record.scores.get(split.name, {})
        ]
        if values and len(values) == len(records):
            points.append(Point(split.severity or 0.0, mean_interval(values)))
    return points


def learning_curve(cell: Cell, role: Role) -> Curve:
    """The metric by training step, averaged over conditions and a role's splits, at the steps that all seeds have."""
    per_seed = [seed_curve(cell.task, list(o.records.values()), role) for o in cell.outcomes if o.summary is not None]
    if not per_seed:
        return []
    steps = sorted(set.intersection(*(set(curve) for curve in per_seed)))
    return [Point(step, mean_interval([curve[step] for curve in per_seed])) for step in steps]


def seed_curve(task: Task, records: Sequence[Record], role: Role) -> dict[int, float]:
    """Step to metric for one seed, at the steps that every condition has measured."""
    splits, metric = [split.name for split in task.spec.with_role(role)], task.spec.metric
    per_condition = [
        {p["step"]: v for p in record.curve if (v := mean_metric(p["scores"], splits, metric)) is not None}
        for record in records
    ]
    common = set.intersection(*(set(curve) for curve in per_condition)) if per_condition else set()
    return {step: fmean(curve[step] for curve in per_condition) for step in common}


def mean_metric(scores: Scores, splits: Sequence[str], metric: str) -> float | None:
    """The metric averaged over splits, if all of them have it."""
    values = [scores[split][metric] for split in splits if metric in scores.get(split, {})]
    return fmean(values) if splits and len(values) == len(splits) else None


def finished(cell: Cell, condition: str) -> list[Record]:
    """The condition's record of every seed that finished."""
    return [outcome.records[condition] for outcome in cell.outcomes if outcome.summary is not None]


def anchor_means(cells: Iterable[Cell]) -> dict[str, dict[str, float]]:
    """`means[split][name]` of one task's anchors over conditions and seeds; each world counts once."""
    worlds = {(r.trial.condition, r.trial.seed, r.trial.draw): r for cell in cells for r in cell.records}
    listed: dict[str, dict[str, list[float]]] = {}
    for _, record in sorted(worlds.items()):
        for split, values in record.anchors.items():
            for name, value in values.items():
                listed.setdefault(split, {}).setdefault(name, []).append(value)
    return {split: {name: fmean(found) for name, found in named.items()} for split, named in listed.items()}


def known_anchors(task: Task, cells: Sequence[Cell]) -> dict[str, dict[str, float]]:
    """The task's constants, and the means of what was measured."""
    measured = anchor_means(cells)
    splits = [split.name for split in task.spec.splits]
    return {name: {**task.spec.constants.get(name, {}), **measured.get(name, {})} for name in splits}
