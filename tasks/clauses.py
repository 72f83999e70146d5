"""The contract of a task, clause by clause: `python -m tasks.check` and `tests/test_tasks.py` hold it.

A clause is a function whose docstring's first line is what it demands; it yields, in words, what is broken.
"""

from __future__ import annotations

import json
import math
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from tasks.card import card
from tasks.metrics import IGNORED
from tasks.registry import ID, Entry
from tasks.seeds import Draw
from tasks.types import (
    MEASURED,
    SCORE_CLIP,
    Batch,
    Data,
    Dose,
    Predictor,
    Role,
    Row,
    Scores,
    Split,
    Summary,
    Task,
    TaskSpec,
    load_data,
)

SEED, OTHER_SEED = 0, 1
SECONDS = 1.0  # every trial samples in a process of its own
EXACT = 1e-6
REFERENCE_TOLERANCE = 0.03
# Inputs with more distinct values than this are continuous: two equal rows are then one example, not a coincidence.
DISCRETE_VALUES = 64
COINCIDENCES = 0.01  # of rows that are a single number: uniform floats have 24 bits, so a few of thousands are equal
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
BIBTEX_KEY = re.compile(r"[A-Za-z][A-Za-z0-9:_-]*")
FIRST_YEAR, LAST_YEAR = 1900, 2100


class Examined:
    """A task and its data, drawn once for all clauses."""

    def __init__(self, entry: Entry, task: Task) -> None:
        self.entry = entry
        self.task = task
        self.draw = Draw(task.spec.id, SEED)
        self.seconds: dict[str, float] = {}

    @property
    def spec(self) -> TaskSpec:
        return self.task.spec

    @property
    def conditions(self) -> list[str]:
        return [condition.name for condition in self.spec.conditions]

    @cached_property
    def data(self) -> Mapping[str, Data]:
        """Condition to split to examples; the CPU seconds of the first sampling are kept."""
        found = {}
        for condition in self.conditions:
            start = time.process_time()
            found[condition] = load_data(self.task, condition, self.draw)
            self.seconds[condition] = time.process_time() - start
        return found

    @property
    def batches(self) -> Iterator[tuple[str, TaskSpec, Split, Batch]]:
        """Where (`split`, or `condition/split` of several), the card there, the split, its examples."""
        for condition, data in self.data.items():
            spec = self.spec.at(condition)
            for split in spec.splits:
                where = f"{condition}/{split.name}" if len(self.data) > 1 else split.name
                yield where, spec, split, data[split.name]

    @cached_property
    def anchors(self) -> Mapping[str, Scores]:
        """Condition to the anchors of its splits."""
        return {c: self.task.anchors(c, data, self.draw) for c, data in self.data.items()}

    @cached_property
    def constant_rows(self) -> dict[str, Row]:
        """What a trial of a constant prediction would record, by condition."""
        return {c: self.row(c, data, constant_predictor(self.spec.at(c), data)) for c, data in self.data.items()}

    def rows(self, name: str) -> dict[str, Row] | None:
        """What a trial of this reference predictor would record, by condition; None where it has no predictor."""
        rows = {}
        for condition, data in self.data.items():
            predictor = self.task.references(condition, self.draw).get(name)
            if predictor is None:
                return None
            rows[condition] = self.row(condition, data, predictor)
        return rows

    def row(self, condition: str, data: Data, predictor: Predictor) -> Row:
        """The scores of a predictor on one condition, as a model's are measured."""
        batch_of = {id(batch.x): batch for batch in data.values()}
        scores = self.task.measure(condition, lambda x: predictor(batch_of[id(x)]), data)
        return Row(scores, self.anchors[condition])


Clause = Callable[[Examined], Iterable[str]]
"""Yields what is broken, in words; its docstring's first line is what it demands."""


# --- the card -------------------------------------------------------------------------------------------------------


def header_is_valid(e: Examined) -> Iterator[str]:
    """The header is valid and is the one that the task was built from."""
    if not ID.fullmatch(e.entry.id):
        yield f"id {e.entry.id!r} is not 'family/<name>-v<number>'"
    if e.spec.entry != e.entry:
        yield f"build({e.entry.id}) made a task whose spec.entry is {e.spec.entry}"
    if e.entry.input != e.spec.problem.input_kind:
        yield f"the header says input {e.entry.input!r}, the problem {e.spec.problem.input_kind!r}"
    if not e.entry.summary.strip() or "\n" in e.entry.summary:
        yield "the summary is not one line of text"
    for tag in e.entry.tags:
        if not NAME.fullmatch(tag):
            yield f"tag {tag!r} is not a word like 'closed-form'"


def card_is_plain_data(e: Examined) -> Iterator[str]:
    """The spec is plain data, with a question and notes."""
    try:
        json.dumps(card(e.spec), allow_nan=False)
    except (TypeError, ValueError) as error:
        yield f"the card is not JSON: {error}"
    if not e.spec.question.strip():
        yield "the card has no question"
    if not e.spec.notes or not all(note.strip() for note in e.spec.notes):
        yield "the card has no notes (what the shortcut is, what to beware of)"


def splits_are_declared(e: Examined) -> Iterator[str]:
    """Splits and conditions have unique names, every role that a score needs, and units for severities."""
    for kind, names in (("split", [s.name for s in e.spec.splits]), ("condition", e.conditions)):
        for name in sorted(set(names)):
            if not NAME.fullmatch(name):
                yield f"{kind} {name!r} is not a name like 'ood-45'"
            if names.count(name) > 1:
                yield f"two {kind}s are called {name!r}"
    required: tuple[Role, ...] = ("train", "val", "iid", "ood") if e.spec.scored else ("train", "val", "iid")
    for role in required:
        if not e.spec.with_role(role):
            yield f"no split has the role {role!r}"
    if not e.spec.severity_unit and any(split.severity is not None for split in e.spec.splits):
        yield "splits have a severity, but the card no severity_unit"


def score_or_axes(e: Examined) -> Iterator[str]:
    """There is a floor and a ceiling, or neither and an axis; an axis names an index and what its two ends mean."""
    if (e.spec.floor is None) != (e.spec.ceiling is None):
        yield f"floor {e.spec.floor}, ceiling {e.spec.ceiling}: a score needs both"
    if not e.spec.scored and not e.spec.axes:
        yield "neither a score nor an axis"
    names = [axis.index for axis in e.spec.axes]
    for axis in e.spec.axes:
        if names.count(axis.index) > 1:
            yield f"two axes are called {axis.index!r}"
        if not axis.low.strip() or not axis.high.strip() or not axis.ends[0] < axis.ends[1]:
            yield f"axis {axis.index!r} does not say what its two ends {axis.ends} mean"


def sources_are_cited(e: Examined) -> Iterator[str]:
    """Every source has authors, title, venue, year and a web address; published values are finite."""
    if not e.spec.sources:
        yield "no source"
    for source in e.spec.sources:
        if not BIBTEX_KEY.fullmatch(source.key):
            yield f"{source.key!r} is no BibTeX key"
        if not all(text.strip() for text in (source.authors, source.title, source.venue)):
            yield f"{source.key} lacks authors, title or venue"
        if not FIRST_YEAR <= source.year <= LAST_YEAR:
            yield f"{source.key} has year {source.year}"
        if not re.match(r"https?://[^\s/]+\.\S+", source.url):
            yield f"{source.key} has no web address: {source.url!r}"
    for published in e.spec.published:
        if not math.isfinite(published.value):
            yield f"published value {published.what!r} is {published.value}"


def budget_is_sane(e: Examined) -> Iterator[str]:
    """The budget allows a training with its evaluations."""
    budget = e.spec.budget
    if budget.steps and not 1 <= budget.evaluations <= budget.steps:
        yield f"{budget.evaluations} evaluations in {budget.steps} steps"
    if budget.batch_size < 1 or not budget.seconds > 0:
        yield f"batch size {budget.batch_size}, {budget.seconds} seconds"


# --- the data -------------------------------------------------------------------------------------------------------


def examples_are_as_the_problem_says(e: Examined) -> Iterator[str]:
    """Sizes, shapes and types of every split are those that the problem and the split state."""
    for where, spec, split, batch in e.batches:
        if len(batch) != split.size:
            yield f"{where}: {len(batch)} examples, declared {split.size}"
        for name, expected in expected_tensors(spec, batch).items():
            tensor: Tensor = getattr(batch, name)
            if (tensor.dtype, tuple(tensor.shape)) != expected:
                yield f"{where}: {name} is {tensor.dtype} {tuple(tensor.shape)}, expected {expected[0]} {expected[1]}"
            if tensor.device.type != "cpu":
                yield f"{where}: {name} is on {tensor.device}"
        if batch.latent is not None and len(batch.latent) != len(batch):
            yield f"{where}: {len(batch.latent)} latents of {len(batch)} examples"
    for condition in e.conditions:
        spec = e.spec.at(condition)
        total = sum(split.size for split in spec.with_role("train"))
        if total != spec.problem.n_train:
            yield f"{condition}: the problem says n_train {spec.problem.n_train}, the training splits hold {total}"


def expected_tensors(spec: TaskSpec, batch: Batch) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """Type and shape of each tensor that the batch has; token sequences may have any one length."""
    problem, n = spec.problem, len(batch)
    inputs = tuple(batch.x.shape[1:2]) if problem.input_kind == "tokens" else problem.input_shape
    positions = tuple(batch.x.shape[1:2]) if problem.per_position else ()
    expected = {"x": (torch.int64 if problem.input_kind == "tokens" else torch.float32, (n, *inputs))}
    if problem.output_kind == "values":
        expected["y"] = (torch.float32, (n, *positions, problem.n_outputs))
    else:
        expected["y"] = (torch.int64, (n, *positions))
    by_name = {"env": torch.int64, "group": torch.int64, "weight": torch.float32}
    return expected | {name: (dtype, (n,)) for name, dtype in by_name.items() if getattr(batch, name) is not None}


def values_are_in_range(e: Examined) -> Iterator[str]:
    """Inputs, values and weights are finite, labels below n_outputs, tokens below the vocabulary."""
    for where, spec, _, batch in e.batches:
        problem = spec.problem
        for name in ("x", "y", "weight", "latent"):
            tensor: Tensor | None = getattr(batch, name)
            if tensor is not None and not bool(torch.isfinite(tensor).all()):
                yield f"{where}: {name} is not finite"
        if problem.output_kind != "values":
            asked = batch.y[batch.y != IGNORED] if problem.per_position else batch.y
            yield from whole_numbers_below(problem.n_outputs, asked, f"{where}: a label")
        if problem.input_kind == "tokens":
            yield from whole_numbers_below(problem.vocabulary or 0, batch.x, f"{where}: a token")
        if batch.weight is not None and float(batch.weight.min()) < 0:
            yield f"{where}: a weight is negative"


def whole_numbers_below(bound: int, values: Tensor, what: str) -> Iterator[str]:
    """A complaint unless all values are in 0 ... bound - 1."""
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= bound:
        yield f"{what} is {low if low < 0 else high}, out of 0 ... {bound - 1}"


def training_labels_differ(e: Examined) -> Iterator[str]:
    """Training targets are not all the same."""
    for condition, data in e.data.items():
        targets = torch.cat([data[split.name].y.flatten() for split in e.spec.with_role("train")])
        targets = targets[targets != IGNORED]
        if bool((targets == targets[0]).all()):
            yield f"{condition}: every training target is {targets[0]}"


def same_draw_gives_the_same_data(e: Examined) -> Iterator[str]:
    """The same draw gives identical data, in any order of sampling, whatever the global random state is."""
    set_global_seed(1234)
    before = global_state()
    for condition, data in e.data.items():
        again = load_data(e.task, condition, e.draw, list(reversed(e.spec.at(condition).splits)))
        for name in sorted(data):
            if not same(data[name], again[name]):
                yield f"{condition}/{name} differs when it is sampled again, in the reverse order"
    if global_state() != before:
        yield "sampling draws from the global random state of torch, NumPy or Python"


def training_data_stand_alone(e: Examined) -> Iterator[str]:
    """Training splits do not depend on which other splits are sampled."""
    for condition, data in e.data.items():
        for split in e.spec.at(condition).with_role("train"):
            if not same(data[split.name], e.task.sample(condition, split, e.draw)):
                yield f"{condition}/{split.name} differs when it is sampled alone"


def other_draws_give_other_data(e: Examined) -> Iterator[str]:
    """Another seed, and another draw word, gives other training data (`data="fixed"`: the same)."""
    for condition, data in e.data.items():
        for other in (replace(e.draw, seed=OTHER_SEED), replace(e.draw, word="another word")):
            what = f"seed {other.seed}, word {other.word!r}"
            train = e.spec.at(condition).with_role("train")
            equal = all(same(data[s.name], e.task.sample(condition, s, other)) for s in train)
            if equal and e.spec.data == "redrawn":
                yield f"{condition}: {what} gives the same training data, but the card says redrawn"
            if not equal and e.spec.data == "fixed":
                yield f"{condition}: {what} gives other training data, but the card says fixed"


def no_example_leaks(e: Examined) -> Iterator[str]:
    """Training, validation and test splits share no row, where inputs are continuous."""
    tolerated = COINCIDENCES if math.prod(e.spec.problem.input_shape) == 1 else 0.0
    for condition, data in e.data.items():
        if not is_continuous(torch.cat([data[s.name].x.flatten() for s in e.spec.with_role("train")])):
            continue
        train, val, test = (
            {s.name: rows_of(data[s.name]) for s in e.spec.with_role(*roles)}
            for roles in (("train",), ("val",), ("iid", "ood", "probe"))
        )
        for first, second in ((train, val), (train, test), (val, test)):
            for a, rows in first.items():
                for b, others in second.items():
                    if (shared := len(rows & others)) > tolerated * min(len(rows), len(others)):
                        yield f"{condition}: {a} and {b} share {shared} rows"


def is_continuous(x: Tensor) -> bool:
    """Whether equal rows can only be the same example."""
    return x.is_floating_point() and len(np.unique(x.numpy())) > DISCRETE_VALUES


def rows_of(batch: Batch) -> set[bytes]:
    """The inputs of a batch, each as its bytes."""
    return {row.tobytes() for row in batch.x.numpy()}


def sampling_is_fast(e: Examined) -> Iterator[str]:
    """All splits of a condition are sampled in a second of CPU time; optional tasks may be larger."""
    for condition in e.data:
        if not e.task.spec.entry.optional and e.seconds[condition] > SECONDS:
            yield f"{condition}: {e.seconds[condition]:.2f} s"


# --- the score ------------------------------------------------------------------------------------------------------


def measures_are_complete(e: Examined) -> Iterator[str]:
    """A model gets finite scores, with the headline metric on every split that is not for training."""
    for condition, row in e.constant_rows.items():
        for split in e.spec.with_role(*MEASURED):
            values = row.scores.get(split.name, {})
            if e.spec.metric not in values:
                yield f"{condition}/{split.name}: no {e.spec.metric}; measured: {', '.join(values) or 'nothing'}"
        for name, values in row.scores.items():
            for metric, value in values.items():
                if not math.isfinite(value):
                    yield f"{condition}/{name}: {metric} of a constant prediction is {value}"


def summary_is_complete(e: Examined) -> Iterator[str]:
    """The summary has a score in [-0.25, 1], and all of it is finite."""
    summary = e.task.summarize(e.constant_rows)
    values = {"iid": summary.iid, **summary.scores, **summary.indices}
    if summary.ood is not None:
        values["ood"] = summary.ood
    for name, value in values.items():
        if not math.isfinite(value):
            yield f"{name} of a constant prediction is {value}"
    if not e.spec.scored:
        if "score" in summary.scores:
            yield "the card has no floor and no ceiling, but the summary has a score"
    elif not SCORE_CLIP[0] <= summary.scores.get("score", math.inf) <= SCORE_CLIP[1]:
        yield f"score of a constant prediction is {summary.scores.get('score')}"


def order_of_conditions_is_free(e: Examined) -> Iterator[str]:
    """The summary of a constant, and of the ceiling, is the same whatever order the conditions come in."""
    ceiling = None if e.spec.ceiling is None else e.rows(e.spec.ceiling)
    for what, rows in (("a constant", e.constant_rows), (e.spec.ceiling, ceiling)):
        if rows and differs(e.task.summarize(rows), e.task.summarize(dict(reversed(rows.items())))):
            yield f"the summary of {what} changes with the order of the conditions"


def differs(one: Summary, other: Summary) -> bool:
    """Whether two summaries say something else, but for the rounding of sums."""
    pairs = [(one.scores, other.scores), (one.indices, other.indices)]
    if any(a.keys() != b.keys() for a, b in pairs):
        return True
    return any(not math.isclose(a[name], b[name], abs_tol=1e-9) for a, b in pairs for name in a)


def anchors_are_there(e: Examined) -> Iterator[str]:
    """Anchors are finite; every `ood` split has floor and ceiling, and the ceiling is the better one."""
    for condition, anchors in e.anchors.items():
        for split, values in anchors.items():
            for name, value in values.items():
                if not math.isfinite(value):
                    yield f"{condition}/{split}: anchor {name} is {value}"
        for ood in e.spec.with_role("ood") if e.spec.scored else ():
            yield from anchor_complaints(e.spec, anchors.get(ood.name, {}), f"{condition}/{ood.name}")


def anchor_complaints(spec: TaskSpec, values: Mapping[str, float], where: str) -> Iterator[str]:
    """What is wrong with the two ends of the score on one split."""
    assert spec.floor is not None and spec.ceiling is not None
    missing = [name for name in (spec.floor, spec.ceiling) if name not in values]
    if missing:
        yield f"{where}: no anchor {' and no '.join(missing)}; there are: {', '.join(values) or 'none'}"
        return
    gain = (values[spec.ceiling] - values[spec.floor]) * (1 if spec.higher_is_better else -1)
    if not gain > 0:
        yield f"{where}: ceiling {values[spec.ceiling]:.4g} is no better than floor {values[spec.floor]:.4g}"


def ceiling_scores_one(e: Examined) -> Iterator[str]:
    """The ceiling scores 1, where it is a predictor."""
    yield from reference_scores(e, e.spec.ceiling, 1.0)


def floor_scores_zero(e: Examined) -> Iterator[str]:
    """The floor scores 0, where it is a predictor."""
    yield from reference_scores(e, e.spec.floor, 0.0)


def reference_scores(e: Examined, name: str | None, expected: float) -> Iterator[str]:
    """A complaint unless this predictor, where there is one, gets the expected score."""
    rows = None if name is None else e.rows(name)
    if rows is None:
        return
    scores = e.task.summarize(rows).scores
    for kind in ("score", "score_unclipped"):  # a clipped 1 could be anything above
        if not abs(scores.get(kind, expected) - expected) <= EXACT:
            yield f"{kind} of {name} is {scores[kind]:.6g}, expected {expected:g}"


def gate_separates(e: Examined) -> Iterator[str]:
    """The ceiling passes the gate in distribution; a constant prediction does not, where anything is trained."""
    if e.spec.budget.steps == 0:
        return
    ceiling = None if e.spec.ceiling is None else e.rows(e.spec.ceiling)
    if ceiling is not None and not (summary := e.task.summarize(ceiling)).trained:
        yield f"{e.spec.ceiling} has {e.spec.metric} {summary.iid:.4g} in distribution, the gate is {e.spec.gate:.4g}"
    if (summary := e.task.summarize(e.constant_rows)).trained:
        yield f"a constant has {e.spec.metric} {summary.iid:.4g} in distribution and passes the gate {e.spec.gate:.4g}"


def constant_predictor(spec: TaskSpec, data: Data) -> Predictor:
    """Equal logits for classes, the training mean for values."""
    problem = spec.problem
    mean = torch.zeros(problem.n_outputs)
    if problem.output_kind == "values":
        mean = torch.cat([data[s.name].y for s in spec.with_role("train")]).flatten(0, -2).mean(0)

    def predict(batch: Batch) -> Tensor:
        positions = tuple(batch.x.shape[1:2]) if problem.per_position else ()
        return mean.expand(len(batch), *positions, problem.n_outputs)

    return predict


def references_are_what_is_measured(e: Examined) -> Iterator[str]:
    """A stored reference is what its learner scores today, within .03 (first and last split that has one)."""
    stored = [(name, values["reference"]) for name, values in e.spec.constants.items() if "reference" in values]
    if not stored:
        return
    from tasks.reference import measure_reference  # scikit-learn: imported for the few tasks that need it

    for name, value in dict.fromkeys((stored[0], stored[-1])):
        measured = measure_reference(e.task, e.conditions[0], e.spec.split(name), e.draw)
        if not abs(measured - value) <= REFERENCE_TOLERANCE:
            yield f"{name}: the card says {value:.4f}, its learner scores {measured:.4f}"


# --- the doses ------------------------------------------------------------------------------------------------------


def doses_are_sound(e: Examined) -> Iterator[str]:
    """Every value of a dose gives sound data and two ends, its own value the task as it is; there is no other dose."""
    for dose in e.spec.doses:
        yield from dose_complaints(dose, [other.name for other in e.spec.doses])
        for value in dose.values:
            turned = Examined(e.entry, e.task.dosed({dose.name: value}))
            found = turned_complaints(e, turned, value == dose.own)
            yield from (f"{dose.name} {value:g}: {complaint}" for complaint in found)
    try:
        e.task.dosed({"no such dose": 0.0})
    except ValueError:
        return
    yield "a dose that the card does not have is not refused"


def dose_complaints(dose: Dose, names: Sequence[str]) -> Iterator[str]:
    """What is wrong with the declaration of one of the doses of these names."""
    if not NAME.fullmatch(dose.name):
        yield f"dose {dose.name!r} is not a name like 'label-noise'"
    if names.count(dose.name) > 1:
        yield f"two doses are called {dose.name!r}"
    if not dose.unit.strip():
        yield f"dose {dose.name!r} has no unit"
    if sorted(set(dose.values)) != list(dose.values) or len(dose.values) < 2 or dose.own not in dose.values:
        yield f"dose {dose.name!r} has values {dose.values}: not two or more that rise, with its own {dose.own:g}"


def turned_complaints(e: Examined, turned: Examined, own: bool) -> Iterator[str]:
    """Where a turned task cannot be read as the task; at its own value it is the task, at others as sound as it."""
    names, others = ([(split.name, split.role) for split in x.spec.splits] for x in (e, turned))
    if (e.spec.id, names) != (turned.spec.id, others):
        yield f"the splits of {turned.spec.id} are {others}, those of the task {names}"
        return
    changed = changed_splits(e, turned)
    if own and turned.spec != e.spec:
        yield "the task's own value gives another card"
    if own and changed:
        yield f"the task's own value gives other data in {', '.join(changed)}"
    if not own and not changed:
        yield "the data are those of the task's own value"
    for clause in () if own else HELD_BY_EVERY_DOSE:
        yield from clause(turned)


def changed_splits(e: Examined, turned: Examined) -> list[str]:
    """Where two tasks with the same splits have other data."""
    pairs = zip(e.batches, turned.batches, strict=True)
    return [where for (where, *_, batch), (*_, other) in pairs if not same(batch, other)]


HELD_BY_EVERY_DOSE: tuple[Clause, ...] = (
    examples_are_as_the_problem_says,
    values_are_in_range,
    training_labels_differ,
    measures_are_complete,
    summary_is_complete,
    anchors_are_there,
    ceiling_scores_one,
    floor_scores_zero,
    gate_separates,
)

CLAUSES: tuple[Clause, ...] = (
    header_is_valid,
    card_is_plain_data,
    splits_are_declared,
    score_or_axes,
    sources_are_cited,
    budget_is_sane,
    examples_are_as_the_problem_says,
    values_are_in_range,
    training_labels_differ,
    same_draw_gives_the_same_data,
    training_data_stand_alone,
    other_draws_give_other_data,
    no_example_leaks,
    sampling_is_fast,
    measures_are_complete,
    summary_is_complete,
    order_of_conditions_is_free,
    anchors_are_there,
    ceiling_scores_one,
    floor_scores_zero,
    gate_separates,
    references_are_what_is_measured,
    doses_are_sound,
)


def same(first: Batch, second: Batch) -> bool:
    """Whether two batches hold the same tensors, bit for bit."""
    for name in ("x", "y", "env", "weight", "group", "latent"):
        a, b = getattr(first, name), getattr(second, name)
        if (a is None) != (b is None) or (a is not None and not torch.equal(a, b)):
            return False
    return True


def set_global_seed(seed: int) -> None:
    """Seed every global random state that a task must not use."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


def global_state() -> tuple[bytes, str, str]:
    """The global random states, comparable."""
    return torch.get_rng_state().numpy().tobytes(), repr(np.random.get_state()), repr(random.getstate())
