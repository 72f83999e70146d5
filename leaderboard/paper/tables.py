"""A board as a paper prints it: what stands in each cell, with marks for what a reader must know beside the number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase

from benchmarks.cells import Cell, Entrant
from benchmarks.statistics import Estimate
from leaderboard.boards import Board, Row, usual_seeds
from leaderboard.crossed import names as crossed_names
from leaderboard.wording import VERDICTS, count, flagged, lost

ABSENT = VERDICTS["incomplete"][1]


@dataclass(frozen=True)
class Entry:
    """A number, or in words why there is none; `notes` are said below the table."""

    estimate: Estimate | None
    without: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Grid:
    """Lines with their names under heads. `marks` has a letter for every note, `seeds` is what most numbers are of.

    `total_line` says that the last line is a mean of those above.
    """

    heads: tuple[str, ...]
    lines: tuple[tuple[str, tuple[Entry, ...]], ...]
    marks: Mapping[str, str]
    seeds: int
    total_line: bool


def grid(board: Board, names: Mapping[Entrant, str], short: Mapping[str, str]) -> Grid:
    """A board with the names of its entrants and of its tasks, by id."""
    seeds = usual_seeds(board.cells)
    totals = has_totals(board)
    tasks = [task.spec.id for task in board.tasks]
    heads = [*(short[task] for task in tasks), *([mean_name(board)] if totals else [])]
    lines = [
        (names[row.entrant], [*(entry(row.cells.get(task), seeds) for task in tasks), *([mean(row)] if totals else [])])
        for row in board.rows
    ]
    tasks_down = len(tasks) > len(board.rows)
    if tasks_down:
        heads, lines = turned(heads, lines)
    return laid_out(heads, lines, seeds, total_line=tasks_down and totals)


def crossed_grid(cells: Sequence[Cell]) -> Grid:
    """Models down and training algorithms across, of one task."""
    by_place = places(cells)
    models, algorithms = crossed_names(by_place)
    seeds = usual_seeds(cells)
    return laid_out(
        algorithms, [(m, [entry(by_place.get((m, name)), seeds) for name in algorithms]) for m in models], seeds
    )


def places(cells: Sequence[Cell]) -> dict[tuple[str, str], Cell]:
    """The cells of one task by model and algorithm; configurations of one pair are models of their own."""
    pairs = Counter((cell.entrant.model, cell.entrant.algorithm) for cell in cells)
    found = {}
    for cell in cells:
        model, algorithm = cell.entrant.model, cell.entrant.algorithm
        alone = pairs[model, algorithm] == 1
        found[model if alone else f"{model} ({cell.entrant.configuration or 'default'})", algorithm] = cell
    return found


def laid_out(
    heads: Sequence[str], lines: Sequence[tuple[str, Sequence[Entry]]], seeds: int, total_line: bool = False
) -> Grid:
    """A grid with a mark for every note, in the order in which a reader meets them."""
    notes = dict.fromkeys(note for _, entries in lines for each in entries for note in each.notes)
    return Grid(
        heads=tuple(heads),
        lines=tuple((name, tuple(entries)) for name, entries in lines),
        marks={note: letters(place) for place, note in enumerate(notes)},
        seeds=seeds,
        total_line=total_line,
    )


def turned(
    heads: Sequence[str], lines: Sequence[tuple[str, Sequence[Entry]]]
) -> tuple[list[str], list[tuple[str, list[Entry]]]]:
    """Lines as columns."""
    columns = zip(*(entries for _, entries in lines), strict=True)
    return [name for name, _ in lines], [(head, list(column)) for head, column in zip(heads, columns, strict=True)]


def has_totals(board: Board) -> bool:
    """Whether somebody has a mean that is over more than one task."""
    return len(board.ranked) > 1 and any(row.mean is not None for row in board.rows)


def mean_name(board: Board) -> str:
    """What the mean is over."""
    return f"mean of {len(board.ranked)}"


def mean(row: Row) -> Entry:
    """The mean over the ranked tasks, of those that have one."""
    return Entry(row.mean, "" if row.mean else "no mean")


def entry(cell: Cell | None, seeds: int) -> Entry:
    """What stands for a cell in a table whose numbers are mostly of so many seeds."""
    if cell is None:
        return Entry(None, ABSENT)
    if cell.score is None:
        return Entry(None, VERDICTS[cell.state][1])
    notes = [lost(cell), flagged(cell), count(cell.score.n, "seed") if cell.score.n != seeds else ""]
    return Entry(cell.score, notes=tuple(note for note in notes if note))


def letters(place: int) -> str:
    """a to z, then aa, ab, ..."""
    ahead, last = divmod(place, len(ascii_lowercase))
    return (letters(ahead - 1) if ahead else "") + ascii_lowercase[last]
