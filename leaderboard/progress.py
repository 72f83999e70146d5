"""How runs get on: what `progress/<run>.json` in a results folder says, believed after checks.

A run replaces its file every two seconds. One that has not ended and has been silent for a minute was killed, or its
machine is out of reach: nobody can tell the two apart, so a reader is told since when nothing was heard.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeVar

from benchmarks.records import (
    SEGMENT,
    STATUSES,
    TASK_ID,
    InvalidRecord,
    Status,
    check_texts,
    clean_text,
    integer,
    number,
    plain_json,
    take,
)

SCHEMA = 1
FOLDER = "progress"
NAME = re.compile(r"([0-9]{8}t[0-9]{6}-[0-9a-f]{8})\.json")
MAX_BYTES, MAX_DEPTH, MAX_FILES, MAX_ITEMS, MAX_TEXT = 1_000_000, 6, 64, 5_000, 400
LATEST = 4e9  # seconds since 1970; the year 2096
LARGEST = 1e12
SILENT_SECONDS = 60.0
ROLES = ("val", "iid", "ood")
TALLY = ("planned", "ok", "failed", "skipped")

State = Literal["running", "silent", "finished", "interrupted", "stopped"]
TOLD: tuple[State, ...] = ("running", "finished", "interrupted", "stopped")
Item = TypeVar("Item")
Word = TypeVar("Word", bound=str)


@dataclass(frozen=True)
class Tally:
    """How many trials of a task or of an entry are planned, and came to what."""

    planned: int
    ok: int
    failed: int
    skipped: int

    @property
    def waiting(self) -> int:
        """Those that have no outcome: they run or wait."""
        return max(0, self.planned - self.ok - self.failed - self.skipped)


@dataclass(frozen=True)
class Who:
    """One trial. `note` says what else sets it apart: a dose, a search."""

    task: str
    condition: str
    model: str
    algorithm: str
    seed: int
    note: str


@dataclass(frozen=True)
class Point:
    """A measurement after `step` steps: the loss of training, and of each role the mean of the headline metric."""

    step: int
    loss: float | None
    val: float | None
    iid: float | None
    ood: float | None

    @property
    def inside(self) -> float | None:
        """In distribution: the test, or validation where a task has no such test."""
        return self.val if self.iid is None else self.iid


@dataclass(frozen=True)
class Running:
    """A trial that trains: when it began, how many steps it has and how many seconds it may take."""

    who: Who
    began: float
    steps: int
    seconds: float
    metric: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Failure:
    """A trial that failed during this run."""

    who: Who
    status: Status
    reason: str
    at: float


@dataclass(frozen=True)
class Run:
    """What a run said of itself when it was last heard of. Times are seconds since 1970."""

    run: str
    began: float
    written: float
    outcome: State
    purpose: str
    slots: int
    expected_end: float | None
    tasks: Mapping[str, Tally]
    entries: Mapping[tuple[str, str], Tally]
    running: tuple[Running, ...]
    failures: tuple[Failure, ...]

    def state(self, now: float) -> State:
        """What is known of it now."""
        if self.outcome != "running":
            return self.outcome
        return "silent" if now - self.written > SILENT_SECONDS else "running"

    @property
    def total(self) -> Tally:
        """All its trials."""
        found = self.tasks.values()
        return Tally(*(sum(getattr(tally, name) for tally in found) for name in TALLY))


# --- which runs a page shows ------------------------------------------------------------------------------------------


def runs_of(roots: Sequence[Path], now: float, since: float) -> tuple[list[Run], list[str]]:
    """The runs in these results folders that a page shows, the latest first, and what is wrong with other files.

    Shown are runs that go on, those that fell silent before another was begun, and those that ended after `since`.
    """
    found: list[Run] = []
    refused: list[str] = []
    for root in roots:
        for path in newest_files(root / FOLDER):
            try:
                found.append(read(path))
            except FileNotFoundError:
                continue
            except (InvalidRecord, OSError) as error:
                refused.append(clean_text(f"{FOLDER}/{path.name}: {error}", MAX_TEXT))
    found.sort(key=lambda run: (run.began, run.run), reverse=True)
    return [run for run in found if is_shown(run, found, now, since)], refused


def newest_files(folder: Path) -> list[Path]:
    """The last files of a folder that are named as runs name them; their names begin with the time."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if NAME.fullmatch(path.name)), key=lambda p: p.name)[-MAX_FILES:]


def is_shown(run: Run, every: Sequence[Run], now: float, since: float) -> bool:
    """Whether a reader still wants to hear of a run."""
    match run.state(now):
        case "running":
            return True
        case "silent":
            return not any(other.began > run.written for other in every if other.run != run.run)
        case _:
            return run.written >= since


# --- reading what others wrote ----------------------------------------------------------------------------------------


def read(path: Path) -> Run:
    """The run that a file tells of.

    Raises:
        FileNotFoundError: when there is none any more.
        InvalidRecord: when it cannot be believed.
    """
    # neither a link nor a pipe that nobody writes to may lead or hold the reader
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InvalidRecord("not a file")
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise InvalidRecord(f"more than {MAX_BYTES:,} bytes")
    run = parse(raw)
    if path.name != f"{run.run}.json":
        raise InvalidRecord("its name is not that of its run")
    return run


def parse(raw: bytes) -> Run:
    """A run from the text of its file.

    Raises:
        InvalidRecord: saying what is wrong.
    """
    body = plain_json(raw, MAX_DEPTH)
    if take(body, "the file", dict).get("schema") != SCHEMA:
        raise InvalidRecord(f"schema {str(body.get('schema'))[:20]!r}; this version reads {SCHEMA}")
    check_texts(body)
    name = text(body, "run")
    if not NAME.fullmatch(f"{name}.json"):
        raise InvalidRecord(f"run {name[:40]!r} is no name of a run")
    end = body.get("expected_end")
    return Run(
        run=name,
        began=moment(body, "began"),
        written=moment(body, "written"),
        outcome=one_of(text(body, "outcome"), TOLD),
        purpose=text(body, "purpose"),
        slots=integer(body.get("slots"), "slots"),
        expected_end=None if end is None else moment(body, "expected_end"),
        tasks=dict(listed(body, "tasks", lambda item: (task_of(item), tally_of(item)))),
        entries=dict(listed(body, "entries", lambda item: (entry_of(item), tally_of(item)))),
        running=listed(body, "running", running_of),
        failures=listed(body, "failures", failure_of),
    )


def running_of(item: Mapping[str, Any]) -> Running:
    """A trial that trains."""
    seconds = positive(number(item.get("seconds"), "seconds"), "seconds")
    points = listed(item, "points", point_of)
    if any(point.step >= after.step for point, after in pairwise(points)):
        raise InvalidRecord("steps of the points do not rise")
    steps = integer(item.get("steps"), "steps")
    return Running(who_of(item), moment(item, "began"), steps, seconds, text(item, "metric"), points)


def failure_of(item: Mapping[str, Any]) -> Failure:
    """A trial that failed."""
    return Failure(who_of(item), one_of(text(item, "status"), STATUSES), text(item, "reason"), moment(item, "at"))


def who_of(item: Mapping[str, Any]) -> Who:
    """A trial."""
    model, algorithm = entry_of(item)
    seed = integer(item.get("seed"), "seed")
    return Who(task_of(item), segment(item, "condition"), model, algorithm, seed, text(item, "note"))


def task_of(item: Mapping[str, Any]) -> str:
    """The id of a task."""
    if not TASK_ID.fullmatch(found := text(item, "task")):
        raise InvalidRecord(f"task {found[:40]!r} is not 'family/name'")
    return found


def entry_of(item: Mapping[str, Any]) -> tuple[str, str]:
    """Model and algorithm."""
    return segment(item, "model"), segment(item, "algorithm")


def tally_of(item: Mapping[str, Any]) -> Tally:
    """Numbers of trials."""
    return Tally(*(integer(item.get(name), name) for name in TALLY))


def point_of(item: Mapping[str, Any]) -> Point:
    """A measurement."""
    values = [optional(item, name) for name in ("loss", *ROLES)]
    return Point(integer(item.get("step"), "step"), *values)


def listed(body: Mapping[str, Any], name: str, of: Callable[[Mapping[str, Any]], Item]) -> tuple[Item, ...]:
    """A list of objects, each read by `of`."""
    items = take(body.get(name), name, list)
    if len(items) > MAX_ITEMS:
        raise InvalidRecord(f"{len(items):,} {name}; at most {MAX_ITEMS:,} are read")
    return tuple(of(take(item, name, dict)) for item in items)


def text(body: Mapping[str, Any], name: str) -> str:
    """A short text."""
    found: str = take(body.get(name), name, str)
    if len(found) > MAX_TEXT:
        raise InvalidRecord(f"{name} has {len(found):,} characters; at most {MAX_TEXT:,}")
    return found


def segment(body: Mapping[str, Any], name: str) -> str:
    """A name of a condition, model or algorithm."""
    if not SEGMENT.fullmatch(found := text(body, name)):
        raise InvalidRecord(f"{name} {found[:40]!r} has characters that no name has")
    return found


def one_of(found: str, known: Sequence[Word]) -> Word:
    """A text from a list."""
    for word in known:
        if word == found:
            return word
    raise InvalidRecord(f"{found[:40]!r} is none of {', '.join(known)}")


def moment(body: Mapping[str, Any], name: str) -> float:
    """Seconds since 1970."""
    return positive(number(body.get(name), name), name)


def positive(value: float, name: str) -> float:
    """A time or a duration that a calendar knows."""
    if not 0 <= value <= LATEST:
        raise InvalidRecord(f"{name} is {value:g}, out of [0, {LATEST:g}]")
    return float(value)


def optional(body: Mapping[str, Any], name: str) -> float | None:
    """A number, or None."""
    value = body.get(name)
    if value is not None and abs(number(value, name)) > LARGEST:
        raise InvalidRecord(f"{name} is beyond {LARGEST:g}")
    return None if value is None else float(value)
