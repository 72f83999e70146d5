"""What the pages show, ready to be written: boards, task sections and model sections with their charts."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from statistics import fmean
from typing import Any

from benchmarks.statistics import Estimate
from leaderboard import charts, wording
from leaderboard.boards import INPUT_KINDS, Board, boards, input_kind, ranking
from leaderboard.cells import FAILURES, Cell, Entrant, Protocol, Verdict
from leaderboard.charts import Anchors, Mark, Panel, Plane
from leaderboard.collect import Collection
from leaderboard.curves import Curve, anchor_means, ladders, learning_curve, severity_curves
from tasks.types import Role, Split, Task, TaskSpec

Named = Sequence[tuple[Entrant, Mapping[str, Estimate]]]

FEW_SPLITS = 3  # more training splits than this share one line


@dataclass(frozen=True)
class BoardView:
    """A board with its charts; `id` is unique on the page."""

    id: str
    board: Board
    planes: Sequence[tuple[Task, Plane]]


@dataclass(frozen=True)
class Failure:
    """Some seeds of a cell that did not come to a trained model for one reason."""

    cell: Cell
    verdict: Verdict
    seeds: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class TaskView:
    """The results of one task under one protocol, best first; `skips` are the entries that were skipped, by reason."""

    protocol: Protocol
    cells: Sequence[Cell]
    skips: Sequence[tuple[str, Sequence[Cell]]]
    plane: Plane
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
class ModelView:
    """The results of one entrant, by input kind. `described` are indices and further scores with their kind.

    `means` has its row on the board of a kind, where it has a mean.
    """

    entrant: Entrant
    source: str
    tally: Sequence[tuple[str, int]]
    kinds: Sequence[tuple[str, Sequence[Cell]]]
    means: Mapping[str, tuple[Estimate, int]]
    skips: Sequence[tuple[str, Sequence[Cell]]]
    described: Sequence[tuple[TaskSpec, str, str, Estimate]]

    @property
    def cells(self) -> list[Cell]:
        return [cell for _, listed in self.kinds for cell in listed]

    @property
    def failures(self) -> list[Failure]:
        return failures(self.cells)


@dataclass(frozen=True)
class ModelLine:
    """One model in the list of models: how many of its headline cells ended how."""

    name: str
    entries: int
    tried: int
    trained: int
    not_trained: int
    failed: int
    skipped: int
    parameters: tuple[int, int] | None


@dataclass(frozen=True)
class SplitLine:
    """One split, or a run of training splits, as the task's page lists it."""

    name: str
    role: Role
    size: str
    severity: str
    params: str
    anchors: Mapping[str, float]


def names_in(named: Named) -> list[str]:
    """Every name that any entrant has a value for."""
    return sorted({name for _, found in named for name in found})


def failures(cells: Sequence[Cell]) -> list[Failure]:
    """The seeds that did not come to a trained model, cell by cell, those with one reason together.

    Cells that are skipped as a whole are not failures; `skips` has them.
    """
    found: dict[tuple[str, Entrant, Verdict, str], list[tuple[Cell, int]]] = {}
    for cell in cells:
        for outcome in cell.failures if cell.state != "skipped" else ():
            alike = (cell.task.spec.id, cell.entrant, outcome.verdict, outcome.reason)
            found.setdefault(alike, []).append((cell, outcome.seed))
    return [
        Failure(listed[0][0], verdict, tuple(seed for _, seed in listed), reason)
        for (_, _, verdict, reason), listed in found.items()
    ]


def skips(cells: Sequence[Cell]) -> list[tuple[str, list[Cell]]]:
    """The cells that are skipped as a whole, by reason."""
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.state == "skipped":
            reason = next(outcome.reason for outcome in cell.outcomes if outcome.verdict == "skipped")
            found.setdefault(reason, []).append(cell)
    return list(found.items())


def tried(cells: Sequence[Cell]) -> list[Cell]:
    """The cells that are not skipped as a whole."""
    return [cell for cell in cells if cell.state != "skipped"]


def ambiguous(entrants: Sequence[Entrant]) -> set[Entrant]:
    """Those whose label another configuration has too."""
    alike: dict[tuple[str, Protocol], list[Entrant]] = {}
    for entrant in entrants:
        alike.setdefault((entrant.label, entrant.protocol), []).append(entrant)
    return {entrant for listed in alike.values() if len(listed) > 1 for entrant in listed}


# --- the overview -----------------------------------------------------------------------------------------------------


def overview(collection: Collection) -> dict[str, Any]:
    """What the front page says."""
    shown = [board_view(collection, board, place) for place, board in enumerate(boards(collection))]
    protocols = list(dict.fromkeys(view.board.protocol for view in shown))
    outcomes = [outcome for cell in collection.cells for outcome in cell.outcomes]
    headline = [cell for cell in collection.cells if cell.entrant.protocol.is_headline]
    entries = {task_id: {c.entrant for c in headline if c.task.spec.id == task_id} for task_id in collection.suite}
    models = sorted({entrant.model for entrant in collection.entrants})
    with_results = {cell.task.spec.id for cell in collection.cells}
    return {
        "numbers": [
            ("tasks with results", f"{len(with_results)} of {len(collection.suite)}"),
            ("models", f"{len(models)}"),
            ("trainings", f"{collection.n_records:,}"),
            ("failed seeds", f"{sum(outcome.verdict in FAILURES for outcome in outcomes):,}"),
        ],
        "boards": [(p, [view for view in shown if view.board.protocol == p]) for p in protocols],
        "tasks": [(task, len(entries[task_id])) for task_id, task in sorted(collection.suite.items())],
        "models": [model_line(name, headline) for name in models],
    }


def board_view(collection: Collection, board: Board, place: int) -> BoardView:
    """A board with a chart for every task on which anyone finished a seed."""
    marks = charts.marks(collection.entrants)
    planes = []
    for task in board.tasks:
        cells = [cell for cell in board.cells if cell.task.spec.id == task.spec.id]
        if any(cell.ood is not None for cell in cells):
            planes.append((task, charts.plane(cells, known_anchors(task, cells), marks)))
    return BoardView(board.kind if board.protocol.is_headline else f"board-{place}", board, planes)


def model_line(name: str, headline: Sequence[Cell]) -> ModelLine:
    """A model's cells counted."""
    cells = [cell for cell in headline if cell.entrant.model == name]
    states = [cell.state for cell in cells]
    sizes = [cell.n_parameters for cell in cells if cell.n_parameters is not None]
    return ModelLine(
        name=name,
        entries=len({cell.entrant for cell in cells}),
        tried=len({cell.task.spec.id for cell in cells}),
        trained=states.count("trained"),
        not_trained=states.count("not_trained"),
        failed=sum(state in FAILURES for state in states),
        skipped=states.count("skipped"),
        parameters=(min(sizes), max(sizes)) if sizes else None,
    )


# --- a task -----------------------------------------------------------------------------------------------------------


def task_context(collection: Collection, task: Task) -> dict[str, Any]:
    """What the page of a task says, but for its picture."""
    spec = task.spec
    cells = [cell for cell in collection.cells if cell.task.spec.id == spec.id]
    protocols = sorted({c.entrant.protocol for c in cells}, key=lambda p: (not p.is_headline, p))
    marks = charts.marks(collection.entrants)
    anchors = known_anchors(task, [cell for cell in cells if cell.entrant.protocol.is_headline] or cells)
    return {
        "task": task,
        "sections": [task_view(task, [c for c in cells if c.entrant.protocol == p], marks) for p in protocols],
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
    return TaskView(
        protocol=cells[0].entrant.protocol,
        cells=tried(ordered),
        skips=skips(ordered),
        plane=charts.plane(ordered, anchors, marks),
        severity=severity_panels(task, ordered, anchors),
        learning=learning_panels(task, ordered, anchors),
        extras=[(cell.entrant, extra) for cell in ordered if (extra := cell.extra_scores())],
        indices=[(cell.entrant, index) for cell in ordered if (index := cell.indices())],
    )


def severity_panels(task: Task, cells: Sequence[Cell], anchors: Anchors) -> list[Panel]:
    """The metric by severity, a panel an entrant; none where the task has no ladder."""
    curves = {cell.entrant: severity_curves(cell) for cell in cells}
    rungs = [split for ladder in ladders(task.spec).values() for split in ladder]
    trained_on = [s.severity for s in task.spec.with_role("train", "val", "iid") if s.severity is not None]
    return charts.panels(
        curves,
        charts.metric_range(task.spec, measured_anchors(task.spec, anchors), means(curves)),
        anchor_curves=[anchor_curve(rungs, anchors, name) for name in (task.spec.floor, task.spec.ceiling)],
        seen=(min(trained_on), max(trained_on)) if trained_on else None,
        what=f"{task.spec.metric} by {task.spec.severity_unit or 'severity'}",
    )


def learning_panels(task: Task, cells: Sequence[Cell], anchors: Anchors) -> list[Panel]:
    """The metric along the training, in and out of distribution."""
    curves = {
        c.entrant: {"in distribution": learning_curve(c, "iid"), "out of distribution": learning_curve(c, "ood")}
        for c in cells
    }
    trained_in_steps = {e: named for e, named in curves.items() if all(len(curve) > 1 for curve in named.values())}
    value_range = charts.metric_range(task.spec, measured_anchors(task.spec, anchors), means(trained_in_steps))
    return charts.panels(trained_in_steps, value_range, what=f"{task.spec.metric} by training step")


def measured_anchors(spec: TaskSpec, anchors: Anchors) -> list[float]:
    """Floors and ceilings on everything that a curve may show."""
    return charts.anchor_values(spec, anchors, "iid", "ood", "probe")


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


def known_anchors(task: Task, cells: Sequence[Cell]) -> Anchors:
    """The task's constants, and the means of what was measured."""
    measured = anchor_means(cells)
    splits = [split.name for split in task.spec.splits]
    return {name: {**task.spec.constants.get(name, {}), **measured.get(name, {})} for name in splits}


def anchor_names(spec: TaskSpec, anchors: Anchors) -> list[str]:
    """Floor and ceiling first, then the others by name."""
    found = {name for values in anchors.values() for name in values}
    return [n for n in (spec.floor, spec.ceiling) if n in found] + sorted(found - {spec.floor, spec.ceiling})


def definition(task: Task) -> str:
    """What the task's source says of it in words: its file's and its class's documentation."""
    module = sys.modules[type(task).__module__].__doc__
    parts = [inspect.cleandoc(text) for text in (module, type(task).__doc__) if text]
    return "\n\n".join(parts)


def split_lines(spec: TaskSpec, anchors: Anchors) -> list[SplitLine]:
    """The splits in the card's order; a run of many training splits of one size shares a line."""
    lines = []
    for _, run in groupby(spec.splits, key=lambda s: (s.role, s.size) if s.role == "train" else s.name):
        splits = list(run)
        for part in [splits] if len(splits) > FEW_SPLITS else [[split] for split in splits]:
            lines.append(split_line(part, anchors))
    return lines


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


# --- a model ----------------------------------------------------------------------------------------------------------


def model_view(collection: Collection, entrant: Entrant) -> ModelView:
    """One entrant on every task."""
    cells = [cell for cell in collection.cells if cell.entrant == entrant]
    by_kind = [(kind, [cell for cell in tried(cells) if input_kind(cell.task) == kind]) for kind in INPUT_KINDS]
    states = [cell.state for cell in cells]
    records = [record for cell in cells for outcome in cell.outcomes for record in outcome.records.values()]
    return ModelView(
        entrant=entrant,
        source=records[0].trial.source_hash,
        tally=[(words, states.count(verdict)) for verdict, (_, words) in wording.VERDICTS.items() if verdict in states],
        kinds=[(kind, listed) for kind, listed in by_kind if listed],
        means={
            board.kind: (row.mean, len(board.ranked))
            for board in boards(collection)
            for row in board.rows
            if row.entrant == entrant and row.mean is not None
        },
        skips=skips(cells),
        described=[
            (cell.task.spec, name, kind, found)
            for cell in cells
            for kind, named in (("score", cell.extra_scores()), ("index", cell.indices()))
            for name, found in sorted(named.items())
        ],
    )
