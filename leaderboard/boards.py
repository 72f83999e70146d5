"""Boards: entrants by tasks of one family and input kind under one protocol, with a mean where all are scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from benchmarks.cells import HEADLINE, Cell, Entrant, Protocol
from benchmarks.ranking import Tier, tier
from benchmarks.records import TARGET_INPUTS
from benchmarks.statistics import Estimate, mean_of_means
from leaderboard.collect import Collection
from leaderboard.standing import FEWEST_SEEDS, Standing, no_ranks, standings
from tasks.registry import Entry, newest
from tasks.types import Task

INPUT_KINDS = ("vector", "signal", "image", "tokens")


@dataclass(frozen=True)
class Row:
    """One entrant on a board. `mean` is over the ranked tasks, None where `missing` names one that has no score.

    `standing` is where that mean stands among others, None where it cannot be said. What was given the inputs of the
    test (`target-inputs`) is shown and has neither.
    """

    entrant: Entrant
    cells: Mapping[str, Cell]
    mean: Estimate | None
    missing: tuple[str, ...]
    standing: Standing | None = None

    @property
    def tier(self) -> Tier | None:
        """Which side of the middle its mean lies on."""
        return tier(self.mean) if self.mean else None

    @property
    def flags(self) -> list[str]:
        """What a reader must know of any of its cells."""
        return sorted({flag for cell in self.cells.values() for flag in cell.flags})


@dataclass(frozen=True)
class Board:
    """Tasks with results as columns, `ranked` those that the mean is over; rows best first, then those without a mean.

    `unranked` says of every other task in words why the mean leaves it out, `no_ranks` why no mean has a rank; it is
    empty where some have. `without` are entrants that were skipped on every task here. On the training track `fixed` is
    the model that the tasks fix, and the entrants differ in how it is trained.
    """

    family: str
    kind: str
    fixed: str
    protocol: Protocol
    tasks: tuple[Task, ...]
    ranked: frozenset[str]
    unranked: Mapping[str, str]
    rows: tuple[Row, ...]
    no_ranks: str
    without: tuple[Entrant, ...]

    @property
    def name(self) -> str:
        """For ids and files."""
        return "-".join(filter(None, (self.family, self.kind, self.fixed)))

    @cached_property
    def cells(self) -> list[Cell]:
        return [cell for row in self.rows for cell in row.cells.values()]

    def no_rank(self, row: Row) -> str:
        """In words why an entry has no rank, where it has none."""
        if row.standing is not None:
            return ""
        return "no mean" if row.mean is None else self.no_ranks or f"fewer than {FEWEST_SEEDS} seeds"


def boards(collection: Collection) -> list[Board]:
    """Every board that has a cell: the headline protocol's first, families by name, input kinds in their order.

    A dose is on no board, and neither are tasks that only describe: see `leaderboard.doses`, `leaderboard.profiles`.
    """
    found: dict[tuple[Protocol, str, str, str], list[Cell]] = {}
    for cell in collection.cells:
        protocol = cell.entrant.protocol
        if cell.task.spec.scored and protocol.dose == HEADLINE.dose:
            place = (protocol, cell.task.spec.family, cell.task.spec.entry.model, input_kind(cell.task))
            found.setdefault(place, []).append(cell)

    def order(key: tuple[Protocol, str, str, str]) -> tuple[bool, Protocol, str, str, int]:
        protocol, family, fixed, kind = key
        return not protocol.is_headline, protocol, family, fixed, INPUT_KINDS.index(kind)

    return [board(found[key], *key) for key in sorted(found, key=order)]


def board(cells: Sequence[Cell], protocol: Protocol, family: str, fixed: str, kind: str) -> Board:
    """The board of these cells."""
    tasks = {c.task.spec.id: c.task for c in cells}
    by_entrant: dict[Entrant, dict[str, Cell]] = {}
    for cell in cells:
        by_entrant.setdefault(cell.entrant, {})[cell.task.spec.id] = cell
    took_part = {e: own for e, own in by_entrant.items() if any(c.state != "skipped" for c in own.values())}
    known = [cell for own in took_part.values() for cell in own.values()]
    unranked = dict.fromkeys(tasks, "saw the test") if protocol.sees_test else unranked_tasks(tasks, known)
    ranked = frozenset(set(tasks) - set(unranked))
    rows = sorted((row(entrant, own, ranked) for entrant, own in took_part.items()), key=place)
    return Board(
        family=family,
        kind=kind,
        fixed=fixed,
        protocol=protocol,
        tasks=tuple(tasks[name] for name in sorted(tasks)),
        ranked=ranked,
        unranked=unranked,
        rows=tuple(standing(rows, ranked)),
        no_ranks=no_ranks([row.cells for row in rows if row.mean is not None], sorted(ranked)),
        without=tuple(sorted(set(by_entrant) - set(took_part))),
    )


def input_kind(task: Task) -> str:
    """The input kind that a task's card names."""
    return task.spec.entry.input


def unranked_tasks(tasks: Mapping[str, Task], cells: Sequence[Cell]) -> dict[str, str]:
    """The tasks that a mean leaves out, with the reason in a few words; cells: those of whoever took part.

    One of them is that it was run with fewer than half of the models, skipped or not: what only some were run on must
    not take the mean of all others. Models are counted, not entries, so that no algorithm or configuration changes it.
    """
    scored = {cell.task.spec.id for cell in cells if cell.score is not None}
    models = {cell.entrant.model for cell in cells}
    run_with = {name: {cell.entrant.model for cell in cells if cell.task.spec.id == name} for name in tasks}

    def reason(entry: Entry) -> str:
        if "control" in entry.tags:
            return "control"
        if entry.optional:
            return "optional"
        if entry.id not in scored:
            return "no score"
        n = len(run_with[entry.id])
        return f"run with {n} of {len(models)} models" if 2 * n < len(models) else ""

    found = {name: reason(task.spec.entry) for name, task in tasks.items()}
    current = {entry.id for entry in newest(tasks[name].spec.entry for name, why in found.items() if not why)}
    return {name: why or "older version" for name, why in found.items() if name not in current}


def row(entrant: Entrant, cells: Mapping[str, Cell], ranked: frozenset[str]) -> Row:
    """An entrant's cells, and their mean if it has a score on every ranked task."""
    missing = tuple(name for name in sorted(ranked) if name not in cells or cells[name].score is None)
    given_test = any(TARGET_INPUTS in cell.flags for cell in cells.values())
    complete = bool(ranked) and not missing and not given_test
    return Row(entrant, cells, mean_of_means(counted(cells, ranked)) if complete else None, missing)


def standing(rows: Sequence[Row], ranked: frozenset[str]) -> list[Row]:
    """The rows, best first, those with a mean with where they stand among each other."""
    complete = [row for row in rows if row.mean is not None]
    found = standings([row.cells for row in complete], sorted(ranked))
    placed = [replace(row, standing=where) for row, where in zip(complete, found, strict=True)]
    return [*placed, *rows[len(complete) :]]


def counted(cells: Mapping[str, Cell], ranked: frozenset[str]) -> list[list[float]]:
    """Per ranked task the scores that its seeds count."""
    return [[v for o in cells[name].outcomes if (v := o.counted) is not None] for name in sorted(ranked)]


def place(row: Row) -> tuple[bool, float, Entrant]:
    """Order on a board: with a mean before without, the best first, then by name."""
    return row.mean is None, -(row.mean.mean if row.mean else 0.0), row.entrant


def ranking(cells: Sequence[Cell]) -> list[Cell]:
    """The cells of one task, best mean first; those without a score last, by name."""
    return sorted(cells, key=lambda c: (c.score is None, -(c.score.mean if c.score else 0.0), c.entrant))


def usual_seeds(cells: Sequence[Cell]) -> int:
    """How many seeds most scores are of, of equals the largest number; 0 without a score."""
    counts = Counter(cell.score.n for cell in cells if cell.score is not None)
    return max(counts, key=lambda n: (counts[n], n), default=0)
