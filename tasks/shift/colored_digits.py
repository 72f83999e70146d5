"""A digit's shape predicts the label in 75 % of images everywhere, its colour in 80 and 90 % in training, 10 % at test.

A label is "digit below 5", flipped with probability .25; the colour is the label, flipped with probability e. The image
has two channels and the digit stands in the one that its colour names. Training mixes e = .1 and e = .2, the headline
is e = .9, and a ladder of e = 0, .1, ..., 1 shows how much of a prediction is colour.

    digit 3, label 1, colour 1 (agrees: 85 % of the training images)    x[1] is a 3, x[0] is empty
    digit 3, label 1, colour 0 (disagrees: 90 % of the test images)     x[0] is a 3, x[1] is empty

In the control colour is a coin in training and at test: there is no shortcut, and no model should gain or lose.

Doses: the number of training environments, how often their colours are right, and the share of flipped labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.digits import SIDE, Collection, collection, pool
from tasks.types import (
    Batch,
    Budget,
    Dose,
    Predictor,
    Problem,
    Published,
    Recipe,
    Source,
    Split,
    Task,
    TaskSpec,
    class_logits,
)

ENTRIES = {
    "shift/colored-digits-v1": {
        "summary": "colour predicts the label better than shape in training, and is reversed at test",
        "input": "image",
        "tags": ["real", "classification", "spurious", "environments", "ladder"],
    },
    "shift/colored-digits-control-v1": {
        "summary": "coloured digits whose colour means nothing, in training or at test",
        "input": "image",
        "tags": ["real", "classification", "control", "ladder"],
    },
    "shift/colored-mnist-v1": {
        "summary": "coloured digits from all of MNIST",
        "input": "image",
        "tags": ["real", "classification", "spurious", "environments", "ladder"],
        "optional": True,
    },
    "shift/colored-fashion-v1": {
        "summary": "coloured garments from Fashion-MNIST",
        "input": "image",
        "tags": ["real", "classification", "spurious", "environments", "ladder"],
        "optional": True,
    },
}

LABEL_NOISE = 0.25
ENVIRONMENTS = 2
SPURIOUS = 0.85  # of training colours agree with the label
DISTANCE = 0.1  # of the smallest and the largest colour noise in training
REVERSED = 0.9
COIN = 0.5
GATE = 0.6  # of the way from a coin to the worse of shape and colour
LADDER = tuple(rung / 10 for rung in range(11))

DOSES = (
    Dose("environments", (2, 3, 5, 8), ENVIRONMENTS, "training environments, as many examples in all"),
    Dose("spurious", (0.65, 0.75, 0.85, 0.95, 1.0), SPURIOUS, "share of training colours that agree with the label"),
    Dose("label-noise", (0.0, 0.1, 0.25, 0.35), LABEL_NOISE, "share of flipped labels, in training and at test"),
)

IRM = Source(
    key="arjovsky2019invariant",
    authors="Martin Arjovsky, Leon Bottou, Ishaan Gulrajani and David Lopez-Paz",
    title="Invariant Risk Minimization",
    venue="arXiv preprint",
    year=2019,
    url="https://arxiv.org/abs/1907.02893",
)
DOMAINBED = Source(
    key="gulrajani2021search",
    authors="Ishaan Gulrajani and David Lopez-Paz",
    title="In Search of Lost Domain Generalization",
    venue="ICLR",
    year=2021,
    url="https://openreview.net/forum?id=lQdXeXDoWtI",
)


class ColoredDigits(Task):
    """Accuracy under a colour noise that moves. `env` is the place of an image's noise in its split's list."""

    def __init__(self, spec: TaskSpec, images: Collection, label_noise: float = LABEL_NOISE) -> None:
        super().__init__(spec)
        self.images = images
        self.label_noise = label_noise

    def turned(self, dose: Mapping[str, float]) -> Task:
        """Other colour noises in training, or other labels. The ladder stays, and the gate follows the two cues."""
        spurious, label_noise = dose.get("spurious", SPURIOUS), dose.get("label-noise", LABEL_NOISE)
        noises = training_noises(int(dose.get("environments", ENVIRONMENTS)), spurious)
        spec = replace(self.spec, splits=splits(self.images, noises, REVERSED), gate=gate(spurious, label_noise))
        return ColoredDigits(spec, self.images, label_noise)

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """Test splits hold the same images with the same labels; along the ladder only colours change, one by one.

        `latent` (N,) is the class that the shape tells, before label noise; `group` is 2 * label + colour.
        """
        images, digits = self.images.examples(split, draw)
        label_flip, color_flip = self.images.random(torch.rand, split, draw, "flips", (2,)).unbind(1)
        noise = torch.tensor(split.params["color_noise"])
        env = torch.arange(split.size) % len(noise)
        shape = (digits < 5).long()
        y = shape ^ (label_flip < self.label_noise)
        color = y ^ (color_flip < noise[env])
        x = torch.zeros(split.size, 2, SIDE, SIDE)
        x[torch.arange(split.size), color] = pool(images)
        return Batch(x, y, env=env, group=2 * y + color, latent=shape)

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """`oracle` answers with the shape's class, `shortcut` with the colour."""
        return {
            "oracle": lambda batch: class_logits(shape_of(batch), 2),
            "shortcut": lambda batch: class_logits(color_of(batch), 2),
        }


def shape_of(batch: Batch) -> Tensor:
    """What the digit tells about the label (N,), which every batch of these tasks carries."""
    assert batch.latent is not None
    return batch.latent


def color_of(batch: Batch) -> Tensor:
    """The channel (N,) that has the ink."""
    return batch.x.sum((2, 3)).argmax(1)


def training_noises(environments: int, spurious: float) -> tuple[float, ...]:
    """Colour noises, evenly spread around 1 - spurious; .05 to either side, or as far as 0 allows."""
    mean = 1 - spurious
    reach = min(DISTANCE / 2, mean)
    return tuple(round(mean + reach * (2 * i / (environments - 1) - 1), 9) for i in range(environments))


def gate(spurious: float, label_noise: float) -> float:
    """An accuracy that whoever uses one of the two cues reaches in distribution, whichever it is."""
    return COIN + GATE * (min(spurious, 1 - label_noise) - COIN)


def splits(images: Collection, training_noise: tuple[float, ...], headline: float) -> tuple[Split, ...]:
    """In-distribution splits that mix the training environments, the headline, and the other rungs of the ladder."""
    parts, mixture = images.parts, {"color_noise": list(training_noise)}
    rung_size = parts.test // 3

    def rung(noise: float) -> Split:
        name, params = f"noise-{noise:.1f}", {"color_noise": [noise]}
        if noise == headline:
            return Split(name, "ood", parts.test, params, severity=noise)
        return Split(name, "probe", rung_size, params, severity=noise)

    return (
        Split("train", "train", parts.train, mixture),
        Split("val", "val", parts.validation, mixture),
        Split("iid", "iid", parts.test, mixture),
        *(rung(noise) for noise in LADDER),
    )


def published() -> tuple[Published, ...]:
    """Accuracy at colour noise .9 of the IRM paper's released program, mean and sd over 10 restarts."""
    what = "accuracy at colour noise .9, 50,000 digits"
    return (
        Published("shape alone, every noise", 1 - LABEL_NOISE),
        Published("colour alone, training mixture", SPURIOUS),
        Published("colour alone, colour noise .9", 1 - REVERSED),
        Published(f"{what}, MLP, ERM", 0.17070, 0.00674, IRM.key),
        Published(f"{what}, MLP, IRMv1 (selected on the test environment)", 0.66902, 0.02540, IRM.key),
        Published(f"{what}, MLP on colourless images", 0.73012, 0.00468, IRM.key),
        Published(
            "accuracy at colour noise .9, 70,000 digits, CNN, ERM, selected in distribution",
            0.100,
            0.001,
            DOMAINBED.key,
        ),
    )


NOTES = (
    "The shortcut is the colour: 85 % in distribution, 10 % on the headline. Shape alone gives 75 % everywhere, and no "
    "predictor without the colour can do better. The score is 0 for colour, 1 for shape; a coin would score .62, but a "
    "coin does not pass the gate.",
    "A quarter of the labels is noise, so a network that trains for long memorizes: it then agrees with colour less "
    "often, without reading shape much better. In-distribution validation selects an early step; read the curve.",
    "In distribution colour is the better predictor: a model that ignores it pays 10 points there.",
    "The published numbers are of other protocols. IRM: 25,000 digits an environment, every second pixel kept, 501 "
    "full-batch steps, the last one reported. DomainBed: 28 x 28 pixels, one minibatch an environment and step.",
    "More environments have colour noises that are spread evenly from .1 to .2. With another shortcut the two lie .05 "
    "to either side of its complement. A colour that is always right leaves no room for that: both are 0, the "
    "environments are one distribution, and nothing in training speaks against the colour. The gate lies 60 % of the "
    "way from a coin to the worse of shape and colour in distribution, so that either solution passes it.",
)
CONTROL_NOTES = (
    "The twin of the coloured digits without their shortcut: colour is a coin in training and on the headline, which "
    "has the in-distribution examples. Models should tie and be flat along the ladder. What they lack to the oracle's "
    "75 % is what a quarter of flipped labels costs with few digits, not a preference for colour.",
)


def build(entry: Entry) -> Task:
    images, control = collection(entry), "control" in entry.tags
    training_noise, headline = ((COIN, COIN), COIN) if control else (training_noises(ENVIRONMENTS, SPURIOUS), REVERSED)
    spec = TaskSpec(
        entry=entry,
        question=(
            "Does a model that never saw a colour predict the label still treat it as noise where it is unbalanced?"
            if control
            else "Between a noisy shape and a colour that is more often right, in every training environment but to "
            "a different degree, which one does a model use?"
        ),
        problem=Problem("image", (2, SIDE, SIDE), "classes", n_outputs=2, n_train=images.parts.train),
        splits=splits(images, training_noise, headline),
        budget=Budget(3000, 128, seconds=900.0) if images.full else Budget(1000, 128),
        recipe=Recipe(optimizer="adam", learning_rate=1e-3),
        metric="accuracy",
        floor="chance" if control else "shortcut",
        ceiling="oracle",
        gate=0.6 if control else gate(SPURIOUS, LABEL_NOISE),
        doses=() if control else DOSES,
        constants={f"noise-{COIN}": {"chance": 0.5}} if control else {},
        sources=(IRM, DOMAINBED, images.source),
        licence=images.licence,
        severity_unit="share of colours that contradict the label",
        published=() if control else published(),
        notes=CONTROL_NOTES if control else NOTES,
    )
    return ColoredDigits(spec, images)
