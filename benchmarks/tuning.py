"""Random search that gives every entry the same number of configurations, chosen before anything is run.

Configuration 0 is the entry as it stands. The others are drawn from the ranges that model class and algorithm declare,
by names: the same learning rates meet every algorithm, a longer search begins with the shorter one, and a stopped
search goes on where it was. Each is tried once, on a seed that no result is reported on; all that were tried stay in
the results folder. The best by validation in distribution is then trained on the reported seeds, and beside it what an
oracle would have picked and, where asked for, what leaving environments out picks.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from statistics import fmean
from typing import Any

import numpy as np

from baselines.references import Reference, UnusableClass, declared, defines
from benchmarks.jobs import Job
from benchmarks.records import LEAVE_ONE_OUT, ORACLE, SEARCH, VALIDATION, Record, Trial
from benchmarks.selection import passes_gate, quality, selected
from benchmarks.store import Store
from tasks.registry import load as load_task
from tasks.seeds import Draw, stream_seed
from tasks.types import Recipe, TaskSpec

SEARCH_SEED = 1_000_000  # far from the seeds of any report
OPTIMIZATION: Mapping[str, Sequence[Any]] = {
    "learning_rate": ("loguniform", 1e-4, 3e-2),
    "weight_decay": ("loguniform", 1e-6, 1e-2),
}
RECIPE_FIELDS = {field.name for field in fields(Recipe)}
NAMED = 4
UNTRAINED = 1e9  # more than any metric differs


def searches(jobs: Iterable[Job], n: int, leave_out: bool) -> list[Job]:
    """A job for every configuration to be tried, once for each cell of the jobs; with `leave_out` one more for each
    training environment.

    Raises:
        UnusableClass: when a class declares a range that cannot be drawn from.
    """
    cells = {replace_seed(job).trial.key: replace_seed(job) for job in jobs}
    found = []
    for job in cells.values():
        tried = [job.varied(**changes, tuned=SEARCH) for changes in configurations(job, n)]
        found += tried
        if leave_out:
            found += [t.varied(left_out=env) for t in tried for env in range(n_environments(job.trial))]
    return found


def replace_seed(job: Job) -> Job:
    """The job on the seed of the search."""
    return job.varied(seed=SEARCH_SEED)


def configurations(job: Job, n: int) -> Iterator[Mapping[str, Any]]:
    """What changes in a trial for each of n configurations; only the first where there is nothing to search."""
    trial, of_model, of_algorithm = job.trial, declared(job.model, "search"), declared(job.algorithm, "search")
    of_recipe: Mapping[str, Sequence[Any]] = {} if defines(job.model, "fit") else OPTIMIZATION
    of_recipe = {**of_recipe, **{k: v for k, v in of_model.items() if k in RECIPE_FIELDS}}
    of_model = {k: v for k, v in of_model.items() if k not in RECIPE_FIELDS}
    yield {}
    if not (of_recipe or of_model or of_algorithm):
        return
    for number in range(1, n):
        yield {
            "recipe": draw(of_recipe, job.model, "recipe", number),
            "hparams": {**trial.hparams, **draw(of_model, job.model, trial.model, number)},
            "settings": {**trial.settings, **draw(of_algorithm, job.algorithm, trial.algorithm, number)},
        }


def draw(ranges: Mapping[str, Sequence[Any]], declares: Reference, stream: str, number: int) -> dict[str, Any]:
    """One value of every range, from the stream of these names.

    Raises:
        UnusableClass: for a range that is none of ("uniform", low, high), ("loguniform", low, high),
            ("integers", low, high) and ("choice", value, ...).
    """
    found = {}
    for name, declaration in ranges.items():
        random = np.random.default_rng(stream_seed("tune", stream, number, name))
        match tuple(declaration) if isinstance(declaration, list | tuple) else ():
            case ("uniform", float() | int() as low, float() | int() as high) if low < high:
                found[name] = float(random.uniform(low, high))
            case ("loguniform", float() | int() as low, float() | int() as high) if 0 < low < high:
                found[name] = math.exp(random.uniform(math.log(low), math.log(high)))
            case ("integers", int() as low, int() as high) if low < high:
                found[name] = int(random.integers(low, high + 1))
            case ("choice", *values) if values:
                found[name] = values[int(random.integers(len(values)))]
            case _:
                raise UnusableClass(
                    f"{declares.name}: search range {name} is {declaration!r}; expected ('uniform', low, high), "
                    "('loguniform', low, high), ('integers', low, high) or ('choice', value, ...)"
                )
    return found


def n_environments(trial: Trial) -> int:
    """How many environments the training data of a trial have; 0 where they have none."""
    task = load_task(trial.task).dosed(trial.dose)
    batches = [task.sample(trial.condition, s, Draw(trial.task, trial.seed)) for s in task.spec.with_role("train")]
    envs = [batch.env for batch in batches]
    return 0 if envs[0] is None or len(envs) > 1 else len(envs[0].unique())


def finals(jobs: Iterable[Job], tried: Iterable[Job], store: Store, n: int) -> list[Job]:
    """The reported jobs: each with the configuration of its cell that a rule of selection prefers, for every rule.

    A cell whose every configuration failed is reported as it stands, so that the failure is seen.
    """
    results: dict[str, list[tuple[Job, Record]]] = {}
    for job in tried:
        if (record := store.get(job.trial)) is not None:
            results.setdefault(cell_of(job.trial), []).append((job, record))
    found = []
    for job in jobs:
        for rule, prefer in RULES.items():
            candidates = grouped(results.get(cell_of(job.trial), []))
            values = {key: prefer(job.trial, records) for key, (_, records) in candidates.items()}
            finite = {key: value for key, value in values.items() if value is not None}
            if not finite and rule != VALIDATION:
                continue
            changes: dict[str, Any] = {"tuned": f"{rule}/{n}"}
            if finite:
                chosen = candidates[max(finite, key=lambda key: finite[key])][0].trial
                changes |= {"recipe": chosen.recipe, "hparams": chosen.hparams, "settings": chosen.settings}
            found.append(job.varied(**changes))
    return found


def without_choice(jobs: Iterable[Job], finals: Iterable[Job], leave_out: bool) -> Iterator[str]:
    """What a reader must know: cells for which no configuration ran to its end, or no environment could be left out."""
    wanted = [VALIDATION, *([LEAVE_ONE_OUT] if leave_out else [])]
    chosen = {(cell_of(job.trial), job.trial.tuned.rpartition("/")[0]) for job in finals}
    for rule in wanted:
        lacking = list(dict.fromkeys(entry_of(j.trial) for j in jobs if (cell_of(j.trial), rule) not in chosen))
        if lacking:
            others = " and others" * (len(lacking) > NAMED)
            yield f"{rule} chose nothing for {', '.join(lacking[:NAMED])}{others}: see the trials"


def entry_of(trial: Trial) -> str:
    """A cell as a person names it."""
    return f"{trial.model} + {trial.algorithm} on {trial.task}"


def cell_of(trial: Trial) -> str:
    """What a search is made for: task, dose, model, algorithm; all conditions share a configuration."""
    return f"{trial.task} {sorted(trial.dose.items())} {trial.model} {trial.algorithm} {trial.budget_scale}"


def grouped(results: Sequence[tuple[Job, Record]]) -> dict[str, tuple[Job, list[Record]]]:
    """The results of each configuration, over conditions and left-out environments."""

    def configuration(pair: tuple[Job, Record]) -> str:
        trial = pair[0].trial
        return repr([sorted(part.items()) for part in (trial.recipe, trial.hparams, trial.settings)])

    ordered = sorted(results, key=configuration)
    return {
        key: (pairs[0][0], [record for _, record in pairs])
        for key, group in itertools.groupby(ordered, key=configuration)
        if (pairs := list(group))
    }


def by_validation(trial: Trial, records: Sequence[Record]) -> float | None:
    """The validation in distribution at the selected step, over conditions; None where a training failed."""
    spec, whole = spec_of(trial), [r for r in records if r.trial.left_out is None]
    if not whole or any(record.status != "ok" for record in whole):
        return None
    return fmean(quality(spec, selected(spec, record, "iid-validation"), "val") for record in whole)


def by_test(trial: Trial, records: Sequence[Record]) -> float | None:
    """The test at the step that is best on it, what did not train in distribution last: what an oracle prefers."""
    spec, whole = spec_of(trial), [r for r in records if r.trial.left_out is None]
    if not whole or not spec.with_role("ood") or any(record.status != "ok" for record in whole):
        return None
    chosen = [selected(spec, record, "oracle") for record in whole]
    untrained = sum(not passes_gate(spec, scores) for scores in chosen)
    return fmean(quality(spec, scores, "ood") for scores in chosen) - UNTRAINED * untrained


def by_left_out(trial: Trial, records: Sequence[Record]) -> float | None:
    """The last step's validation on the environment that was left out, over environments."""
    spec, folds = spec_of(trial), [r for r in records if r.trial.left_out is not None]
    if not folds or any(record.status != "ok" for record in folds):
        return None
    return fmean(quality(spec, selected(spec, record, "last-step"), "val") for record in folds)


def spec_of(trial: Trial) -> TaskSpec:
    """The card of a trial's task, at its dose."""
    return load_task(trial.task).dosed(trial.dose).spec


RULES: Mapping[str, Callable[[Trial, Sequence[Record]], float | None]] = {
    VALIDATION: by_validation,
    ORACLE: by_test,
    LEAVE_ONE_OUT: by_left_out,
}
