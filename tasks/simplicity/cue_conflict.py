"""Images whose cues all agree with the label in training: which of them does a model follow when they part ways?

`cue-conflict`: sprites with four cues of three values each. In the training of one seed, say, every triangle is green,
large and upright, and has label 2. In the probes every combination of the cues comes equally often, and the decisions
are held against each cue in turn:

    a green square, of middle size, upright    2 by `colour` and `orientation`; 0 by `shape`, where squares had label 0

`global-local`: letters made of small glyphs. In the training of one seed, say, every L is made of dots; in the probes
letters are made of other letters' glyphs. The controls train with one informative cue, all others at random.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.cue_images import LETTER_CUES, LETTER_SIDE, SPRITE_CUES, SPRITE_SIDE, letters, sprites
from tasks.types import (
    Axis,
    Batch,
    Budget,
    Condition,
    Predictor,
    Problem,
    Published,
    Role,
    Row,
    Source,
    Split,
    Summary,
    Task,
    TaskSpec,
    class_logits,
)

ENTRIES = {
    "simplicity/cue-conflict-v1": {
        "summary": "sprites whose shape, colour, size and orientation agree in training and conflict in the probes",
        "input": "image",
        "tags": ["synthetic", "classification", "conflict"],
    },
    "simplicity/cue-conflict-control-v1": {
        "summary": "sprites of which one cue tells the label, alone: shape, colour, size or orientation",
        "input": "image",
        "tags": ["synthetic", "classification", "control"],
    },
    "simplicity/global-local-v1": {
        "summary": "letters made of small glyphs that agree with the letter in training and conflict in the probes",
        "input": "image",
        "tags": ["synthetic", "classification", "conflict"],
    },
    "simplicity/global-local-control-v1": {
        "summary": "letters made of small glyphs, of which one tells the label, alone: letter or glyph",
        "input": "image",
        "tags": ["synthetic", "classification", "control"],
    },
}

N_TRAIN, N_VAL, N_IID = 3_000, 500, 1_000
ROUNDS = 12  # of every combination of the sprites' cues
LETTER_ROUNDS = 100
UNDECIDED = 0.1

Render = Callable[[Tensor, torch.Generator], Tensor]


class Cues(Task):
    """Images x (N, *S) of cues with V values each; `latent` (N, cues) is the label that each cue stands for.

    Which values go together is dealt anew for every seed.

    Split parameter `cues`: `agree`; `independent` (every combination equally often); `conflict` (of these, the ones in
    which no two cues agree). `label`: the cue that labels follow; without it, the condition's. Splits with the same
    `images` show the same ones.
    """

    def __init__(self, spec: TaskSpec, cues: Mapping[str, int], render: Render) -> None:
        super().__init__(spec)
        self.cues = tuple(cues)
        self.n_values = max(cues.values())
        self.render = render

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        generator = draw.generator(str(split.params["images"]))
        rows = combinations(str(split.params["cues"]), len(self.cues), self.n_values)
        order = torch.randperm(split.size, generator=generator)
        shown = rows[order % len(rows)]  # each combination equally often, or once more
        label = self.cues.index(str(split.params.get("label", condition)))
        return Batch(self.render(self.values(shown, draw), generator), shown[:, label], latent=shown)

    def values(self, labels: Tensor, draw: Draw) -> Tensor:
        """The value of each cue (N, cues) that stands for these labels (N, cues) in this world."""
        world = draw.generator("world")
        return torch.stack([torch.randperm(self.n_values, generator=world)[each] for each in labels.unbind(1)], dim=1)

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """A reader of each cue, and `vote`, the plurality of all of them."""
        readers = {f"{cue}-reader": partial(read, place, self.n_values) for place, cue in enumerate(self.cues)}
        return {**readers, "vote": partial(vote, self.n_values)}

    def agreement(self, rows: Mapping[str, Row]) -> dict[str, float]:
        """The share of decisions on the probes that each cue would have made, too."""
        (row,) = rows.values()
        return {cue: row.scores[cue]["accuracy"] for cue in self.cues}


class CueConflict(Cues):
    """The preference vector: how much of a model's decisions each cue explains."""

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """Indices: v = (agreement - 1/V) / (1 - 1/V) of each cue, and `breadth`, the entropy of its positive part."""
        chance = 1 / self.n_values
        preference = {cue: (share - chance) / (1 - chance) for cue, share in self.agreement(rows).items()}
        return replace(super().summarize(rows), indices={**breadth(preference), **preference})


class GlobalLocal(Cues):
    """The share of decisions for the letter, among those for the letter or for its glyphs."""

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """Index `global_bias`, undefined where hardly more decisions follow a cue than a guess among V would."""
        share = self.agreement(rows)
        followed = share["global"] + share["local"]
        indices = {"global_bias": share["global"] / followed} if followed > 2 / self.n_values + UNDECIDED else {}
        return replace(super().summarize(rows), indices=indices)


class OneCue(Cues):
    """The control: each condition's label is the cue of that name, and all others are independent of it."""

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """`oracle` reads the condition's cue."""
        return {"oracle": partial(read, self.cues.index(condition), self.n_values)}

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """Indices: how well each cue was learned, under the name that stands for how far it is followed otherwise."""
        return replace(super().summarize(rows), indices={cue: self.anchored(row, "test") for cue, row in rows.items()})


def combinations(kind: str, n_cues: int, n_values: int) -> Tensor:
    """The combinations of cue values (K, cues) that a split shows."""
    every = torch.cartesian_prod(*[torch.arange(n_values)] * n_cues)
    highest = functional.one_hot(every, n_values).sum(1).amax(1)  # how many cues agree on one value
    return {"agree": every[highest == n_cues], "independent": every, "conflict": every[highest == 1]}[kind]


def read(place: int, n_values: int, batch: Batch) -> Tensor:
    """The answer of one cue."""
    assert batch.latent is not None
    return class_logits(batch.latent[:, place], n_values)


def vote(n_values: int, batch: Batch) -> Tensor:
    """The number of cues for each answer."""
    assert batch.latent is not None
    return functional.one_hot(batch.latent, n_values).sum(1).float()


def breadth(preference: Mapping[str, float]) -> dict[str, float]:
    """Entropy of the positive part over that of all cues alike: 0 is a single cue, 1 all equally.

    Nothing where the positive parts sum to less than a tenth: no cue is followed then.
    """
    positive = [v for v in preference.values() if v > 0]
    total = sum(positive)
    if total < UNDECIDED:
        return {}
    entropy = -sum(v / total * math.log(v / total) for v in positive)
    return {"breadth": entropy / math.log(len(preference))}


SCIMECA = Source(
    key="scimeca2022shortcut",
    authors="Luca Scimeca, Seong Joon Oh, Sanghyuk Chun, Michael Poli, Sangdoo Yun",
    title="Which Shortcut Cues Will DNNs Choose? A Study from the Parameter-Space Perspective",
    venue="ICLR",
    year=2022,
    url="https://arxiv.org/abs/2110.03095",
)
HERMANN = Source(
    key="hermann2020what",
    authors="Katherine L. Hermann, Andrew K. Lampinen",
    title="What shapes feature representations? Exploring datasets, architectures, and training",
    venue="NeurIPS",
    year=2020,
    url="https://arxiv.org/abs/2006.12433",
)
TENEY = Source(
    key="teney2022evading",
    authors="Damien Teney, Ehsan Abbasnejad, Simon Lucey, Anton van den Hengel",
    title="Evading the Simplicity Bias: Training a Diverse Set of Models Discovers Solutions with Superior OOD "
    "Generalization",
    venue="CVPR",
    year=2022,
    url="https://arxiv.org/abs/2105.05612",
)
NAVON = Source(
    key="navon1977forest",
    authors="David Navon",
    title="Forest before trees: The precedence of global features in visual perception",
    venue="Cognitive Psychology 9(3)",
    year=1977,
    url="https://doi.org/10.1016/0010-0285(77)90012-3",
)
GEIRHOS = Source(
    key="geirhos2019texture",
    authors="Robert Geirhos, Patricia Rubisch, Claudio Michaelis, Matthias Bethge, Felix A. Wichmann, Wieland Brendel",
    title="ImageNet-trained CNNs are biased towards texture; increasing shape bias improves accuracy and robustness",
    venue="ICLR",
    year=2019,
    url="https://arxiv.org/abs/1811.12231",
)

SPRITE_NOTES = (
    "Shapes are a square, an ellipse and an equilateral triangle; size is the area (25, 49 or 100 pixels, within 2 %), "
    "the same for every shape, so that ink tells size and not shape. Orientation is 0, 30 or 60 degrees, which no "
    "symmetry of a shape maps onto each other. The upper left corner has 3 x 3 places; pixel noise has sd .05.",
    "The source takes dSprites at 64 x 64 with 3 values of each cue; here 21 x 21 pixels, equal areas, and noise.",
)
SPRITE_READING = (
    "No cue is the right one, so there is no score. Published sign: colour dominates, size and orientation are "
    "ignored.",
    "The probes are one set of images with the labels of each cue in turn. All 81 combinations come equally often, the "
    "three in which all cues agree among them: a reader of one cue then gets 1 on it and exactly 1/3 on every other, "
    "v = (1, 0, 0, 0), and a model that follows one cue at a time has its shares as v. Without the three it would be "
    "below chance on the others (4/13).",
    "Breadth rises with small v, which are noise below .02 (one standard error): read it beside them. It is left out "
    "where the positive parts of v sum to less than .1.",
    "A cue that is ignored may be one that the model cannot learn: the control trains on each alone.",
)
LETTER_NOTES = (
    "Every letter has eight glyphs on 5 x 5 places of 4 pixels, every glyph the same ink: brightness says nothing. The "
    "letter's upper left corner has 14 x 14 places in 32 x 32 pixels, many times a glyph's pitch; noise has sd .05.",
)
LETTER_READING = (
    "The formula is Geirhos et al.'s shape bias: decisions for the letter over decisions for letter or glyph, on "
    "images whose two cues differ. It is left out where at most .6 of decisions follow either: of guesses, half do.",
    "Geirhos et al. probe networks trained on photographs, whose local cue is texture; here the training has no other "
    "images, and both cues are equally predictive. Compare the formula, not the number.",
    *LETTER_NOTES,
)
CONTROL_READING = (
    "Whether a model could have learned each cue from as many images, had no other told the label. A cue counts as "
    "learnable from an accuracy of .95 on; below it, that the main task's model ignores it may in part be inability. "
    "Nothing is out of distribution, so the gate only keeps out models that learned next to nothing.",
)


def build(entry: Entry) -> Task:
    if entry.name.startswith("simplicity/cue-conflict"):
        cues, render, sides = SPRITE_CUES, sprites, (3, SPRITE_SIDE, SPRITE_SIDE)
    else:
        cues, render, sides = LETTER_CUES, letters, (1, LETTER_SIDE, LETTER_SIDE)
    problem = Problem("image", sides, "classes", n_outputs=max(cues.values()), n_train=N_TRAIN)
    if "control" in entry.tags:
        return OneCue(control(entry, problem, cues), cues, render)
    if cues is SPRITE_CUES:
        return CueConflict(cue_conflict(entry, problem), cues, render)
    return GlobalLocal(global_local(entry, problem), cues, render)


def seen(kind: str, **label: str) -> tuple[Split, ...]:
    """Training, validation and in-distribution test with cues of one kind."""
    sizes: dict[Role, int] = {"train": N_TRAIN, "val": N_VAL, "iid": N_IID}
    return tuple(Split(role, role, n, {"images": role, "cues": kind, **label}) for role, n in sizes.items())


def probes(kind: str, size: int, cues: Mapping[str, int]) -> tuple[Split, ...]:
    """The same images once for each cue, with its labels."""
    return tuple(Split(cue, "probe", size, {"images": "probes", "cues": kind, "label": cue}) for cue in cues)


def cue_conflict(entry: Entry, problem: Problem) -> TaskSpec:
    """The card of the sprites."""
    return TaskSpec(
        entry=entry,
        question="Of four cues that are equally good in training, which does a model follow, and how many?",
        problem=problem,
        splits=(
            *seen("agree", label="shape"),
            *probes("independent", ROUNDS * math.prod(SPRITE_CUES.values()), SPRITE_CUES),
        ),
        budget=Budget(steps=1_000, batch_size=64, seconds=240.0, core_seconds=3.0),
        metric="accuracy",
        gate=0.99,
        axes=(
            Axis("breadth", low="one cue alone", high="all four alike"),
            *(Axis(cue, low=f"{cue} is ignored", high=f"{cue} decides alone") for cue in SPRITE_CUES),
        ),
        sources=(SCIMECA, HERMANN, TENEY),
        notes=(*SPRITE_READING, *SPRITE_NOTES),
    )


def global_local(entry: Entry, problem: Problem) -> TaskSpec:
    """The card of the letters."""
    conflicts = problem.n_outputs * (problem.n_outputs - 1)
    return TaskSpec(
        entry=entry,
        question="Does a model see the forest or the trees: the letter, or the glyphs that it is made of?",
        problem=problem,
        splits=(*seen("agree", label="global"), *probes("conflict", LETTER_ROUNDS * conflicts, LETTER_CUES)),
        budget=Budget(steps=1_000, batch_size=64, seconds=240.0, core_seconds=3.0),
        metric="accuracy",
        gate=0.9,  # a linear model stays below .99, and is worth reading
        axes=(Axis("global_bias", low="local glyphs", high="global shape"),),
        sources=(NAVON, GEIRHOS),
        published=(
            Published("shape bias (not this task): ResNet-50 on ImageNet", 0.2139, source="rgeirhos/texture-vs-shape"),
            Published("the same, trained on stylized ImageNet", 0.8137, source="rgeirhos/texture-vs-shape"),
        ),
        notes=LETTER_READING,
    )


def control(entry: Entry, problem: Problem, cues: Mapping[str, int]) -> TaskSpec:
    """The card of either control."""
    sprites_shown = cues is SPRITE_CUES
    n_combinations = math.prod(cues.values())
    size = n_combinations * (N_IID // n_combinations)
    return TaskSpec(
        entry=entry,
        question="Can a model learn each cue when it is the only one that tells the label?",
        problem=problem,
        splits=(*seen("independent"), Split("test", "ood", size, {"images": "test", "cues": "independent"})),
        conditions=tuple(Condition(cue, f"the label is the {cue} cue; the others are independent") for cue in cues),
        budget=Budget(steps=1_500, batch_size=64, seconds=360.0, core_seconds=14.0 if sprites_shown else 6.0),
        metric="accuracy",
        floor="chance",
        ceiling="oracle",
        constants={"test": {"chance": 1 / problem.n_outputs}},
        gate=0.5,
        axes=tuple(Axis(cue, low="cannot be learned", high="is learned") for cue in cues),
        sources=(SCIMECA,) if sprites_shown else (NAVON, GEIRHOS),
        notes=(*CONTROL_READING, *(SPRITE_NOTES if sprites_shown else LETTER_NOTES)),
    )
