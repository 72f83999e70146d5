"""The same numbers for machines: `results.json` with everything, `results.csv` with a line per task, entry and seed.

`board_csv` has what a table of a paper has, a line per entry and task, `indices_csv` what a figure of indices has.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.cells import Cell, Entrant, Outcome
from benchmarks.records import canonical
from benchmarks.statistics import Estimate
from leaderboard.boards import Board
from leaderboard.collect import Collection
from leaderboard.curves import Point, severity_curves
from leaderboard.profiles import Line
from leaderboard.wording import command, lost
from tasks.types import Summary, Task

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
COLUMNS = (
    "task", "model", "algorithm", "hparams", "budget_scale", "draw", "selection", "tuned", "dose", "seed", "outcome",
    "reason", "flags", "counted_score", "score", "score_unclipped", "iid", "ood", "score_last_step",
    "seconds", "n_parameters",
)  # fmt: skip

BOARD_COLUMNS = (
    "task", "model", "algorithm", "hparams", "score", "half_width", "low", "high", "seeds", "outcome", "lost", "flags",
)  # fmt: skip

INDEX_COLUMNS = (
    "task", "index", "low_end", "high_end", "low_means", "high_means", "model", "algorithm", "hparams", "mean",
    "half_width", "low", "high", "seeds",
)  # fmt: skip


def as_json(collection: Collection, generator: str) -> str:
    """Tasks, entries, cells with their seeds, and refused files. Keys are sorted; there is no date."""
    body = {
        "generator": generator,
        "input": collection.input_hash,
        "n_records": collection.n_records,
        "tasks": {task_id: task_body(task) for task_id, task in collection.suite.items()},
        "entries": {entrant.slug: entry_body(entrant) for entrant in collection.entrants},
        "cells": [cell_body(cell) for cell in collection.cells],
        "refused": [asdict(refused) for refused in collection.refused],
    }
    return canonical(body) + "\n"


def task_body(task: Task) -> dict[str, Any]:
    """What a score of a task means."""
    spec = task.spec
    return {
        "summary": spec.summary,
        "input": spec.entry.input,
        "tags": list(spec.entry.tags),
        "idea": spec.entry.module,
        "optional": spec.entry.optional,
        "fixed_model": spec.entry.model,
        "metric": spec.metric,
        "higher_is_better": spec.higher_is_better,
        "floor": spec.floor,
        "ceiling": spec.ceiling,
        "gate": spec.gate,
        "data": spec.data,
        "axes": [asdict(axis) for axis in spec.axes],
    }


def entry_body(entrant: Entrant) -> dict[str, Any]:
    """Who an entry is, and the terms it was run under."""
    return {
        "model": entrant.model,
        "algorithm": entrant.algorithm,
        "hparams": json.loads(entrant.hparams),
        **asdict(entrant.protocol),
        "headline": entrant.protocol.is_headline,
    }


def cell_body(cell: Cell) -> dict[str, Any]:
    """A cell: its means with intervals, and every seed."""
    return {
        "task": cell.task.spec.id,
        "entry": cell.entrant.slug,
        "state": cell.state,
        "score": estimate_body(cell.score),
        "score_last_step": estimate_body(cell.score_last),
        "iid": estimate_body(cell.iid),
        "ood": estimate_body(cell.ood),
        "scores": {name: estimate_body(found) for name, found in cell.extra_scores().items()},
        "indices": {name: estimate_body(found) for name, found in cell.indices().items()},
        "axes": {axis.index: estimate_body(cell.on(axis)) for axis in cell.task.spec.axes},
        "severity": {name: [point_body(point) for point in curve] for name, curve in severity_curves(cell).items()},
        "n_parameters": cell.n_parameters,
        "seconds": cell.seconds,
        "recipe": cell.recipe,
        "command": command(cell),
        "seeds": [outcome_body(outcome) for outcome in cell.outcomes],
    }


def estimate_body(estimate: Estimate | None) -> dict[str, Any] | None:
    """Mean, interval and number of seeds."""
    return None if estimate is None else asdict(estimate)


def point_body(point: Point) -> dict[str, Any]:
    """One rung of a ladder: its severity, and the headline metric there."""
    return {"severity": point.x, **asdict(point.estimate)}


def outcome_body(outcome: Outcome) -> dict[str, Any]:
    """One seed."""
    return {
        "seed": outcome.seed,
        "outcome": outcome.verdict,
        "reason": outcome.reason,
        "flags": outcome.flags,
        "counted_score": outcome.counted,
        "selected": summary_body(outcome.summary),
        "last": summary_body(outcome.last),
        "seconds": round(outcome.seconds, 3),
        "selected_steps": {name: r.selected_step for name, r in sorted(outcome.records.items()) if r.status == "ok"},
        "keys": {name: record.key for name, record in sorted(outcome.records.items())},
    }


def summary_body(summary: Summary | None) -> dict[str, Any] | None:
    """What people read about one seed."""
    if summary is None:
        return None
    return asdict(summary) | {"scores": dict(summary.scores), "indices": dict(summary.indices)}


def as_csv(collection: Collection) -> str:
    """One line per task, entry and seed; empty where there is no value."""
    return as_lines(COLUMNS, (line(cell, outcome) for cell in collection.cells for outcome in cell.outcomes))


def line(cell: Cell, outcome: Outcome) -> tuple[object, ...]:
    """The values of `COLUMNS`."""
    entrant, protocol, summary, last = cell.entrant, cell.entrant.protocol, outcome.summary, outcome.last
    scores = summary.scores if summary else {}
    return (
        cell.task.spec.id,
        entrant.model,
        entrant.algorithm,
        entrant.hparams,
        protocol.budget_scale,
        protocol.draw,
        protocol.selection,
        protocol.tuned,
        protocol.dose,
        outcome.seed,
        outcome.verdict,
        outcome.reason,
        " ".join(outcome.flags),
        outcome.counted,
        scores.get("score"),
        scores.get("score_unclipped"),
        summary.iid if summary else None,
        summary.ood if summary else None,
        last.scores.get("score") if last else None,
        round(outcome.seconds, 3),
        max((r.n_parameters for r in outcome.records.values() if r.n_parameters is not None), default=None),
    )


def board_csv(board: Board) -> str:
    """A line per entry and task of a board, in its order; the last one of an entry is its mean over several tasks."""
    lines: list[Sequence[object]] = []
    for row in board.rows:
        lines += [board_line(row.cells[task.spec.id]) for task in board.tasks if task.spec.id in row.cells]
        if row.mean is not None and len(board.ranked) > 1:
            lines.append([f"mean of {len(board.ranked)}", *identity(row.entrant), *numbers(row.mean), "", "", ""])
    return as_lines(BOARD_COLUMNS, lines)


def cells_csv(cells: Sequence[Cell]) -> str:
    """The same for some cells."""
    return as_lines(BOARD_COLUMNS, [board_line(cell) for cell in cells])


def indices_csv(found: Sequence[Line]) -> str:
    """A line per axis and entry on it: what the two ends stand for, and where the entry stands."""
    return as_lines(
        INDEX_COLUMNS,
        [
            (*ends_of(line), *identity(entrant), *numbers(position))
            for line in found
            for entrant, position in sorted(line.positions.items())
        ],
    )


def ends_of(line: Line) -> tuple[object, ...]:
    """Which index of which task, the values of its ends, and what they stand for."""
    return line.task.spec.id, line.axis.index, *line.axis.ends, line.axis.low, line.axis.high


def as_lines(heads: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """A file of values that is safe to open."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows([safe(value) for value in line] for line in lines)
    return file.getvalue()


def board_line(cell: Cell) -> tuple[object, ...]:
    """The values of `BOARD_COLUMNS`."""
    return (
        cell.task.spec.id,
        *identity(cell.entrant),
        *numbers(cell.score),
        cell.state,
        lost(cell),
        " ".join(cell.flags),
    )


def identity(entrant: Entrant) -> tuple[str, str, str]:
    """What tells an entry from the others of its protocol."""
    return entrant.model, entrant.algorithm, entrant.hparams


def numbers(found: Estimate | None) -> tuple[float | int | None, ...]:
    """Mean, half the interval, its ends, and how many seeds."""
    return (None,) * 5 if found is None else (found.mean, found.half_width, found.low, found.high, found.n)


def safe(value: object) -> object:
    """Text that a spreadsheet would run as a formula gets an apostrophe; numbers stay numbers, line breaks go."""
    if not isinstance(value, str):
        return value
    text = " ".join(value.split())
    return f"'{text}" if value.startswith(FORMULA_STARTS) or text.startswith(FORMULA_STARTS) else text
