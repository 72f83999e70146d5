"""MNIST-1D signals that lie further along, are larger or noisier in the test than they ever were in training.

Each condition restricts one knob of the generator in training and moves it in the test, so that a loss has one cause. A
convolution with global pooling does not see the translation at all; a dense network has no reason to follow it.

    translation   shift 0..23 -> 24..47    scale   0.8..1.0 -> 1.0..1.2    noise   both noises x 2

The control is the same with a test from the training distribution.
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
        "summary": "MNIST-1D learned near the start, small or clean, and tested further along, larger or noisier",
        "input": "signal",
        "tags": ["synthetic", "classification", "ladder"],
    },
    "shift/signal-shift-control-v1": {
        "summary": "MNIST-1D learned near the start, small or clean, and tested on more of the same",
        "input": "signal",
        "tags": ["synthetic", "classification", "control"],
    },
}


@dataclass(frozen=True)
class Level:
    """A distribution of signals, and the accuracy of its Bayes classifier (`tasks.sources.mnist1d_bayes`)."""

    law: SignalLaw
    bayes: float


LEVELS: Final = {
    "translation": {
        "train": Level(SignalLaw(shift=(0, 23)), 0.999),
        "test": Level(SignalLaw(shift=(24, 47)), 0.999),
        "rung-1": Level(SignalLaw(shift=(24, 31)), 0.999),
        "rung-2": Level(SignalLaw(shift=(32, 39)), 0.999),
        "rung-3": Level(SignalLaw(shift=(40, 47)), 0.999),
    },
    "scale": {
        "train": Level(SignalLaw(scale=(0.8, 1.0)), 0.999),
        "test": Level(SignalLaw(scale=(1.0, 1.2)), 0.999),
        "rung-1": Level(SignalLaw(scale=(1.0, 1.2)), 0.999),
        "rung-2": Level(SignalLaw(scale=(1.2, 1.6)), 0.999),
        "rung-3": Level(SignalLaw(scale=(1.6, 2.4)), 0.999),
    },
    "noise": {
        "train": Level(SignalLaw(), 0.999),
        "test": Level(SignalLaw(noise=2.0), 0.979),
        "rung-1": Level(SignalLaw(noise=1.5), 0.999),
        "rung-2": Level(SignalLaw(noise=2.0), 0.979),
        "rung-3": Level(SignalLaw(noise=4.0), 0.876),
    },
}
"""Condition, then level. Bayes accuracies are Monte Carlo means over 4,000 signals."""


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


def build(entry: Entry) -> Task:
    shifted = "control" not in entry.tags
    train = {"level": "train"}
    rungs = [Split(f"rung-{k}", "probe", 1_000, {"level": f"rung-{k}"}, severity=k) for k in (1, 2, 3)]
    splits = (
        Split("train", "train", 4_000, train),
        Split("val", "val", 1_000, train),
        Split("iid", "iid", 2_000, train, severity=0),
        Split("ood", "ood", 2_000, {"level": "test"} if shifted else train),
        *(rungs if shifted else []),
    )
    return SignalShift(
        TaskSpec(
            entry=entry,
            question="Does a classifier of signals carry over to places, sizes and noise that it was not trained on?",
            problem=Problem("signal", (1, mnist1d.LENGTH), "classes", mnist1d.N_CLASSES, n_train=4_000),
            splits=splits,
            severity_unit="rung: shift 24.., 32.., 40..47; scale ..1.2, ..1.6, ..2.4; noise x 1.5, 2, 4" if shifted else "",
            conditions=(
                Condition("translation", "shift 0..23 in training, 24..47 in the test"),
                Condition("scale", "scale .8 to 1 in training, 1 to 1.2 in the test"),
                Condition("noise", "noise x 1 in training, x 2 in the test"),
            ),
            budget=Budget(steps=2_000, batch_size=100, seconds=240.0),
            recipe=Recipe(learning_rate=1e-2),
            metric="accuracy",
            floor="chance",
            ceiling="oracle",
            constants={split.name: {"chance": 1 / mnist1d.N_CLASSES} for split in splits if split.role != "train"},
            gate=0.25,
            sources=(GREYDANUS_KOBAK,),
        )
    )
