"""What a trial will take, in seconds of one core, before it is run.

    python -m benchmarks.costs leaderboard/public --out benchmarks/costs.json

Asked first are the records of the results folder: those of the same task, condition, model and algorithm. Then the
table that ships, `costs.json`: medians of the public results, times the speed of this machine, which is the median
ratio of the folder's seconds to the table's. What is in neither is put together from logarithms: the median baseline
under that condition, and what the model and the algorithm take beyond others elsewhere. A model that nobody has run is
the median baseline until its first records say more, one of the suite's large ones is its small one, and a task that
nobody has run costs what its card says.

The public results were measured on two shared cores under a load that changed, so that a single place may be off by a
factor of two or three while sums are nearer, and an idle machine is likely to take less. A few records in the folder
correct that. Trainings that end when they have their answer are the hardest to foresee.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from baselines.references import registered
from benchmarks.records import InvalidRecord, Record, Trial
from benchmarks.store import FOLDERS, Damaged, read, record_files, scan
from tasks.registry import entries, load

if TYPE_CHECKING:
    from benchmarks.jobs import Job

TABLE = Path(__file__).with_name("costs.json")
PROCESS_SECONDS = 0.1  # of a trial beside its training: a process, a record
FIXED_SHARE = 0.08  # of a network's seconds that its number of steps does not change: data, measurements
GUESSED_SECONDS = 8.0  # where a task's card does not say
PRIOR = 2.0  # what is known of a name is averaged with so many places that say nothing
SAMPLE = 200
PLAIN = "erm"
OK, DAMAGED = 0, 1
Name = TypeVar("Name")
Value = TypeVar("Value")


class Place(NamedTuple):
    """What the cost of a trial depends on, beside its budget."""

    task: str
    condition: str
    model: str
    algorithm: str

    @classmethod
    def of(cls, trial: Trial) -> Place:
        """The place of a trial."""
        return cls(trial.task, trial.condition, trial.model, trial.algorithm)


@dataclass(frozen=True)
class Measured:
    """Seconds at full budget of the trials of each place that were not skipped; `fitted` are models without steps."""

    seconds: dict[Place, list[float]] = field(default_factory=dict)
    fitted: set[str] = field(default_factory=set)

    def add(self, record: Record) -> None:
        """One more record, whatever its status: a failure took its time too."""
        measured = self.seconds.setdefault(Place.of(record.trial), [])
        if record.status == "ok" and record.recipe is None:
            self.fitted.add(record.trial.model)
        if record.status != "skipped":
            measured.append(record.seconds / self.share(record.trial))

    def share(self, trial: Trial) -> float:
        """What a trial takes of the seconds at full budget: where there are steps, they are scaled."""
        return 1.0 if trial.model in self.fitted else FIXED_SHARE + (1 - FIXED_SHARE) * trial.budget_scale

    def medians(self) -> dict[Place, float]:
        """The seconds of each place, 0 where all trials were skipped."""
        return {place: median(measured) if measured else 0.0 for place, measured in self.seconds.items()}


@dataclass(frozen=True)
class Table:
    """Seconds at full budget by place, 0 where it is skipped, and the models that are fitted without steps."""

    seconds: Mapping[Place, float]
    fitted: frozenset[str] = frozenset()

    @classmethod
    def read(cls, path: Path = TABLE) -> Table:
        """The table in a file that `to_json` gave."""
        body = json.loads(path.read_text(encoding="utf-8"))
        found = {}
        for line, by_model in body["seconds"].items():
            task, condition, algorithm = line.split(" ")
            for model, seconds in by_model.items():
                found[Place(task, condition, model, algorithm)] = seconds or 0.0
        return cls(found, frozenset(body["fitted"]))

    @classmethod
    def of(cls, measured: Measured) -> Table:
        """The medians, to three digits."""
        rounded = {place: float(f"{seconds:.3g}") for place, seconds in measured.medians().items()}
        return cls(rounded, frozenset(measured.fitted))

    def to_json(self) -> str:
        """Sorted, with a line for each task, condition and algorithm; null is skipped."""
        lines: dict[str, dict[str, float | None]] = {}
        for place, seconds in sorted(self.seconds.items()):
            line = lines.setdefault(f"{place.task} {place.condition} {place.algorithm}", {})
            line[place.model] = seconds or None
        listed = ",\n".join(f"{json.dumps(line)}: {json.dumps(lines[line])}" for line in sorted(lines))
        return f'{{"fitted": {json.dumps(sorted(self.fitted))},\n"seconds": {{\n{listed}\n}}}}\n'

    @cached_property
    def logs(self) -> dict[Place, float]:
        """The log seconds of what is not skipped."""
        return logs_of(self.seconds)

    @cached_property
    def middles(self) -> dict[tuple[str, str], float]:
        """The log seconds of the median model, by task and condition."""
        found = grouped((place[:2], log) for place, log in self.logs.items() if place.algorithm == PLAIN)
        return {condition: median(logs) for condition, logs in found.items()}

    @cached_property
    def models(self) -> dict[str, float]:
        """What each model takes beyond the median one, in log seconds."""
        plain = ((place, log) for place, log in self.logs.items() if place.algorithm == PLAIN)
        found = grouped((place.model, log - self.middles[place[:2]]) for place, log in plain)
        return {model: fmean(beyond) for model, beyond in found.items()}

    @cached_property
    def algorithms(self) -> dict[str, float]:
        """What each algorithm takes beyond plain risk minimization of the same model, in log seconds."""
        pairs = ((place, log, self.logs.get(place._replace(algorithm=PLAIN))) for place, log in self.logs.items())
        found = grouped((place.algorithm, log - plain) for place, log, plain in pairs if plain is not None)
        return {algorithm: fmean(beyond) for algorithm, beyond in found.items()}

    @cached_property
    def unmet(self) -> set[tuple[str, str, str]]:
        """Task, condition and algorithm where all networks are skipped that train without: the data lack something."""
        able = (p for p in self.seconds if p.model not in self.fitted and p._replace(algorithm=PLAIN) in self.logs)
        found = grouped(((p.task, p.condition, p.algorithm), self.seconds[p]) for p in able)
        return {place for place, seconds in found.items() if not any(seconds)}


@dataclass(frozen=True)
class Estimates:
    """Seconds at full budget of any place, by a table and by what was measured here (0: skipped)."""

    table: Table
    here: Mapping[Place, float]
    fitted: frozenset[str]

    @cached_property
    def logs(self) -> dict[Place, float]:
        """The log seconds of what was not skipped here."""
        return logs_of(self.here)

    @cached_property
    def speed(self) -> float:
        """The log of the seconds here over those of the table: the median over places in both, 0 without any."""
        both = self.logs.keys() & self.table.logs.keys()
        return median([self.logs[place] - self.table.logs[place] for place in both] or [0.0])

    def seconds(self, place: Place) -> float:
        """Seconds at full budget; 0 for what is known, or can be told, to be skipped."""
        if place in self.here:
            return self.here[place]
        if place in self.table.seconds:
            return self.table.seconds[place] * math.exp(self.speed)
        if self.is_skipped(place):
            return 0.0
        effects = self.condition(place) + self.model(place.model) + self.algorithm(place.algorithm)
        return math.exp(self.speed + effects)

    def is_skipped(self, place: Place) -> bool:
        """Whether a place that nobody has run will be skipped."""
        if place.model in self.fitted and place.algorithm != PLAIN:
            return True
        small = place._replace(model=small_one(place.model))
        return self.table.seconds.get(small) == 0.0 or (*place[:2], place.algorithm) in self.table.unmet

    def condition(self, place: Place) -> float:
        """The log seconds of the median model under a condition, on the table's machine."""
        if place[:2] in self.table.middles:
            return self.table.middles[place[:2]]
        of_task = {other: log for other, log in self.logs.items() if other.task == place.task}
        same = {other: log for other, log in of_task.items() if other.condition == place.condition}
        found = same or of_task
        if not found:
            return self.by_card(place.task)
        return median(log - self.speed - self.model(o.model) - self.algorithm(o.algorithm) for o, log in found.items())

    def by_card(self, task: str) -> float:
        """The same by a task's card, which says what one of two baselines takes for all conditions."""
        spec = load(task).spec
        seconds = (spec.budget.core_seconds or GUESSED_SECONDS) / len(spec.conditions)
        return math.log(seconds) - self.model("lstm" if spec.entry.input == "tokens" else "mlp")

    def model(self, name: str) -> float:
        """What a model takes beyond the median one, in log seconds."""
        if name in self.table.models:
            return self.table.models[name]
        return weighed(self.beyond.get(name, ()), self.table.models.get(small_one(name), 0.0))

    def algorithm(self, name: str) -> float:
        """What an algorithm takes beyond plain risk minimization, in log seconds."""
        if name in self.table.algorithms:
            return self.table.algorithms[name]
        known = ((p, log) for p, log in self.logs.items() if p.algorithm == name and p[:2] in self.table.middles)
        return weighed([log - self.speed - self.table.middles[p[:2]] - self.model(p.model) for p, log in known], 0.0)

    @cached_property
    def beyond(self) -> dict[str, list[float]]:
        """What the models here took beyond the median one, under the conditions that the table has."""
        known = ((place, log) for place, log in self.logs.items() if place[:2] in self.table.middles)
        return grouped(
            (p.model, log - self.speed - self.table.middles[p[:2]] - self.table.algorithms.get(p.algorithm, 0.0))
            for p, log in known
        )


class Costs:
    """What trials will take, by a table and by the records of a results folder, which may go on arriving."""

    def __init__(self, table: Table, records: Iterable[Record] = ()) -> None:
        self.table = table
        self.measured = Measured(fitted=set(table.fitted))
        self.estimates: Estimates | None = None
        self.told: dict[Place, float] = {}
        for record in records:
            self.add(record)

    @classmethod
    def known(cls, records: Iterable[Record] = ()) -> Costs:
        """By the table that ships and by these records; leave out those that were skipped and are to be tried again."""
        return cls(Table.read(), records)

    def add(self, record: Record) -> None:
        """One more record of the folder."""
        self.measured.add(record)
        self.estimates = None
        self.told.clear()

    def seconds(self, job: Job) -> float:
        """Core seconds that a trial will take, the process around it included, and no more than its limit."""
        place = Place.of(job.trial)
        if self.estimates is None:
            self.estimates = Estimates(self.table, self.measured.medians(), frozenset(self.measured.fitted))
        if place not in self.told:
            self.told[place] = self.estimates.seconds(place)
        return min(job.seconds, PROCESS_SECONDS + self.told[place] * self.measured.share(job.trial))


def logs_of(seconds: Mapping[Place, float]) -> dict[Place, float]:
    """The logarithms of what is above 0."""
    return {place: math.log(value) for place, value in seconds.items() if value > 0}


def grouped(pairs: Iterable[tuple[Name, Value]]) -> dict[Name, list[Value]]:
    """The values of each name."""
    found: dict[Name, list[Value]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def weighed(values: Sequence[float], prior: float) -> float:
    """The mean of values and of a prior that counts as `PRIOR` of them."""
    return (sum(values) + PRIOR * prior) / (len(values) + PRIOR)


def small_one(model: str) -> str:
    """The first baseline of the same class; the name itself where the suite has no such model."""
    known = registered()
    if model not in known:
        return model
    own = known[model]
    return next(n for n, r in known.items() if (r.location, r.attribute) == (own.location, own.attribute))


def sampled(root: Path, most: int = SAMPLE) -> Iterator[Record]:
    """Some of the records in files of a folder, spread over it: enough to know the speed of the machine.

    Without what was skipped, which says nothing of that.
    """
    paths = [path for path in record_files(root, FOLDERS) if isinstance(path, Path)] if root.is_dir() else []
    for path in paths[:: max(1, math.ceil(len(paths) / most))]:
        with suppress(InvalidRecord, OSError):
            if (record := read(path)).status != "skipped":
                yield record


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.costs", description="Tabulate the seconds of trials, so that runs can be planned.",
        epilog="Exit status: 0 written, 1 some files are damaged and nothing was written, 2 bad usage.",
    )  # fmt: skip
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULTS", help="folders of benchmarks.run")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the table is written")
    options = parser.parse_args(arguments)
    if missing := [str(root) for root in options.results if not root.is_dir()]:
        parser.error(f"no results folder {', '.join(missing)}")
    measured, damaged = Measured(), False
    for item in (item for root in options.results for item in scan(root)):
        if isinstance(item, Damaged):
            sys.stderr.write(f"damaged {item.path}: {item.reason}\n")
            damaged = True
        else:
            measured.add(item)
    if damaged:
        return DAMAGED
    table = Table.of(measured)
    try:
        options.out.write_text(table.to_json(), encoding="utf-8")
    except OSError as error:
        parser.error(f"cannot write {options.out}: {error.strerror}")
    sys.stdout.write(f"{len(table.seconds):,} places: {options.out}\n")
    sys.stdout.writelines(f"no result of {', '.join(names)}\n" for names in unknown(table) if names)
    return OK


def unknown(table: Table) -> list[list[str]]:
    """The tasks, models and algorithms of the suite that are not in a table."""
    places = table.seconds
    return [
        sorted(entries().keys() - {place.task for place in places}),
        sorted(registered().keys() - {place.model for place in places}),
        sorted(registered("algorithm").keys() - {place.algorithm for place in places}),
    ]


if __name__ == "__main__":
    sys.exit(main())
