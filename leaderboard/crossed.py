"""Model classes against training algorithms, as Markdown: `python -m leaderboard.table results --crossed`.

For every task a table of scores, models down and algorithms across; then what the rule of selection is worth, how the
score moves with the dose of a sweep, and how its variance divides into model, algorithm, configuration and seed.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean, variance

import numpy as np

from benchmarks.cells import Cell, Protocol, cells_of
from benchmarks.records import SEARCH, Record
from benchmarks.selection import RULES, Rule
from benchmarks.statistics import Components, mean_of_means, variance_components
from leaderboard import wording
from leaderboard.collect import Collection
from leaderboard.wording import estimate_text, score_text
from tasks.card import table
from tasks.types import Task

READING = (
    "A score is 0 for the floor's solution and 1 for the ceiling's; seeds that failed or did not train count as -0.25. "
    "Mean over seeds, ± half the 95 % t interval, number of seeds."
)
RULES_READING = (
    "The same trainings, read at the step that in-distribution validation selects, at the last one, and at the one "
    "that is best on the test itself (*oracle*: what a method could reach if the test were known; never ranked)."
)
VARIANCE_READING = (
    "Standard deviations of the score. Model, algorithm, their interaction and seed: random-effects components over "
    "all models and algorithms that every seed has. Configuration: over the configurations of a search within a model "
    "and an algorithm, less what the seed adds."
)
ByPlace = Mapping[tuple[str, str], Cell]


def markdown(collection: Collection) -> str:
    """Everything that the results hold."""
    by_protocol: dict[Protocol, list[Cell]] = defaultdict(list)
    for cell in collection.cells:
        if cell.task.spec.scored:
            by_protocol[cell.entrant.protocol].append(cell)
    parts = [READING]
    for protocol in sorted(by_protocol, key=lambda p: (p.dose, not p.is_headline, p)):
        if protocol.dose == "{}":
            parts += section(protocol, by_protocol[protocol])
    parts += dose_tables([cell for cells in by_protocol.values() for cell in cells])
    parts += variance_table(collection, [cell for p, cells in by_protocol.items() if p.is_headline for cell in cells])
    return "\n\n".join(parts) + "\n"


def section(protocol: Protocol, cells: Sequence[Cell]) -> list[str]:
    """The tables of one protocol."""
    tasks = sorted({cell.task.spec.id for cell in cells})
    parts = [f"## {wording.sentence_case(protocol.label)}"]
    for task in tasks:
        own = {(c.entrant.model, c.entrant.algorithm): c for c in cells if c.task.spec.id == task}
        parts += [f"### {task}", crossed_table(own)]
    return [*parts, "### What the rule of selection is worth", RULES_READING, rules_table(cells)]


def crossed_table(cells: ByPlace) -> str:
    """Models down, algorithms across."""
    models, algorithms = names(cells)
    rows = [[model, *(score_text(cells.get((model, algorithm))) for algorithm in algorithms)] for model in models]
    return table(["score", *algorithms], rows)


def names(cells: ByPlace) -> tuple[list[str], list[str]]:
    """The models and the algorithms of some cells, those that were skipped everywhere left out; erm first."""
    asked = [place for place, cell in cells.items() if cell.state != "skipped"]
    models, algorithms = sorted({model for model, _ in asked}), {algorithm for _, algorithm in asked}
    return models, sorted(algorithms, key=lambda name: (name != "erm", name))


def rules_table(cells: Sequence[Cell]) -> str:
    """Algorithms down, rules across: the mean over the models and tasks that every algorithm has a score on."""
    by_algorithm: dict[str, dict[tuple[str, str], Cell]] = defaultdict(dict)
    for cell in cells:
        if cell.score is not None and cell.task.spec.with_role("ood"):
            by_algorithm[cell.entrant.algorithm][cell.task.spec.id, cell.entrant.model] = cell
    if not by_algorithm:
        return "No algorithm has a score."
    erm = by_algorithm.get("erm", {})
    rows = []
    for algorithm, own in sorted(by_algorithm.items(), key=lambda item: (item[0] != "erm", item[0])):
        shared = sorted(set(own) & set(erm)) if erm else sorted(own)
        texts = [pooled_text([own[place] for place in shared], rule) for rule in RULES]
        against = [pooled_text([erm[place] for place in shared], rule) for rule in RULES] if erm else [""] * len(RULES)
        rows.append([algorithm, str(len(shared)), *texts, *against])
    heads = [*RULES, *(f"erm there, {rule}" for rule in RULES)]
    return table(["algorithm", "cells", *heads], rows)


def pooled_text(cells: Sequence[Cell], rule: Rule) -> str:
    """The mean over cells of what their seeds count under a rule."""
    groups = [[v for o in cell.outcomes if (v := o.counted_under(rule)) is not None] for cell in cells]
    return estimate_text(mean_of_means(groups)) if groups and all(groups) else "–"


def dose_tables(cells: Sequence[Cell]) -> list[str]:
    """For every task and knob that was turned: doses down, entries across."""
    by_knob: dict[tuple[str, str], dict[tuple[float, str], Cell]] = defaultdict(dict)
    for cell in cells:
        for name, value in json.loads(cell.entrant.protocol.dose).items():
            by_knob[cell.task.spec.id, name][value, cell.entrant.label] = cell
    parts = []
    for (task_id, knob), found in sorted(by_knob.items()):
        own = own_dose(next(iter(found.values())).task, knob)
        headline = {c.entrant.label: c for c in cells if c.task.spec.id == task_id and c.entrant.protocol.is_headline}
        found |= {(own, label): cell for label, cell in headline.items()}
        labels = sorted({label for _, label in found})
        rows = [
            [f"{value:g}{' (own)' if value == own else ''}", *(score_text(found.get((value, x))) for x in labels)]
            for value in sorted({value for value, _ in found})
        ]
        parts += [f"### {task_id}: {knob}", table([knob, *labels], rows)]
    return ["## Dose and response", *parts] if parts else []


def own_dose(task: Task, knob: str) -> float:
    """The value that a knob has in the task as it stands."""
    return next(dose.own for dose in task.spec.doses if dose.name == knob)


def variance_table(collection: Collection, cells: Sequence[Cell]) -> list[str]:
    """Tasks down, components across, where at least two models and algorithms have the same two seeds or more."""
    rows = []
    for task in sorted({cell.task.spec.id for cell in cells}):
        own = {(c.entrant.model, c.entrant.algorithm): c for c in cells if c.task.spec.id == task}
        found = components(own)
        if found is not None:
            of_search = configuration_variance([r for r in collection.searched if r.trial.task == task])
            configuration = None if of_search is None else max(0.0, of_search - found.repetitions)
            parts = [found.rows, found.columns, found.interaction, configuration, found.repetitions]
            rows.append([task, *("–" if part is None else f"{part**0.5:.3f}" for part in parts)])
    heads = ["sd of the score", "model", "algorithm", "model x algorithm", "configuration", "seed"]
    return ["## Where the variance lies", VARIANCE_READING, table(heads, rows)] if rows else []


def components(cells: ByPlace) -> Components | None:
    """Of the complete part of a task's table: the algorithms that every model has, over the seeds that all have."""
    models, algorithms = names(cells)
    scores = {
        place: {o.seed: v for o in cell.outcomes if (v := o.counted) is not None} for place, cell in cells.items()
    }
    models = [model for model in models if scores.get((model, "erm"))]
    algorithms = [name for name in algorithms if all(scores.get((model, name)) for model in models)]
    if min(len(models), len(algorithms)) < 2:
        return None
    seeds = sorted(set.intersection(*(set(scores[m, a]) for m in models for a in algorithms)))
    if len(seeds) < 2:
        return None
    return variance_components(np.array([[[scores[m, a][seed] for seed in seeds] for a in algorithms] for m in models]))


def configuration_variance(searched: Sequence[Record]) -> float | None:
    """The mean over models and algorithms of the score's variance between the configurations of a search."""
    as_results = [unsearched(record) for record in searched if record.trial.left_out is None]
    scores: dict[tuple[str, str], list[float]] = defaultdict(list)
    for cell in cells_of(as_results):
        if cell.score is not None:
            scores[cell.entrant.model, cell.entrant.algorithm].append(cell.score.mean)
    variances = [variance(values) for values in scores.values() if len(values) > 1]
    return fmean(variances) if variances else None


def unsearched(record: Record) -> Record:
    """A trial of a search read as a result of its own."""
    assert record.trial.tuned == SEARCH
    return replace(record, trial=replace(record.trial, tuned=""))
