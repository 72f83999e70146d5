"""MNIST-1D signals that lie further along, are smaller or noisier in the test than they ever were in training.

Each condition restricts one knob of the generator in training and moves it in the test, so that a loss has one cause. A
convolution with global pooling does not see the translation at all; a dense network has no reason to follow it.

    translation   shift 0..23 -> 24..47    scale   1.0..1.2 -> 0.8..1.0    noise   both noises x 2

The control is the translation's training law with a test from that same law.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import torch

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources import mnist1d
from tasks.sources.mnist1d import SignalLaw
from tasks.types import (
    Batch,
    Budget,
    Condition,
    Data,
    Problem,
    Published,
    Recipe,
    Row,
    Scores,
    Source,
    Split,
    Summary,
    Task,
    TaskSpec,
    clip,
)

ENTRIES = {
    "shift/signal-shift-v1": {
        "summary": "MNIST-1D learned near the start, large or clean, and tested further along, smaller or noisier",
        "input": "signal",
        "tags": ["synthetic", "classification", "ladder"],
    },
    "shift/signal-shift-control-v1": {
        "summary": "MNIST-1D learned near the start, and tested on more of the same",
        "input": "signal",
        "tags": ["synthetic", "classification", "control"],
    },
}


KNOBS: Final = {"translation": "shift", "scale": "scale", "noise": "noise"}
"""Condition to the one field of the training law that the test moves."""


@dataclass(frozen=True)
class Level:
    """A distribution of signals, and the accuracy of its Bayes classifier (`tasks.sources.mnist1d_bayes`)."""

    law: SignalLaw
    bayes: float


LEVELS: Final = {
    "translation": {
        "train": Level(SignalLaw(shift=(0, 23)), bayes=1.0),
        "test": Level(SignalLaw(shift=(24, 47)), bayes=1.0),
        "rung-1": Level(SignalLaw(shift=(24, 31)), bayes=1.0),
        "rung-2": Level(SignalLaw(shift=(32, 39)), bayes=1.0),
        "rung-3": Level(SignalLaw(shift=(40, 47)), bayes=1.0),
    },
    "scale": {
        "train": Level(SignalLaw(scale=(1.0, 1.2)), bayes=1.0),
        "test": Level(SignalLaw(scale=(0.8, 1.0)), bayes=0.999),
        "rung-1": Level(SignalLaw(scale=(0.8, 1.0)), bayes=0.999),
        "rung-2": Level(SignalLaw(scale=(0.6, 0.8)), bayes=0.998),
        "rung-3": Level(SignalLaw(scale=(0.4, 0.6)), bayes=0.977),
    },
    "noise": {
        "train": Level(SignalLaw(noise=1.0), bayes=0.999),
        "test": Level(SignalLaw(noise=2.0), bayes=0.977),
        "rung-1": Level(SignalLaw(noise=1.5), bayes=0.995),
        "rung-2": Level(SignalLaw(noise=2.0), bayes=0.977),
        "rung-3": Level(SignalLaw(noise=4.0), bayes=0.867),
    },
}
"""Condition, then level. The accuracies are Monte Carlo means over 2,000 signals, in the noise over 16,000."""


class SignalShift(Task):
    """Ten classes from 40 numbers; what `split.params["level"]` means is a matter of the condition."""

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """Signals (N, 1, 40), every split standardized by mean and deviation of the condition's training law."""
        mean, sd = mnist1d.standardization(LEVELS[condition]["train"].law)
        signals, labels = mnist1d.sample(level(condition, split).law, split.size, draw.numpy(split.name))
        return Batch(torch.from_numpy((signals - mean) / sd).float().unsqueeze(1), torch.from_numpy(labels))

    def anchors(self, condition: str, data: Data, draw: Draw) -> Scores:
        """Chance, and the Bayes accuracy of each split's law as `oracle`."""
        anchors = super().anchors(condition, data, draw)
        return {
            split: {**values, "oracle": level(condition, self.spec.split(split)).bayes}
            for split, values in anchors.items()
        }

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """The mean score and that of each condition; indices `drop_*` are accuracy in distribution minus outside."""
        summary = super().summarize(rows)
        apart = {f"score_{name}": clip(self.anchored(row, "ood")) for name, row in rows.items()}
        drops = {
            f"drop_{name}": row.scores["iid"]["accuracy"] - row.scores["ood"]["accuracy"] for name, row in rows.items()
        }
        return replace(summary, scores={**summary.scores, **apart}, indices=drops)


def level(condition: str, split: Split) -> Level:
    """What a split is drawn from in this condition."""
    return LEVELS[condition][str(split.params["level"])]


GREYDANUS_KOBAK: Final = Source(
    key="greydanus2024mnist1d",
    authors="Sam Greydanus and Dmitry Kobak",
    title="Scaling Down Deep Learning with MNIST-1D",
    venue="ICML",
    year=2024,
    url="https://proceedings.mlr.press/v235/greydanus24a.html",
)


PUBLISHED: Final = tuple(
    Published(what, value, spread, GREYDANUS_KOBAK.key)
    for what, value, spread in (
        ("released data, best test accuracy: logistic regression", 0.32, 0.01),
        ("released data, best test accuracy: MLP", 0.68, 0.02),
        ("released data, best test accuracy: CNN", 0.94, 0.02),
        ("released data, best test accuracy: GRU", 0.91, 0.02),
        ("released data, accuracy: a person", 0.96, 0.01),
        ("released data, accuracy at the last step: logistic regression", 0.315, None),
        ("released data, accuracy at the last step: MLP", 0.651, None),
        ("released data, accuracy at the last step: CNN", 0.923, None),
        ("released data, accuracy at the last step: GRU", 0.891, None),
    )
)

NOTES: Final = (
    "The ceiling is the Bayes classifier: each digit's likelihood, summed over paddings and shifts. It gets nearly "
    "every signal right at the noise of MNIST-1D (people: 96 %), 98 % at twice and 87 % at four times that noise.",
    "The released signals span all three training ranges, so their published accuracies are for orientation. They are "
    "the best over evaluations on the test set; the last-step ones are of one seed.",
    "The scale falls rather than rises: a larger curve stands out better from the noise, and from .8..1 to 1..1.2 "
    "linear models, MLPs and CNNs lose less than .01.",
    "A curve covers at most 19 of 72 positions, so a shift up to 47 never wraps it around.",
    "Every split is standardized by the mean and deviation of the condition's training law, never by its own.",
    "Early overfitting is normal at this learning rate; validation on a draw of its own selects the step.",
)
CONTROL_NOTES: Final = (
    "A negative control: `ood` is one more draw from the training law, so every drop is chance.",
    *NOTES[:1],
)


def splits(shifted: bool) -> tuple[Split, ...]:
    """The splits of the task, or of its control, whose `ood` test follows the training law."""
    in_distribution = (
        Split("train", "train", 4_000, {"level": "train"}),
        Split("val", "val", 1_000, {"level": "train"}),
        Split("iid", "iid", 2_000, {"level": "train"}, severity=0.0 if shifted else None),
    )
    if not shifted:
        return (*in_distribution, Split("ood", "ood", 2_000, {"level": "train"}))
    rungs = (Split(f"rung-{k}", "probe", 1_000, {"level": f"rung-{k}"}, severity=float(k)) for k in (1, 2, 3))
    return (*in_distribution, Split("ood", "ood", 2_000, {"level": "test"}), *rungs)


def condition(name: str, shifted: bool) -> Condition:
    """A condition with the range of its knob at each level that is used."""
    levels = {key: getattr(each.law, KNOBS[name]) for key, each in LEVELS[name].items() if shifted or key == "train"}
    return Condition(name, f"{KNOBS[name]} of the generator", levels)


def build(entry: Entry) -> Task:
    shifted = "control" not in entry.tags
    declared = splits(shifted)
    return SignalShift(
        TaskSpec(
            entry=entry,
            question="Does a classifier of signals carry over to places, sizes and noise that it was not trained on?",
            problem=Problem("signal", (1, mnist1d.LENGTH), "classes", mnist1d.N_CLASSES, n_train=4_000),
            splits=declared,
            severity_unit="rung of the condition's ladder" if shifted else "",
            conditions=tuple(condition(name, shifted) for name in (LEVELS if shifted else ("translation",))),
            budget=Budget(steps=2_000, batch_size=100, seconds=240.0),
            recipe=Recipe(learning_rate=1e-2),
            metric="accuracy",
            floor="chance",
            ceiling="oracle",
            constants={split.name: {"chance": 1 / mnist1d.N_CLASSES} for split in declared if split.role != "train"},
            gate=0.25,
            sources=(GREYDANUS_KOBAK,),
            published=PUBLISHED,
            notes=NOTES if shifted else CONTROL_NOTES,
        )
    )
