"""A job: a trial and where its classes are, as plain JSON between processes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from baselines import references
from baselines.references import Reference, registered
from benchmarks.records import Trial, digest
from tasks.registry import Entry, entries
from tasks.registry import load as load_task
from tasks.seeds import PUBLIC_WORD

LARGEST_STACK = 20


@dataclass(frozen=True)
class Job:
    """What a worker needs to run one trial. `seconds` is the wall-clock limit, `commit` the code's for provenance.

    `alone` says why it is not trained together with other seeds; empty where that is still open.
    """

    trial: Trial
    model: Reference
    algorithm: Reference
    seconds: float
    commit: str = ""
    alone: str = ""

    def varied(self, **changes: Any) -> Job:
        """The same job with some fields of its trial replaced."""
        return replace(self, trial=replace(self.trial, **changes))

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        body: dict[str, Any] = json.loads(text)
        body |= {"trial": Trial(**body["trial"])}
        body |= {name: Reference(**body[name]) for name in ("model", "algorithm")}
        return cls(**body)


def plan(
    entries: Sequence[Entry],
    models: Sequence[Reference],
    algorithms: Sequence[Reference],
    seeds: int,
    budget_scale: float,
    commit: str = "",
) -> list[Job]:
    """Every trial of the product, seed by seed, so that an interrupted run has whole seeds.

    What is not named is the usual: on the model track every small baseline and plain risk minimization; on the training
    track, whose tasks fix the model, plain risk minimization and every optimizer of the suite.
    """
    return [
        Job(
            trial=Trial(
                task=entry.id,
                condition=condition.name,
                model=model.name,
                source_hash=model.source_hash,
                hparams=dict(model.hparams),
                seed=seed,
                draw=digest(PUBLIC_WORD),
                algorithm=algorithm.name,
                algorithm_hash=algorithm.source_hash,
                settings=dict(algorithm.hparams),
                budget_scale=budget_scale,
            ),
            model=model,
            algorithm=algorithm,
            seconds=load_task(entry.id).spec.budget.seconds * max(1.0, budget_scale),
            commit=commit,
        )
        for seed in range(seeds)
        for entry in entries
        for model, algorithm in crossed(entry, models, algorithms)
        for condition in load_task(entry.id).spec.conditions
    ]


def crossed(
    entry: Entry, models: Sequence[Reference], algorithms: Sequence[Reference]
) -> list[tuple[Reference, Reference]]:
    """The models and algorithms that a task compares."""
    if entry.model:
        models, usual = [registered()[entry.model]], optimizers()
    else:
        models, usual = models or references.select([]), references.select(["erm"], "algorithm")
    return list(product(models, algorithms or usual))


def optimizers() -> list[Reference]:
    """Plain risk minimization with the recipe's optimizer, and with every other one of the suite."""
    known = registered("algorithm")
    return [known["erm"], *(found for found in known.values() if found.special)]


def stacks(jobs: Sequence[Job], slots: int, seconds: Callable[[Job], float]) -> list[tuple[Job, ...]]:
    """The jobs in groups that differ in their seeds alone and may be trained at once, those that take longest first.

    Groups are small enough to keep all slots at work.
    """
    size = max(1, min(LARGEST_STACK, len(jobs) // slots))
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        cell = "" if job.alone else job.varied(seed=0).trial.key
        groups.setdefault(cell or job.trial.key, []).append(job)
    found = [tuple(group[i : i + size]) for group in groups.values() for i in range(0, len(group), size)]
    return sorted(found, key=lambda stack: -sum(map(seconds, stack)))


def swept(jobs: Iterable[Job], doses: Sequence[str]) -> Iterator[Job]:
    """The jobs again at every other value of the knobs with these names, where their tasks have them."""
    for job in jobs:
        for dose in load_task(job.trial.task).spec.doses:
            if dose.name in doses:
                for value in dose.values:
                    if value != dose.own:
                        yield job.varied(dose={dose.name: value})


def modules_of(jobs: Sequence[Job]) -> list[str]:
    """The modules of the suite's own tasks, baselines and algorithms that jobs use."""
    tasks = {entries()[job.trial.task].module for job in jobs}
    classes = [reference for job in jobs for reference in (job.model, job.algorithm)]
    return sorted(tasks | {reference.location for reference in classes if reference.registered})


def code_version() -> str:
    """The commit of this checkout, with `-dirty` when it was edited; empty outside one."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
