"""A simple coordinate and many harder ones, each of which tells the label alone: which does a model use?

The sign of a linear coordinate is the label; on a slab coordinate it takes 4 or 6 thresholds. All are drawn
independently given the label, and a random rotation mixes them before a model sees them. Before it, of LMS-5:

    simple .62    complex -.41 .35 .50 ...       label 1 (five slabs: ring 1)
    simple -.18   complex .03 -.88 -.09 ...      label 0 (five slabs: centre or ring 2)

In the test the simple coordinates are shuffled among the rows: whoever used another one loses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tasks.metrics import roc_auc
from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.slabs import FIVE_SLABS, SEVEN_SLABS, Line, Slabs, random_rotation
from tasks.types import (
    Axis,
    Batch,
    Budget,
    Predictor,
    Problem,
    Published,
    Recipe,
    Row,
    Source,
    Split,
    Summary,
    Task,
    TaskSpec,
    class_logits,
)

ENTRIES = {
    "simplicity/slabs-lms5-v1": {
        "summary": "one linear and 49 five-slab coordinates, each perfectly predictive; tested without the linear one",
        "input": "vector",
        "tags": ["synthetic", "classification", "shortcut", "closed-form"],
    },
    "simplicity/slabs-noisy-lms7-v1": {
        "summary": "a linear coordinate right in 95 % and nine perfect seven-slab ones; tested without the linear one",
        "input": "vector",
        "tags": ["synthetic", "classification", "shortcut", "closed-form"],
    },
    "simplicity/slabs-ms57-v1": {
        "summary": "one five-slab and nine seven-slab coordinates, each perfectly predictive; tested without the first",
        "input": "vector",
        "tags": ["synthetic", "classification", "shortcut", "closed-form"],
    },
    "simplicity/slabs-ms5-v1": {
        "summary": "learnability control: 50 five-slab coordinates, nothing simpler",
        "input": "vector",
        "tags": ["synthetic", "classification", "closed-form", "control"],
    },
    "simplicity/slabs-ms7-v1": {
        "summary": "learnability control: ten seven-slab coordinates, nothing simpler",
        "input": "vector",
        "tags": ["synthetic", "classification", "closed-form", "control"],
    },
}

N_TRAIN = 50_000
CHANCE = 0.5


@dataclass(frozen=True)
class Design:
    """At most one coordinate of the simple kind, and complex ones up to `dimension`."""

    simple: Line | Slabs | None
    complex: Slabs
    dimension: int
    steps: int
    core_seconds: float

    @property
    def n_simple(self) -> int:
        """0 or 1."""
        return int(self.simple is not None)

    @property
    def noisy(self) -> bool:
        """Whether the simple coordinate alone is wrong at times."""
        return isinstance(self.simple, Line) and self.simple.noise > 0

    @property
    def gate(self) -> float:
        """The least area in distribution; decisions by the sign of the noisy coordinate have .95."""
        return 0.93 if self.noisy else 0.98

    def coordinates(self, y: Tensor, generator: torch.Generator) -> Tensor:
        """Coordinates (N, d) of examples with labels y (N,), the simple one first, not yet rotated."""
        simple = [] if self.simple is None else [self.simple.sample(y, 1, generator)]
        return torch.cat([*simple, self.complex.sample(y, self.dimension - self.n_simple, generator)], dim=1)


DESIGNS = {
    "simplicity/slabs-lms5": Design(Line(), FIVE_SLABS, dimension=50, steps=2_000, core_seconds=2.7),
    "simplicity/slabs-noisy-lms7": Design(Line(noise=0.1), SEVEN_SLABS, dimension=10, steps=1_500, core_seconds=1.8),
    "simplicity/slabs-ms57": Design(FIVE_SLABS, SEVEN_SLABS, dimension=10, steps=1_500, core_seconds=1.8),
    "simplicity/slabs-ms5": Design(None, FIVE_SLABS, dimension=50, steps=2_000, core_seconds=2.7),
    "simplicity/slabs-ms7": Design(None, SEVEN_SLABS, dimension=10, steps=1_500, core_seconds=1.8),
}


class SlabData(Task):
    """Area under the ROC curve with the simple, or the complex, coordinates shuffled among the test rows."""

    def __init__(self, spec: TaskSpec, design: Design) -> None:
        super().__init__(spec)
        self.design = design

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """x = R z (N, d); `latent` is z, its block `split.params["shuffled"]` moved by one permutation of the rows."""
        generator = draw.generator(split.name)
        y = torch.randint(2, (split.size,), generator=generator)
        z = self.design.coordinates(y, generator)
        blocks = {"simple": slice(self.design.n_simple), "complex": slice(self.design.n_simple, None)}
        if (block := split.params["shuffled"]) is not None:
            columns = blocks[str(block)]
            z[:, columns] = z[torch.randperm(split.size, generator=generator), columns]
        rotation = random_rotation(self.design.dimension, draw.generator("world"))
        return Batch(z @ rotation.T, y, latent=z)

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """`oracle` reads one complex coordinate, `simple_alone` the simple one where there is one."""
        design = self.design

        def oracle(batch: Batch) -> Tensor:
            assert batch.latent is not None
            return class_logits(design.complex.label(batch.latent[:, -1]), 2)

        def simple_alone(batch: Batch) -> Tensor:
            assert batch.latent is not None and design.simple is not None
            return class_logits(design.simple.label(batch.latent[:, 0]), 2)

        return {"oracle": oracle} | ({} if design.simple is None else {"simple_alone": simple_alone})

    def evaluate(self, outputs: Tensor, batch: Batch) -> Mapping[str, float]:
        """Adds `auc`, the area under the ROC curve."""
        return {**super().evaluate(outputs, batch), "auc": roc_auc(outputs, batch.y)}

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """`sb_index` is 2 AUC - 1 without the simple coordinate, in [0, 1]; `simple_suffices` the same of the rest.

        Where the simple coordinate is noisy, `beyond_simple` is 0 at its Bayes accuracy in distribution, 1 without
        an error, and unbounded below.
        """
        summary = super().summarize(rows)
        if self.design.simple is None:
            return summary
        (row,) = rows.values()
        indices = {
            "sb_index": above_chance(row.scores["simple-randomized"]["auc"]),
            "simple_suffices": above_chance(row.scores["complex-randomized"]["auc"]),
        }
        scores = dict(summary.scores)
        if isinstance(self.design.simple, Line) and self.design.noisy:
            bayes = self.design.simple.bayes
            scores["beyond_simple"] = (row.scores["iid"]["accuracy"] - bayes) / (1 - bayes)
        return replace(summary, scores=scores, indices=indices)


def above_chance(auc: float) -> float:
    """2 AUC - 1, in [0, 1]."""
    return min(max((auc - CHANCE) / (1 - CHANCE), 0.0), 1.0)


SHAH = Source(
    key="shah2020pitfalls",
    authors="Harshay Shah, Kaustav Tamuly, Aditi Raghunathan, Prateek Jain, Praneeth Netrapalli",
    title="The Pitfalls of Simplicity Bias in Neural Networks",
    venue="NeurIPS",
    year=2020,
    url="https://arxiv.org/abs/2006.07710",
)

TABLE_4 = "Shah et al. 2020, Table 4 (50 coordinates)"
PUBLISHED = {
    "simplicity/slabs-lms5": (
        Published("two hidden layers of 100 ReLU units, AUC, simple randomized", 0.49, source=TABLE_4),
        Published("the same, AUC, complex randomized", 1.0, source=TABLE_4),
        Published("two-layer CNN, AUC, simple randomized", 0.50, source=TABLE_4),
        Published("two-layer GRU, AUC, simple randomized", 0.50, source=TABLE_4),
        Published("one layer of 2,000 ReLU units, AUC, simple randomized", 0.50, 0.01, "Shah et al. 2020, Figure 3b"),
    ),
    "simplicity/slabs-noisy-lms7": (
        Published("accuracy of the best use of the linear coordinate alone", 0.95, source="closed form, 1 - .1 / 2"),
    ),
    "simplicity/slabs-ms57": (
        Published("fully connected, CNN and GRU, AUC, simple randomized", 0.50, source=TABLE_4),
        Published("the same, AUC, complex randomized", 1.0, source=TABLE_4),
    ),
    "simplicity/slabs-ms5": (),
    "simplicity/slabs-ms7": (),
}

PROTOCOL = (
    "The area is that under the ROC curve. The paper's text says precision-recall, its published numbers are ROC.",
    "SGD .1 as published, with momentum .9, which the published main runs lack: 50 five-slab coordinates alone are "
    "then learned in 1,000 steps, so a task and its control can have one recipe and one budget.",
    "Slab coordinates have mean 0 and one variance in both classes: neither a linear nor a quadratic form of them has "
    "a mean that depends on the label.",
)
NOTES = (
    "Shortcut: the simple coordinate. Oracle: any of the complex ones. Both tell the label in training (the simple one "
    "up to its noise, where it has any), so that accuracy in distribution does not say which was learned.",
    "Floor: after the shuffle the area under the curve of a function of the simple coordinate is .5 in expectation, "
    "whatever the function. The constant is used, not the value on these rows (`simple_alone`, standard error .008 "
    "with 5,000 rows): the score is then 2 AUC - 1, the published quantity, and a pure shortcut scores 0 +- .016.",
    "One permutation moves the whole block, before the rotation, so the block keeps its joint distribution and its "
    "agreement with itself.",
)
CONTROL_NOTES = (
    "A learnability control: nothing simpler is there, so a model that fails here cannot be said to prefer the simple "
    "coordinate where there is one. `ood` is one more draw from the training distribution.",
)
SMALL = (
    "Ten coordinates, where the paper has 50: among ten, nearest neighbours see the slabs and rely on them, which "
    "tells classes apart; networks prefer the simple coordinate in both. 50,000 training examples, as the paper.",
)
NOISE = (
    "Exactly round(N / 10) rows, whatever their label, have a linear coordinate within the margin. The appendix of "
    "the paper interchanges p and 1 - p; its main text and the .95 agree with this.",
    "The noise rows leave a gradient towards the slabs: after 1,500 steps a ReLU network stands near .95, and with "
    "twice as many it goes beyond. Among 50 coordinates, with 40,000 examples and 6,000 steps, it memorizes the noise "
    "rows instead.",
)
CONTROL_OF = {
    "simplicity/slabs-lms5": "slabs-ms5",
    "simplicity/slabs-noisy-lms7": "slabs-ms7",
    "simplicity/slabs-ms57": "slabs-ms7",
}


def splits(design: Design) -> tuple[Split, ...]:
    """The splits of a task, or of a control, which has nothing to shuffle."""
    intact = {"shuffled": None}
    in_distribution = (
        Split("train", "train", N_TRAIN, intact),
        Split("val", "val", 2_000, intact),
        Split("iid", "iid", 5_000, intact),
    )
    if design.simple is None:
        return (*in_distribution, Split("fresh", "ood", 5_000, intact))
    return (
        *in_distribution,
        Split("simple-randomized", "ood", 5_000, {"shuffled": "simple"}),
        Split("complex-randomized", "probe", 5_000, {"shuffled": "complex"}),
    )


def notes(name: str, design: Design) -> tuple[str, ...]:
    """What to know of one of the tasks."""
    if design.simple is None:
        return CONTROL_NOTES + PROTOCOL
    control = f"Control: `{CONTROL_OF[name]}`, with the same recipe and budget, holds complex coordinates alone."
    return (*NOTES, control, *(NOISE if design.noisy else ()), *(SMALL if design.dimension < 50 else ()), *PROTOCOL)


def build(entry: Entry) -> Task:
    """One of three tasks, or one of two controls."""
    design = DESIGNS[entry.name]
    control = design.simple is None
    ood = "fresh" if control else "simple-randomized"
    spec = TaskSpec(
        entry=entry,
        question=(
            "Are slabs learned at all, when nothing simpler tells the label?"
            if control
            else "When a simple coordinate tells the label, does a model use the harder ones as well?"
        ),
        problem=Problem("vector", (design.dimension,), "classes", n_outputs=2, n_train=N_TRAIN),
        splits=splits(design),
        budget=Budget(steps=design.steps, batch_size=256, seconds=300.0, core_seconds=design.core_seconds),
        recipe=Recipe(optimizer="sgd", learning_rate=0.1, momentum=0.9),
        metric="auc",
        gate=design.gate,
        floor="chance",
        ceiling="oracle",
        axes=() if control else (Axis("sb_index", "the simplest feature alone", "complex features suffice"),),
        constants={ood: {"chance": CHANCE}},
        sources=(SHAH,),
        published=PUBLISHED[entry.name],
        notes=notes(entry.name, design),
    )
    return SlabData(spec, design)
