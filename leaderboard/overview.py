"""What the front page shows: boards with their charts, the tasks, the models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.cells import FAILURES, Cell, Entrant, Protocol
from leaderboard import charts
from leaderboard.boards import Board, usual_seeds
from leaderboard.charts import Plane
from leaderboard.collect import Collection
from leaderboard.curves import known_anchors
from leaderboard.profiles import profiles
from tasks.types import Task


@dataclass(frozen=True)
class BoardView:
    """A board with its charts; `id` is unique on the page."""

    id: str
    board: Board
    planes: Sequence[tuple[Task, Plane]]

    @property
    def seeds(self) -> int:
        return usual_seeds(self.board.cells)


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


def board_views(collection: Collection, boards: Sequence[Board]) -> list[BoardView]:
    """The boards with their charts."""
    return [board_view(collection, board, place) for place, board in enumerate(boards)]


def overview(collection: Collection, shown: Sequence[BoardView]) -> dict[str, Any]:
    """What the front page says."""
    protocols = list(dict.fromkeys(view.board.protocol for view in shown))
    tags = {tag for view in shown for task in view.board.tasks for tag in task.spec.entry.tags}
    outcomes = [outcome for cell in collection.cells for outcome in cell.outcomes]
    headline = [cell for cell in collection.cells if cell.entrant.protocol.is_headline]
    entries = {task_id: {c.entrant for c in headline if c.task.spec.id == task_id} for task_id in collection.suite}
    models = sorted({entrant.model for entrant in collection.entrants})
    with_results = {cell.task.spec.id for cell in collection.cells}
    return {
        "numbers": [
            ("tasks with results", f"{len(with_results)} of {len(collection.suite)}"),
            ("models", f"{len(models)}"),
            ("trials", f"{collection.n_records:,}"),
            ("failed seeds", f"{sum(outcome.verdict in FAILURES for outcome in outcomes):,}"),
        ],
        "filters": [
            ("family", "Family", alike({view.board.family for view in shown})),
            ("input", "Input", alike({view.board.kind for view in shown})),
            ("tag", "Tag", alike(tags)),
            ("algorithm", "Algorithm", alike({entrant.algorithm for entrant in collection.entrants})),
            ("protocol", "Protocol", [(str(i), p.label) for i, p in enumerate(protocols)]),
        ],
        "boards": [(p, [view for view in shown if view.board.protocol == p]) for p in protocols],
        "families": sorted({task.spec.family for task in collection.suite.values()}),
        "tasks": [(task, len(entries[task_id])) for task_id, task in sorted(collection.suite.items())],
        "models": [model_line(name, headline) for name in models],
    }


def solutions(collection: Collection) -> dict[str, Any]:
    """What the page of indices says: every axis that somebody stands on under the headline protocol, and everyone."""
    return {"profiles": profiles(cell for cell in collection.cells if cell.entrant.protocol.is_headline)}


def alike(values: Iterable[str]) -> list[tuple[str, str]]:
    """Choices that read as they are called."""
    return [(value, value) for value in sorted(values)]


def board_view(collection: Collection, board: Board, place: int) -> BoardView:
    """A board with, under the headline protocol, a chart for every task on which anyone finished a seed."""
    if not board.protocol.is_headline:
        return BoardView(f"board-{place}", board, [])
    marks = charts.marks(collection.entrants)
    planes = []
    for task in board.tasks:
        cells = [cell for cell in board.cells if cell.task.spec.id == task.spec.id]
        if any(cell.ood is not None for cell in cells):
            planes.append((task, charts.plane(cells, known_anchors(task, cells), marks)))
    return BoardView(board.name, board, planes)


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


def ambiguous(entrants: Sequence[Entrant]) -> set[Entrant]:
    """Those whose label another configuration has too."""
    alike: dict[tuple[str, Protocol], list[Entrant]] = {}
    for entrant in entrants:
        alike.setdefault((entrant.label, entrant.protocol), []).append(entrant)
    return {entrant for listed in alike.values() if len(listed) > 1 for entrant in listed}
