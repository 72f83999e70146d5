"""The nouns of a task and the contract that every task keeps.

Shapes: N examples, S input shape, L positions, C outputs.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from statistics import fmean
from typing import Any, Literal

import torch
from torch import Tensor

from tasks import metrics
from tasks.registry import Entry
from tasks.seeds import Draw

InputKind = Literal["vector", "signal", "image", "tokens"]
OutputKind = Literal["classes", "values", "sequence"]
Role = Literal["train", "val", "iid", "ood", "probe", "fitted"]
MEASURED: tuple[Role, ...] = ("val", "iid", "ood", "probe", "fitted")
Json = str | int | float | bool | None | Sequence["Json"] | Mapping[str, "Json"]

Predict = Callable[[Tensor], Tensor]
"""A trained model: inputs (N, *S) to logits or values (N, C), or (N, L, C) where the problem is per position."""

SCORE_CLIP = (-0.25, 1.0)


class MissingData(Exception):
    """A task's data are not on this machine; the message says what to install or set. Its trials are skipped."""


@dataclass(frozen=True)
class Problem:
    """All that a model's constructor learns: shapes and kinds, never a task's name, a split or a floor.

    `input_shape` is (d,) for vectors, (C, L) for signals, (C, H, W) for images and (max_length,) for tokens, where
    a model may meet longer sequences than that. A binary label has two outputs.

    `sequence` outputs are the logits of the next token at every position (N, L, C), from the tokens up to there and no
    later one; `per_position` is then true. Inputs are the question and the answer so far, filled up on the right.
    """

    input_kind: InputKind
    input_shape: tuple[int, ...]
    output_kind: OutputKind
    n_outputs: int
    n_train: int
    vocabulary: int | None = None
    per_position: bool = False


@dataclass(frozen=True)
class Split:
    """A distribution described by plain data, and how many examples are drawn from it.

    Roles: `train` (several train splits are several batches that are never mixed in one step, such as lengths),
    `val` (in-distribution, selects the step), `iid` (in-distribution test), `ood` (the test that the score is
    made of), `probe` (measured and shown, not scored), `fitted` (training examples again, to measure how well they were
    learned). `severity` orders a ladder; its unit stands in `params`.
    """

    name: str
    role: Role
    size: int
    params: Mapping[str, Json] = field(default_factory=dict)
    severity: float | None = None


@dataclass(frozen=True)
class Condition:
    """One of the trainings that a task compares (weighted or not, one target function or another).

    `params` are the task's own. `hparams` are given to the class in place of its own, such as a `width`; a class that
    does not take one is skipped. `problem` and `sizes` are fields of the problem and sizes of splits that differ here.
    """

    name: str
    summary: str = ""
    params: Mapping[str, Json] = field(default_factory=dict)
    hparams: Mapping[str, Json] = field(default_factory=dict)
    problem: Mapping[str, Any] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Json]:
        """All that sets it apart, for readers."""
        return {**self.params, **self.hparams, **self.problem, **self.sizes}


@dataclass(frozen=True)
class Budget:
    """What one training may cost. `seconds` is the wall-clock limit of a trial on one core; over it is `timeout`.

    No steps are no training: the task asks about the class as it is initialised. `core_seconds` is what one seed of
    all conditions took on one core, for the baseline `mlp`, or for `lstm` where the inputs are tokens. The
    `evaluations` are evenly spaced, or with `first`, the step of the first one, geometrically from there to the last.
    """

    steps: int
    batch_size: int
    evaluations: int = 10
    seconds: float = 300.0
    core_seconds: float | None = None
    first: int | None = None


@dataclass(frozen=True)
class Recipe:
    """How a network is optimized. The task proposes one, a model class may override any of its fields.

    `clip_norm` clips the gradient's global norm; `warmup_steps` rise linearly from 0; `cosine` falls to 0.
    """

    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = 0
    clip_norm: float | None = None

    def override(self, changes: Mapping[str, object]) -> Recipe:
        """This recipe with some fields replaced.

        Raises:
            ValueError: for a field that no recipe has.
        """
        known = {f.name for f in fields(self)}
        if unknown := sorted(set(changes) - known):
            raise ValueError(f"recipe has no field {', '.join(unknown)}; it has {', '.join(sorted(known))}")
        return replace(self, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Source:
    """A cited work. `key` is its BibTeX key."""

    key: str
    authors: str
    title: str
    venue: str
    year: int
    url: str


@dataclass(frozen=True)
class Published:
    """A number that the literature (or a closed form) gives, so that a reader can hold ours against it."""

    what: str
    value: float
    spread: float | None = None
    source: str = ""


@dataclass(frozen=True)
class Axis:
    """An index with two ends, neither of which is better: between which solutions a model class chose.

    `index` is its name among `Summary.indices`; `low` and `high` say in a few words what `ends` stand for.
    """

    index: str
    low: str
    high: str
    ends: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class Dose:
    """A knob of a task that a sweep turns, to see how the answer depends on it; `own` is its value in the task."""

    name: str
    values: tuple[float, ...]
    own: float
    unit: str


@dataclass(frozen=True)
class TaskSpec:
    """Everything about a task that is plain data: its card.

    `metric` is the headline metric. `floor` and `ceiling` name the two anchors of the score, among those that
    `Task.anchors` gives for a split: usually `shortcut` or `chance`, and `oracle` or `reference`. A task where no
    solution is the right one has neither, and no score: it describes by its `axes`, and is never ranked.
    `constants` are anchors that hold for every draw, by split: closed forms, chance, and, where no oracle can be
    written, a reference learner trained on the target distribution (see `tasks.reference`).
    `gate` is the in-distribution value of the metric that a model must reach to count as trained.
    """

    entry: Entry
    question: str
    problem: Problem
    splits: tuple[Split, ...]
    budget: Budget
    metric: str
    gate: float
    sources: tuple[Source, ...]
    floor: str | None = None
    ceiling: str | None = None
    axes: tuple[Axis, ...] = ()
    doses: tuple[Dose, ...] = ()
    recipe: Recipe = Recipe()
    conditions: tuple[Condition, ...] = (Condition("default"),)
    constants: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    higher_is_better: bool = True
    data: Literal["redrawn", "fixed"] = "redrawn"
    licence: str = "generated by this package, Apache-2.0"
    severity_unit: str = ""
    published: tuple[Published, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return self.entry.id

    @property
    def summary(self) -> str:
        return self.entry.summary

    @property
    def scored(self) -> bool:
        """Whether there is a right answer, and with it a score."""
        return self.floor is not None and self.ceiling is not None

    @property
    def family(self) -> str:
        return self.entry.id.split("/")[0]

    def at(self, condition: str) -> TaskSpec:
        """The card as it is in one condition: its problem, and the sizes of its splits."""
        own = self.condition(condition)
        splits = tuple(replace(split, size=own.sizes.get(split.name, split.size)) for split in self.splits)
        return replace(self, problem=replace(self.problem, **own.problem), splits=splits)

    def with_role(self, *roles: Role) -> tuple[Split, ...]:
        """The splits that play one of these roles, in the order of the card."""
        return tuple(split for split in self.splits if split.role in roles)

    def split(self, name: str) -> Split:
        """The split with this name.

        Raises:
            KeyError: naming the splits that there are.
        """
        for split in self.splits:
            if split.name == name:
                return split
        raise KeyError(f"{self.id} has no split {name!r}; it has {', '.join(s.name for s in self.splits)}")

    def condition(self, name: str) -> Condition:
        """The condition with this name.

        Raises:
            KeyError: naming the conditions that there are.
        """
        for condition in self.conditions:
            if condition.name == name:
                return condition
        raise KeyError(f"{self.id} has no condition {name!r}; it has {', '.join(c.name for c in self.conditions)}")


@dataclass(frozen=True)
class Batch:
    """N examples. A model sees `x` alone; an algorithm what it declares; `latent` is for oracles.

    x: (N, *S), float32, or int64 for tokens. y: (N,) int64 class, or (N, C) float32 values, or (N, L) classes
    per position, `metrics.IGNORED` where none is asked. env, group: (N,) int64. weight: (N,) float32. latent: (N, ...).
    """

    x: Tensor
    y: Tensor
    env: Tensor | None = None
    weight: Tensor | None = None
    group: Tensor | None = None
    latent: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Every tensor changed the same way, such as moved to a device or indexed."""
        return Batch(**{name: change(value) for name, value in vars(self).items() if value is not None})


Predictor = Callable[[Batch], Tensor]
"""A reference predictor: it may use latents, weights, anything in the batch; it returns what a model would."""

Scores = Mapping[str, Mapping[str, float]]
"""Split name to metric name to value."""

Data = Mapping[str, Batch]
"""Split name to its examples."""


@dataclass(frozen=True)
class Row:
    """One trained condition of one cell: `scores[split][metric]`, and the anchors of the headline metric.

    `curve` has the scores at every measured step, so that a task can say when something was learned. `n_parameters` is
    None for what is not a network.
    """

    scores: Scores
    anchors: Scores
    curve: Sequence[tuple[int, Scores]] = ()
    n_parameters: int | None = None

    @property
    def last(self) -> Scores:
        """The scores at the last measured step; those that there are of a predictor that took none."""
        return self.curve[-1][1] if self.curve else self.scores


@dataclass(frozen=True)
class Summary:
    """What people read about one model on one task and seed.

    `iid` and `ood` are the headline metric, averaged over the splits of all conditions, or of those that a task says;
    one that only describes may have no `ood`. `scores` have a good end (`score` is the ranked one); `indices` describe
    which solution was chosen and are never averaged over tasks or ranked. An index that is undefined is left out.
    """

    iid: float
    ood: float | None
    trained: bool
    scores: Mapping[str, float]
    indices: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Trained:
    """A model as the harness hands it to `Task.measure`: it predicts, and its class can be asked for fresh instances.

    `fresh(0)`, `fresh(1)`, ... are untrained instances, also as functions of inputs, and others in every trial seed.
    `features`, (N, *S) to (N, F), are the inputs of the last linear layer. An estimator has neither, and is skipped.
    """

    predict: Predict
    fresh: Callable[[int], Predict]
    features: Callable[[Tensor], Tensor]

    def __call__(self, x: Tensor) -> Tensor:
        return self.predict(x)


class Task(ABC):
    """A question about model classes: data, reference predictors, a measure and a summary. It has no state."""

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec

    def dosed(self, dose: Mapping[str, float]) -> Task:
        """The task with some knobs turned; the same card otherwise, so that results are read in the same way.

        Raises:
            ValueError: for a knob that the task does not have, or a value that it does not take.
        """
        values = {knob.name: knob.values for knob in self.spec.doses}
        for name, value in dose.items():
            if name not in values:
                raise ValueError(f"{self.spec.id} has no dose {name}; it has {', '.join(values) or 'none'}")
            if value not in values[name]:
                raise ValueError(
                    f"{self.spec.id} has no {name} of {value}; it takes {', '.join(map(str, values[name]))}"
                )
        return self.turned(dose) if dose else self

    def turned(self, dose: Mapping[str, float]) -> Task:
        """`dosed` for knobs that are known to exist; a task that declares doses says what they do."""
        raise NotImplementedError(f"{self.spec.id} declares doses and does not say what they do")

    @abstractmethod
    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """`split.size` examples of a split. What all splits of a world share comes from `draw.generator("world")`."""

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """Reference predictors by name: `oracle`, `shortcut`, `content_blind`, ... The data decide their scores."""
        return {}

    def reference_data(self, condition: str, split: Split, draw: Draw) -> tuple[Batch, Batch] | None:
        """Where no oracle can be written: training and test examples that both follow `split`'s distribution.

        `tasks.reference` trains a stated learner on the first and scores it on the second; the value stands in
        `constants[split]["reference"]`, and `python -m tasks.check` measures it again.
        """
        return None

    def measure(self, condition: str, predict: Predict, data: Data) -> Scores:
        """The metrics of a model on every split but the training ones. A task with another question overrides it.

        `predict` is a `Trained` where a trial is measured, and any function of inputs in a loop of one's own.
        """
        evaluated = self.spec.with_role(*MEASURED)
        return {split.name: self.evaluate(predict(data[split.name].x), data[split.name]) for split in evaluated}

    def evaluate(self, outputs: Tensor, batch: Batch) -> Mapping[str, float]:
        """The metrics of outputs (N, C) on one batch; the headline metric is among them."""
        return metrics.evaluate(outputs, batch.y, self.spec.problem.output_kind, group=batch.group)

    def is_answered(self, scores: Scores) -> bool:
        """Whether a training may end before its budget, since these scores already show what the task asks."""
        return False

    def anchors(self, condition: str, data: Data, draw: Draw) -> Scores:
        """Known values of the headline metric, `anchors[split][name]`: constants, and the reference predictors."""
        anchors = {split.name: dict(self.spec.constants.get(split.name, {})) for split in self.spec.splits}
        batch_of = {id(batch.x): batch for batch in data.values()}
        for name, predictor in self.references(condition, draw).items():

            def predict(x: Tensor, predictor: Predictor = predictor) -> Tensor:
                return predictor(batch_of[id(x)])

            for split, values in self.measure(condition, predict, data).items():
                if self.spec.metric in values:
                    anchors[split][name] = values[self.spec.metric]
        return {split: values for split, values in anchors.items() if values}

    def anchored(self, row: Row, split: str) -> float:
        """(m - floor) / (ceiling - floor): 0 is the floor's solution, 1 the ceiling's, whichever way is up."""
        assert self.spec.floor is not None and self.spec.ceiling is not None, f"{self.spec.id} has no score"
        floor, ceiling = row.anchors[split][self.spec.floor], row.anchors[split][self.spec.ceiling]
        return (row.scores[split][self.spec.metric] - floor) / (ceiling - floor)

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """All conditions of one cell and seed to what people read.

        `score` is the mean over conditions and `ood` splits of the anchored value, each clipped to [-0.25, 1] so
        that one explosion does not hide the rest; `score_unclipped` is the plain mean.
        """
        ood = [split.name for split in self.spec.with_role("ood")]
        iid_value = self.role_mean(rows, "iid")
        scores = {}
        if self.spec.scored:
            anchored = [self.anchored(row, split) for row in rows.values() for split in ood]
            scores = {"score": fmean(clip(a) for a in anchored), "score_unclipped": fmean(anchored)}
        return Summary(
            iid=iid_value,
            ood=self.role_mean(rows, "ood") if ood else None,
            trained=self.passes_gate(iid_value),
            scores=scores,
        )

    def role_mean(self, rows: Mapping[str, Row], role: Role) -> float:
        """The headline metric averaged over conditions and over the splits of a role."""
        names = [split.name for split in self.spec.with_role(role)]
        return fmean(row.scores[name][self.spec.metric] for row in rows.values() for name in names)

    def passes_gate(self, iid_value: float) -> bool:
        """Whether an in-distribution value counts as trained."""
        return iid_value >= self.spec.gate if self.spec.higher_is_better else iid_value <= self.spec.gate


def clip(score: float) -> float:
    """A score as tables show it, in [-0.25, 1]."""
    low, high = SCORE_CLIP
    return min(max(score, low), high) if math.isfinite(score) else low


def load_data(task: Task, condition: str, draw: Draw, splits: Sequence[Split] | None = None) -> dict[str, Batch]:
    """Every split of a condition, by name."""
    return {split.name: task.sample(condition, split, draw) for split in splits or task.spec.at(condition).splits}


def class_logits(labels: Tensor, n_outputs: int) -> Tensor:
    """Labels (N,) or (N, L) that a reference predictor chose, as confident but finite logits (..., C)."""
    return 10.0 * torch.nn.functional.one_hot(labels.long(), n_outputs).float()
