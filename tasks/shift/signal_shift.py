"""MNIST-1D signals that are further along, larger or noisier in the test than they ever were in training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

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
        "summary": "MNIST-1D trained on small shifts, small amplitudes or little noise and tested on larger ones",
        "input": "signal",
        "tags": ["synthetic", "classification", "ladder"],
    },
    "shift/signal-shift-control-v1": {
        "summary": "the same with a test from the training distribution: what a model loses without any shift",
        "input": "signal",
        "tags": ["synthetic", "classification", "control"],
    },
}

LAWS = {
    "translation": {
        "train": SignalLaw(shift=(0, 23)),
        "ood": SignalLaw(shift=(24, 47)),
        "mild": SignalLaw(shift=(24, 31)),
        "severe": SignalLaw(shift=(40, 47)),
    },
    "scale": {
        "train": SignalLaw(scale=(0.8, 1.0)),
        "ood": SignalLaw(scale=(1.0, 1.2)),
        "mild": SignalLaw(scale=(1.0, 1.1)),
        "severe": SignalLaw(scale=(1.2, 1.6)),
    },
    "noise": {
        "train": SignalLaw(),
        "ood": SignalLaw(noise=2.0),
        "mild": SignalLaw(noise=1.5),
        "severe": SignalLaw(noise=4.0),
    },
}

class SignalShift(Task):
    def law(self, condition: str, split: Split) -> SignalLaw:
        return LAWS[condition].get(str(split.params["law"]), LAWS[condition]["train"])

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        law = LAWS[condition][str(split.params["law"])]
        mean, sd = mnist1d.standardization(LAWS[condition]["train"])
        signals, labels = mnist1d.sample(law, split.size, draw.numpy(split.name))
        x = torch.from_numpy((signals - mean) / sd).float()[:, None]
        return Batch(x, torch.from_numpy(labels))

def build(entry: Entry) -> Task:
    t={"law":"train"}
    return SignalShift(
        TaskSpec(
            entry=entry,
            question="?",
            problem=Problem("signal", (1, mnist1d.LENGTH), "classes", n_outputs=10, n_train=4_000),
            splits=(
                Split("train", "train", 4_000, t),
                Split("val", "val", 1_000, t),
                Split("iid", "iid", 2_000, t),
                Split("ood", "ood", 2_000, {"law":"ood"}),
                Split("mild", "probe", 1_000, {"law":"mild"}),
                Split("severe", "probe", 1_000, {"law":"severe"}),
            ),
            conditions=tuple(Condition(c) for c in LAWS),
            budget=Budget(steps=3_000, batch_size=100),
            recipe=Recipe(learning_rate=1e-2),
            metric="accuracy",
            floor="chance",
            ceiling="oracle",
            constants={s:{"chance":.1,"oracle":1.0} for s in ("val","iid","ood","mild","severe")},
            gate=0.3,
            sources=(),
        )
    )
