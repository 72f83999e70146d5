"""Model classes against training algorithms, as Markdown: `python -m leaderboard.table results --crossed`.

For every task a table of scores, models down and algorithms across; then what the rule of selection is worth, how the
score moves with the dose of a sweep, and how its variance divides into model, algorithm, configuration and seed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean, variance

import numpy as np

from benchmarks.cells import HEADLINE, Cell, Protocol
from benchmarks.selection import RULES, Rule
from benchmarks.statistics import Components, mean_of_means, variance_components
from leaderboard import wording
from leaderboard.collect import Collection
from leaderboard.doses import dose_views
from leaderboard.wording import estimate_text, score_text
from tasks.card import table

READING = (
    "A score is 0 for the floor's solution and 1 for the ceiling's; seeds that failed or did not train count as -0.25. "
    "Mean over seeds, ± half the 95 % t interval, number of seeds."
)
RULES_READING = (
    "The same trainings, read at the step that in-distribution validation selects, at the last one, and at the one "
    "that is best on the test itself (*oracle*: what a method could reach if the test were known; never ranked). Means "
    "over the models and tasks to which the algorithm applies; differences from erm are of the same cells and seeds."
)
VARIANCE_READING = (
    "Standard deviations of the score. Model, algorithm, their interaction and seed: random-effects components over "
    "all models and algorithms that every seed has. Configuration: over the configurations of a search within a model "
    "and an algorithm, less what the seed adds."
)
ByPlace = Mapping[tuple[str, str], Cell]


def markdown(collection: Collection) -> str:
    """Everything that the results hold, each protocol for itself."""
    by_protocol: dict[Protocol, list[Cell]] = defaultdict(list)
    for cell in collection.cells:
        if cell.task.spec.scored:
            by_protocol[replace(cell.entrant.protocol, dose=HEADLINE.dose)].append(cell)
    parts = [READING]
    for protocol in sorted(by_protocol, key=lambda p: (not p.is_headline, p)):
        own = several_ways(by_protocol[protocol])
        plain = [cell for cell in own if cell.entrant.protocol == protocol]
        parts += [f"## {wording.sentence_case(protocol.label)}", *sections(plain)]
        parts += dose_tables(own) if not protocol.sees_test else []
        if protocol.is_headline:
            parts += variance_table(collection, plain)
    return "\n\n".join(parts) + "\n"


def several_ways(cells: Sequence[Cell]) -> list[Cell]:
    """The cells of models that were trained in more than one way on that task; all, where none was."""
    ways: dict[tuple[str, str], set[str]] = defaultdict(set)
    for cell in cells:
        ways[cell.task.spec.id, cell.entrant.model].add(cell.entrant.algorithm)
    return [cell for cell in cells if len(ways[cell.task.spec.id, cell.entrant.model]) > 1] or list(cells)


def sections(cells: Sequence[Cell]) -> list[str]:
    """The tables of the tasks as they stand; none where only doses were run."""
    parts = []
    for task in sorted({cell.task.spec.id for cell in cells}):
        own = {(c.entrant.model, c.entrant.algorithm): c for c in cells if c.task.spec.id == task}
        parts += [f"### {task}", crossed_table(own), *oracle_table(own)]
    return [*parts, "### What the rule of selection is worth", RULES_READING, rules_table(cells)] if parts else []


def crossed_table(cells: ByPlace) -> str:
    """Models down, algorithms across."""
    models, algorithms = names(cells)
    rows = [[model, *(score_text(cells.get((model, algorithm))) for algorithm in algorithms)] for model in models]
    return table(["score", *algorithms], rows)


def oracle_table(cells: ByPlace) -> list[str]:
    """The same read at the step that is best on the test; nothing where a task has no such step."""
    models, algorithms = names(cells)
    found = {place: cell.score_under("oracle") for place, cell in cells.items()}
    if not any(found.values()):
        return []
    rows = [[model, *(estimate_text(found.get((model, name))) for name in algorithms)] for model in models]
    return [table(["oracle (never ranked)", *algorithms], rows)]


def names(cells: ByPlace) -> tuple[list[str], list[str]]:
    """The models and the algorithms of some cells, those that were skipped everywhere left out; erm first."""
    asked = [place for place, cell in cells.items() if cell.state != "skipped"]
    models, algorithms = sorted({model for model, _ in asked}), {algorithm for _, algorithm in asked}
    return models, sorted(algorithms, key=lambda name: (name != "erm", name))


def rules_table(cells: Sequence[Cell]) -> str:
    """Algorithms down, rules across: the mean over an algorithm's models and tasks, and what it adds to erm there."""
    by_algorithm: dict[str, dict[tuple[str, str], Cell]] = defaultdict(dict)
    for cell in cells:
        if cell.score is not None and cell.task.spec.with_role("ood"):
            by_algorithm[cell.entrant.algorithm][cell.task.spec.id, cell.entrant.model] = cell
    erm, rows = by_algorithm.get("erm", {}), []
    for algorithm, own in sorted(by_algorithm.items(), key=lambda item: (item[0] != "erm", item[0])):
        means = [pooled_text([list(counted(cell, rule).values()) for cell in own.values()]) for rule in RULES]
        shared = sorted(set(own) & set(erm)) if algorithm != "erm" else []
        gains = [pooled_text([gain(own[place], erm[place], rule) for place in shared]) for rule in RULES]
        rows.append([algorithm, str(len(own)), *means, *gains])
    return table(["algorithm", "cells", *RULES, *(f"less erm, {rule}" for rule in RULES)], rows)


def counted(cell: Cell, rule: Rule) -> dict[int, float]:
    """What each seed of a cell counts under a rule."""
    return {o.seed: v for o in cell.outcomes if (v := o.counted_under(rule)) is not None}


def gain(cell: Cell, reference: Cell, rule: Rule) -> list[float]:
    """The differences of two cells, seed by seed."""
    own, other = counted(cell, rule), counted(reference, rule)
    return [own[seed] - other[seed] for seed in sorted(own.keys() & other.keys())]


def pooled_text(groups: Sequence[Sequence[float]]) -> str:
    """The mean over cells of the means of their seeds."""
    return estimate_text(mean_of_means(groups)) if groups and all(groups) else "–"


def dose_tables(cells: Sequence[Cell]) -> list[str]:
    """For every task and knob that was turned: doses down, the entries that met more than one of them across."""
    tasks = {cell.task.spec.id: cell.task for cell in cells}
    parts = []
    for task_id, task in sorted(tasks.items()):
        for view in dose_views(task, [cell for cell in cells if cell.task.spec.id == task_id]):
            rows = [
                [
                    f"{value:g}{' (own)' if value == view.knob.own else ''}",
                    *(score_text(by_value.get(value)) for by_value in view.rows.values()),
                ]
                for value in view.values
            ]
            heads = [view.knob.name, *(entrant.label for entrant in view.rows)]
            parts += [f"#### {task_id}: {view.knob.name} ({view.knob.unit})", table(heads, rows)]
    return ["### Dose and response", *parts] if parts else []


def variance_table(collection: Collection, cells: Sequence[Cell]) -> list[str]:
    """Tasks down, components across, where at least two models and algorithms have the same two seeds or more."""
    rows = []
    for task in sorted({cell.task.spec.id for cell in cells}):
        own = {(c.entrant.model, c.entrant.algorithm): c for c in cells if c.task.spec.id == task}
        found = components(own)
        if found is not None:
            of_search = configuration_variance([c for c in collection.searched if c.task.spec.id == task])
            configuration = None if of_search is None else max(0.0, of_search - found.repetitions)
            parts = [found.rows, found.columns, found.interaction, configuration, found.repetitions]
            rows.append([task, *("–" if part is None else f"{part**0.5:.3f}" for part in parts)])
    heads = ["sd of the score", "model", "algorithm", "model x algorithm", "configuration", "seed"]
    return ["### Where the variance lies", VARIANCE_READING, table(heads, rows)] if rows else []


def components(cells: ByPlace) -> Components | None:
    """Of the complete part of a task's table: the algorithms that every model has, over the seeds that all have."""
    models, algorithms = names(cells)
    scores = {place: counted(cell, "iid-validation") for place, cell in cells.items()}
    models = [model for model in models if scores.get((model, "erm"))]
    algorithms = [name for name in algorithms if all(scores.get((model, name)) for model in models)]
    if min(len(models), len(algorithms)) < 2:
        return None
    seeds = sorted(set.intersection(*(set(scores[m, a]) for m in models for a in algorithms)))
    if len(seeds) < 2:
        return None
    return variance_components(np.array([[[scores[m, a][seed] for seed in seeds] for a in algorithms] for m in models]))


def configuration_variance(searched: Sequence[Cell]) -> float | None:
    """The mean over models and algorithms of the score's variance between the configurations of a search."""
    scores: dict[tuple[str, str], list[float]] = defaultdict(list)
    for cell in searched:
        if cell.score is not None:
            scores[cell.entrant.model, cell.entrant.algorithm].append(cell.score.mean)
    variances = [variance(values) for values in scores.values() if len(values) > 1]
    return fmean(variances) if variances else None
