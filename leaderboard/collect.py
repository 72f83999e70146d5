"""From result folders to cells: what is believed, what is refused and why, and what belongs together.

Nothing here trains or guesses. A file that is not believed is listed with its reason, and the rest is still built.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from statistics import median_low

from benchmarks.cells import LARGEST, Cell, Entrant, Outcome, entrant_of, is_reported, judge
from benchmarks.records import Record, Trial, canonical, clean_text, digest
from benchmarks.store import Damaged, scan
from tasks.types import Scores, Task, TaskSpec

REFUSED_TOLD = 5
LONGEST = 1e9  # seconds; 32 years
LIFETIME = timedelta(days=3652)  # of results that are compared; ten years
NEVER = datetime.min.replace(tzinfo=UTC)
SUMMARY_ERRORS = (ArithmeticError, LookupError, TypeError, ValueError)


@dataclass(frozen=True, order=True)
class Refused:
    """A result file that counts for nothing. `file` is relative to its result folder, whose name it starts with."""

    file: str
    reason: str


def told(refused: Sequence[Refused], rest_in: Path | None = None) -> list[str]:
    """The first refusals as lines for a terminal, and how many there are more, with the file that lists them all."""
    lines = [f"refused {each.file}: {each.reason}" for each in refused[:REFUSED_TOLD]]
    more, where = len(refused) - REFUSED_TOLD, f"; {rest_in} lists them all" if rest_in else ""
    return [*lines, f"refused {more} more{where}"] if more > 0 else lines


@dataclass(frozen=True)
class Found:
    """A record, the file it was read from, and when it was run: ISO 8601 in UTC, empty where no date is believed."""

    file: str
    record: Record
    started: str = ""

    @property
    def digest(self) -> str:
        """Stands for everything that the record says."""
        return self.record.checksum

    @property
    def age(self) -> tuple[str, str]:
        """For finding the most recent; the content breaks ties, so that the order of folders does not."""
        return self.started, self.digest


@dataclass(frozen=True)
class Collection:
    """Everything that a site says. `suite` has every task by id; `input_hash` stands for all files that were read.

    `searched` are the configurations that searches tried, as cells of one seed: no results, and kept.
    """

    suite: Mapping[str, Task]
    cells: tuple[Cell, ...]
    searched: tuple[Cell, ...]
    refused: tuple[Refused, ...]
    n_records: int
    input_hash: str

    @property
    def entrants(self) -> list[Entrant]:
        """Everyone with a result, the headline protocol first, then by name."""
        return sorted({cell.entrant for cell in self.cells}, key=lambda e: (not e.protocol.is_headline, e))


Sorted = tuple[list[Found], list[Refused]]
"""What a step keeps, and what it refuses."""


def collect(roots: Sequence[Path], suite: Mapping[str, Task]) -> Collection:
    """Every record below the folders that can be believed, as cells of the tasks in `suite`.

    Raises:
        FileNotFoundError: for a folder that is not there.
    """
    found, refused = read(roots)
    input_hash = digest(sorted([f.digest for f in found] + [f"{r.file}: {r.reason}" for r in refused]))
    n_records = len(found)
    for step in (known(suite), newest_source, one_of_each, same_data):
        found, more = step(found)
        refused += more
    cells, more = group([f for f in found if is_reported(f.record)], suite)
    tried, _ = group(
        [as_result(f) for f in found if not is_reported(f.record) and f.record.trial.left_out is None], suite
    )
    return Collection(
        suite=suite,
        cells=tuple(cells),
        searched=tuple(tried),
        refused=tuple(sorted(refused + more)),
        n_records=n_records,
        input_hash=input_hash,
    )


def read(roots: Sequence[Path]) -> Sorted:
    """All records and all damaged files, in an order that does not depend on where the folders lie."""
    found: list[Found] = []
    refused: list[Refused] = []
    for name, root in named(roots).items():
        if not root.is_dir():
            raise FileNotFoundError(f"no result folder {root}; `python -m benchmarks.run --task shift` writes one")
        for item in scan(root):
            if isinstance(item, Damaged):
                place = f"{name}/{item.path.relative_to(root).as_posix()}"
                refused.append(Refused(clean_text(place), clean_text(item.reason.replace(str(root), name))))
            else:
                found.append(Found(f"{name}/{item.trial.folder}/{item.key}.json", item))
    return sorted(dated(found), key=lambda f: (f.file, f.age)), refused


def dated(found: Sequence[Found]) -> list[Found]:
    """With the dates that can be believed: those that are dates, and not ten years after the middle one of all.

    The most recent result decides what the others must agree with, and one from the year 9999 would decide for ever. A
    result whose date is not believed is the oldest. The clock of this machine is not asked: a build is the same on
    every day.
    """
    dates = [date_of(f.record) for f in found]
    middle = median_low([date for date in dates if date is not None] or [NEVER])
    return [
        f if date is None or date - middle > LIFETIME else replace(f, started=date.isoformat(timespec="microseconds"))
        for f, date in zip(found, dates, strict=True)
    ]


def date_of(record: Record) -> datetime | None:
    """When a record says that it was run, in UTC where it names no zone; None where it does not say."""
    try:
        date = datetime.fromisoformat(str(record.provenance.get("started", "")))
        return date.replace(tzinfo=date.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def named(roots: Sequence[Path]) -> dict[str, Path]:
    """Result folders by their last name, numbered where two share one; the same folder twice counts once."""
    by_name: dict[str, Path] = {}
    for root in dict.fromkeys(root.resolve() for root in roots):
        name = last = clean_text(root.name)
        while name in by_name:
            name = f"{last}-{len(by_name) + 1}"
        by_name[name] = root
    return by_name


def known(suite: Mapping[str, Task]) -> Callable[[list[Found]], Sorted]:
    """A step that refuses records of tasks, conditions, splits and anchors that the suite does not have."""

    def step(found: list[Found]) -> Sorted:
        return divide(found, lambda f: unknown(f.record, suite))

    return step


def unknown(record: Record, suite: Mapping[str, Task]) -> str:
    """What a record speaks of that the suite does not know, or an empty string."""
    task = suite.get(record.trial.task)
    if task is None:
        return f"unknown task {record.trial.task}"
    try:
        task.dosed(record.trial.dose)
    except ValueError as error:
        return str(error)
    if record.trial.condition not in {condition.name for condition in task.spec.conditions}:
        return f"unknown condition {record.trial.condition} of {task.spec.id}"
    if not 0 <= record.seconds <= LONGEST:
        return f"{record.seconds:g} seconds is no duration"
    if record.status != "ok":
        return ""
    spec = task.spec
    return (
        unknown_split(record, spec) or missing_metric(record, spec) or too_large(record) or other_anchor(record, spec)
    )


def unknown_split(record: Record, spec: TaskSpec) -> str:
    """Where a record has numbers for a split that the task does not have."""
    known_splits = {split.name for split in spec.splits}
    parts: list[tuple[str, Scores]] = [("scores", record.scores), ("last", record.last), ("anchors", record.anchors)]
    parts += [("curve", point["scores"]) for point in record.curve]
    for where, scores in parts:
        if strange := sorted(set(scores) - known_splits):
            return f"{where}: unknown split {strange[0]} of {spec.id}"
    return ""


def missing_metric(record: Record, spec: TaskSpec) -> str:
    """Where a record lacks the headline metric on a split that is summarized."""
    for where, scores in (("scores", record.scores), ("last", record.last)):
        for split in spec.with_role("iid", "ood"):
            measured = scores.get(split.name, {})
            if spec.metric not in measured:
                there = ", ".join(sorted(measured)) or "nothing"
                return f"{where}: no {spec.metric} on split {split.name}; it has {there}"
    return ""


def too_large(record: Record) -> str:
    """Whether a number is so large that an average of such would not be one."""
    parts = [record.scores, record.last, record.anchors, *(point["scores"] for point in record.curve)]
    values = (value for scores in parts for metrics in scores.values() for value in metrics.values())
    return f"a value beyond {LARGEST:g}" if any(abs(value) > LARGEST for value in values) else ""


def other_anchor(record: Record, spec: TaskSpec) -> str:
    """Where a record brings another value for an anchor that the card knows for every draw; a dose may move it."""
    if record.trial.dose:
        return ""
    for split, constants in spec.constants.items():
        for name, value in constants.items():
            brought = record.anchors.get(split, {}).get(name, value)
            if not math.isclose(brought, value, rel_tol=1e-3, abs_tol=1e-4):
                return f"anchors: {name} on {split} is {brought:g}, and the card of {spec.id} says {value:g}"
    return ""


def newest_source(found: list[Found]) -> Sorted:
    """Of every model and algorithm only the source that was run last: another source is another, with the same name."""
    newest: dict[tuple[str, str], tuple[tuple[str, str], str]] = {}
    for f in found:
        for what, source in sources(f.record.trial).items():
            newest[what] = max(newest.get(what, (("", ""), "")), (f.age, source))

    def refuse(f: Found) -> str:
        for (kind, name), source in sources(f.record.trial).items():
            if source != (current := newest[kind, name][1]):
                return f"older source {source[:8]} of this {kind}; {current[:8]} was run later"
        return ""

    return divide(found, refuse)


def sources(trial: Trial) -> dict[tuple[str, str], str]:
    """The hashes of the sources that a trial ran, by kind and name."""
    return {("model", trial.model): trial.source_hash, ("algorithm", trial.algorithm): trial.algorithm_hash}


def one_of_each(found: list[Found]) -> Sorted:
    """Of several records of one trial the most recent; one that disagrees with it is refused, an equal one dropped."""
    newest: dict[str, Found] = {}
    for f in found:
        best = newest.get(f.record.key)
        newest[f.record.key] = f if best is None else max(f, best, key=lambda x: x.age)
    refused = [
        Refused(f.file, "another record of this trial disagrees with it and is more recent")
        for f in found
        if not same_outcome(f.record, newest[f.record.key].record)
    ]
    return sorted(newest.values(), key=lambda f: f.file), refused


def same_outcome(one: Record, other: Record) -> bool:
    """Whether two records of one trial say the same, up to what threads and processors change."""
    return one.status == other.status and close_scores(one.scores, other.scores)


def close_scores(one: Scores, other: Scores) -> bool:
    """Whether two sets of scores have the same names and nearly the same values."""
    flat, also = ({(s, m): v for s, metrics in x.items() for m, v in metrics.items()} for x in (one, other))
    return flat.keys() == also.keys() and all(
        math.isclose(v, also[k], rel_tol=1e-2, abs_tol=1e-2) for k, v in flat.items()
    )


def same_data(found: list[Found]) -> Sorted:
    """Records of one task, condition, seed and draw must have seen the same data; the most recent says which."""
    newest: dict[str, Found] = {}
    with_data = [f for f in found if f.record.data]
    for f in with_data:
        best = newest.get(world(f.record))
        newest[world(f.record)] = f if best is None else max(f, best, key=lambda x: x.age)

    def refuse(f: Found) -> str:
        if not f.record.data or close_data(f.record.data, newest[world(f.record)].record.data):
            return ""
        since = newest[world(f.record)].started[:10] or "an unknown date"
        return f"stale: its data differ from those that the task generates since {since}; run it again"

    return divide(found, refuse)


def world(record: Record) -> str:
    """What decides the data of a trial."""
    trial = record.trial
    return canonical([trial.task, trial.condition, trial.seed, trial.draw, dict(trial.dose), trial.left_out])


def close_data(one: Mapping[str, Sequence[float]], other: Mapping[str, Sequence[float]]) -> bool:
    """Whether two fingerprints are of the same data; the last digits differ between processors."""
    return one.keys() == other.keys() and all(
        len(values) == len(other[split])
        and all(math.isclose(a, b, rel_tol=1e-3, abs_tol=1e-4) for a, b in zip(values, other[split], strict=True))
        for split, values in one.items()
    )


def divide(found: Iterable[Found], refuse: Callable[[Found], str]) -> Sorted:
    """The records without a reason against them, and the others with it."""
    kept: list[Found] = []
    refused: list[Refused] = []
    for f in found:
        if reason := refuse(f):
            refused.append(Refused(f.file, reason))
        else:
            kept.append(f)
    return kept, refused


def as_result(tried: Found) -> Found:
    """A trial of a search, read as a result of its own configuration."""
    return replace(tried, record=replace(tried.record, trial=replace(tried.record.trial, tuned="")))


def group(found: Iterable[Found], suite: Mapping[str, Task]) -> tuple[list[Cell], list[Refused]]:
    """Records to cells, seeds in order. A seed that its task cannot summarize is refused with the task's reason."""

    def place(f: Found) -> tuple[str, Entrant, int]:
        return f.record.trial.task, entrant_of(f.record), f.record.trial.seed

    outcomes: dict[tuple[str, Entrant], list[Outcome]] = {}
    refused: list[Refused] = []
    for (task_id, entrant, seed), members in groupby(sorted(found, key=place), key=place):
        listed, task = list(members), suite[task_id].dosed(json.loads(entrant.protocol.dose))
        try:
            outcome = judge(task, seed, {f.record.trial.condition: f.record for f in listed})
        except SUMMARY_ERRORS as error:
            what = f"lacks {error}" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"
            reason = f"{task_id} cannot summarize seed {seed}: {what}"
            refused += [Refused(f.file, reason) for f in listed]
            continue
        outcomes.setdefault((task_id, entrant), []).append(outcome)
    cells = [
        Cell(suite[task_id].dosed(json.loads(entrant.protocol.dose)), entrant, tuple(o))
        for (task_id, entrant), o in outcomes.items()
    ]
    return cells, refused
