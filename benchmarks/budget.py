"""`--time 30m`: which trials come first when there is not time for all.

What a board concludes is in its intervals of ranks. They are over entries that have three seeds on every ranked task,
and over the seeds that all of these have: without one task an entry has no rank, and a seed that one entry lacks
narrows nothing. So trials are chosen by what they complete.

1. **Whom the time is enough for.** On each board an entry is charged with what it lacks of three seeds on every ranked
   task, and the cheapest are taken until the time is spent; then, one by one, tasks that are not ranked. What is taken
   gets seed 0 everywhere, then seed 1, then seed 2: of seed 0 the cheapest entries first, of the others the cheapest
   boards, since ranks need everyone.
2. **What narrows most.** Then a task of a board gets its next seed for all of its entries at once. With n seeds the
   variance of an entry's mean over T tasks falls by s² / (T² n (n + 1)), where s² is the variance over seeds of its
   distance from the mean of all entries: what moves all of them moves no rank. The task where this, summed over the
   entries, is most for a second of computing comes next.
3. **The rest**, the cheapest cells first, all seeds of a cell together.

The conditions of a task for one seed belong together, for only all of them make a score. Nothing is begun that could
not end in time if it took half as long again as expected.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from benchmarks.costs import grouped
from benchmarks.records import ORACLE, SEARCH, TARGET_INPUTS, Record, Trial, canonical
from tasks.registry import load

if TYPE_CHECKING:
    from benchmarks.jobs import Job

SEEDS = 3  # with fewer on a task an entry has no rank
SPARE = 1.5  # a trial may take so many times what is expected
PRIOR = 2.0  # the variance of a task is averaged with so many seeds' worth of its board's
DURATION = re.compile(r"(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?")
Name = TypeVar("Name")
Scores = dict[str, dict[int, float | None]]
"""Of one task by entry and seed; None where the trials are at work."""


def duration_seconds(text: str) -> int:
    """The seconds of a duration such as `90s`, `30m`, `2h` or `1h30m`.

    Raises:
        ValueError: for anything else, saying what is accepted.
    """
    found = DURATION.fullmatch(text.strip())
    hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    if not (total := 3600 * hours + 60 * minutes + seconds):
        raise ValueError(f"{text[:40]!r} is no duration above 0; write 90s, 30m, 2h or 1h30m")
    return total


class Unit(NamedTuple):
    """All conditions of a task for one entry and one seed. `board` is empty where no rank depends on it."""

    board: str
    task: str
    entry: str
    seed: int

    @classmethod
    def of(cls, trial: Trial) -> Unit:
        """What a trial is a part of."""
        is_chosen = trial.tuned not in ("", SEARCH)  # by a search, for each task another configuration
        configuration = () if is_chosen else (trial.hparams, trial.settings, trial.recipe, trial.left_out)
        protocol = canonical([trial.tuned, trial.budget_scale, trial.dose])
        entry = f"{trial.model} {trial.algorithm} {canonical(configuration)} {protocol}"
        return cls(board_of(trial, protocol), trial.task, entry, trial.seed)


class Schedule:
    """Gives one job after the other, and is told of results, so that it can plan on what is known by then.

    `records` are those that stand already, `seconds` says what a job will take on one core, `slots` how many jobs run
    at a time.
    """

    def __init__(
        self, jobs: Iterable[Job], records: Iterable[Record], seconds: Callable[[Job], float], slots: int
    ) -> None:
        self.seconds, self.slots = seconds, slots
        self.missing = grouped((Unit.of(job.trial), job) for job in jobs)
        self.tasks = {unit.task for unit in self.missing}
        self.records: dict[Unit, dict[str, Record]] = {}
        self.scores: dict[tuple[str, str], Scores] = {}
        self.planned: deque[Unit] = deque()
        self.begun: list[Job] = []
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """One more result; those of tasks that have no job do not matter."""
        if record.trial.task not in self.tasks:
            return
        unit = Unit.of(record.trial)
        found = self.records.setdefault(unit, {})
        found[record.trial.condition] = record
        if unit.board and len(found) == len(load(unit.task).spec.conditions):
            seeds = self.seeds_of(unit)
            seeds.pop(unit.seed, None)
            if (score := score_of(unit, found)) is not None:
                seeds[unit.seed] = score
            if unit not in self.missing:  # which nobody runs again
                del self.records[unit]

    def next(self, left: float) -> Job | None:
        """The job to begin now, `left` seconds before the end; None where none would end in time."""
        while not self.begun:
            unit = self.next_unit(left)
            if unit is None:
                return None
            self.begun = sorted(self.missing.pop(unit), key=self.seconds)
            if unit.board:
                self.seeds_of(unit)[unit.seed] = None
        job = self.begun.pop()  # the longest
        return job if self.fits([job], left) else self.next(left)

    def next_unit(self, left: float) -> Unit | None:
        """The next one that fits: of those planned, or of a new plan."""
        while self.planned:
            unit = self.planned.popleft()
            if self.fits(self.missing[unit], left):
                return unit
        self.missing = {unit: jobs for unit, jobs in self.missing.items() if self.fits(jobs, left)}
        if not self.missing:
            return None
        cost = {unit: sum(map(self.seconds, jobs)) for unit, jobs in self.missing.items()}
        there_is = left * self.slots
        self.planned.extend(first_seeds(cost, there_is) or self.column(cost, there_is) or cheapest_cell(cost))
        return self.planned.popleft()

    def fits(self, jobs: Collection[Job], left: float) -> bool:
        """Whether jobs that begin now will end in time."""
        seconds = [min(job.seconds, SPARE * self.seconds(job)) for job in jobs]
        return max(max(seconds), sum(seconds) / self.slots) <= left

    def seeds_of(self, unit: Unit) -> dict[int, float | None]:
        """The scores of a unit's cell by seed."""
        return self.scores.setdefault((unit.board, unit.task), {}).setdefault(unit.entry, {})

    def column(self, cost: Mapping[Unit, float], there_is: float) -> list[Unit]:
        """The next seed of a task for all ranked entries, of the task where that narrows most for its cost."""
        boards = {unit.board: self.board(unit.board) for unit in cost if unit.board}
        entries = {name: ranked_entries(board.values()) for name, board in boards.items()}
        ranked = [unit for unit in cost if unit.board and unit.task in boards[unit.board]]
        columns = {
            place: [unit for unit in units if unit.seed == min(u.seed for u in units)]
            for place, units in grouped(
                (unit[:2], unit) for unit in ranked if unit.entry in entries[unit.board]
            ).items()
        }
        gains = {name: narrowing(boards[name], entries[name]) for name in {board for board, _ in columns}}
        worth = {
            (board, task): gains[board][task] / seconds
            for (board, task), units in columns.items()
            if (seconds := sum(cost[unit] for unit in units)) <= there_is
        }
        if not worth:
            return []
        return sorted(columns[max(worth, key=lambda place: (worth[place], place))], key=lambda unit: -cost[unit])

    def board(self, name: str) -> dict[str, Scores]:
        """The scores of a board, of its tasks that anyone has a score on."""
        return {task: scores for (board, task), scores in self.scores.items() if board == name and any(scores.values())}


def board_of(trial: Trial, protocol: str) -> str:
    """Among which entries a trial's task is ranked; empty where it is not."""
    entry = load(trial.task).spec.entry
    is_ranked = load(trial.task).spec.scored and "control" not in entry.tags and not entry.optional
    if not is_ranked or trial.dose or trial.tuned == SEARCH or trial.tuned.startswith(f"{ORACLE}/"):
        return ""
    return f"{trial.task.split('/')[0]} {entry.input} {protocol}"


def score_of(unit: Unit, records: Mapping[str, Record]) -> float | None:
    """What a seed counts; None where it does not, or where the entry was given test inputs and is not ranked."""
    from benchmarks.cells import judge  # imports torch, which the parser of a command does without

    if any(TARGET_INPUTS in record.flags for record in records.values()):
        return None
    with suppress(ArithmeticError, LookupError, TypeError, ValueError):  # records that a task cannot sum up
        return judge(load(unit.task), unit.seed, records).counted
    return None


def first_seeds(cost: Mapping[Unit, float], there_is: float) -> list[Unit]:
    """The first of the seeds that a rank takes, of whom the time is enough for."""
    early = {unit: seconds for unit, seconds in cost.items() if unit.seed < SEEDS}
    charged = totals(early, claim)
    paid = set()
    for one in sorted(charged, key=lambda one: (one[0], charged[one], one)):
        if charged[one] <= there_is:
            there_is -= charged[one]
            paid.add(one)
    taken = [unit for unit in early if claim(unit) in paid]
    seed = min((unit.seed for unit in taken), default=0)
    now = {unit: cost[unit] for unit in taken if unit.seed == seed}
    goal = claim if seed == 0 else lambda unit: claim(unit)[:2]
    total = totals(now, goal)
    return sorted(now, key=lambda unit: (not unit.board, total[goal(unit)], goal(unit), -cost[unit], unit))


def claim(unit: Unit) -> tuple[bool, str, str]:
    """What a unit is charged to: an entry on a board, or on a task that is not ranked."""
    return not unit.board, unit.board or unit.task, unit.entry


def ranked_entries(tasks: Collection[Scores]) -> set[str]:
    """The entries that have seeds enough on every task, or are about to."""
    able = [{entry for entry, seeds in scores.items() if len(seeds) >= SEEDS} for scores in tasks]
    return set.intersection(*able) if able else set()


def narrowing(board: Mapping[str, Scores], entries: Collection[str]) -> dict[str, float]:
    """By how much one more seed of each task lowers the variance of means, summed over entries."""
    measured = {task: spread([scores[entry] for entry in entries]) for task, scores in board.items()}
    degrees = sum(d for _, d in measured.values())
    usual = sum(squares for squares, _ in measured.values()) / degrees if degrees else 1.0
    found = {}
    for task, (squares, d) in measured.items():
        n = min(len(board[task][entry]) for entry in entries)
        found[task] = (squares + PRIOR * usual) / (d + PRIOR) / (len(board) ** 2 * n * (n + 1))
    return found


def spread(by_entry: Iterable[Mapping[int, float | None]]) -> tuple[float, int]:
    """The squares of what the scores of each entry are from its mean, those of a seed taken from the mean of all
    entries; and the degrees of freedom of one entry."""
    known = [{seed: score for seed, score in seeds.items() if score is not None} for seeds in by_entry]
    columns = [[seeds[seed] for seeds in known] for seed in sorted(set[int].intersection(*map(set, known)))]  # (R, E)
    centred = [[score - fmean(column) * (len(column) > 1) for score in column] for column in columns]
    rows = list(zip(*centred, strict=True))
    return sum((score - fmean(row)) ** 2 for row in rows for score in row), max(0, len(columns) - 1)


def cheapest_cell(cost: Mapping[Unit, float]) -> list[Unit]:
    """All seeds of the cheapest cell."""
    total = totals(cost, lambda unit: unit[:3])
    cell = min(total, key=lambda cell: (total[cell], cell))
    return sorted(unit for unit in cost if unit[:3] == cell)


def totals(cost: Mapping[Unit, float], name: Callable[[Unit], Name]) -> dict[Name, float]:
    """The cost of all units of each name."""
    return {each: sum(costs) for each, costs in grouped((name(unit), c) for unit, c in cost.items()).items()}
