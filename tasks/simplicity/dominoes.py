"""Two blocks, one above the other, each of which tells the label: a simple one, and one that is less so.

The upper block is a disc (label 1) or a cross (label 0). The lower block is, by condition,

    wave             a wave of two periods (1) or one (0), at any phase: no single pixel tells them apart
    same-different   two patterns that are the same (1) or share no cell (0): neither pattern alone says anything
    equal            a disc or a cross again: the two cues differ in nothing but their place

After training, one of the blocks is dealt anew among the test images: what a model still knows, it knows from the other
one. In the control the upper block is a coin from the beginning, so that only the lower one can be learned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from tasks import metrics
from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.dominoes import SIDE, Block, disc_or_cross, same_or_different, wave
from tasks.types import (
    Axis,
    Batch,
    Budget,
    Condition,
    Predictor,
    Problem,
    Published,
    Row,
    Source,
    Split,
    Summary,
    Task,
    TaskSpec,
    class_logits,
)

ENTRIES = {
    "simplicity/dominoes-v1": {
        "summary": "disc or cross above, and below a cue that is harder to see; then the upper block is dealt anew",
        "input": "image",
        "tags": ["synthetic", "classification", "shortcut"],
    },
    "simplicity/dominoes-control-v1": {
        "summary": "the lower blocks of dominoes alone: the upper block never says anything about the label",
        "input": "image",
        "tags": ["synthetic", "classification", "control"],
    },
}

LOWER: Mapping[str, Block] = {"wave": wave, "same-different": same_or_different, "equal": disc_or_cross}
"""Condition to what is drawn in the lower block."""

NOISE_SD = 0.1
N_TRAIN, N_VAL, N_TEST = 5_000, 1_000, 2_000
GATE, CONTROL_GATE = 0.99, 0.6


class Dominoes(Task):
    """x (N, 1, 32, 16); y (N,), balanced; `latent` (N, 2), the classes that the upper and the lower block show.

    Split parameter `dealt_anew`: the block (`upper`, `lower`) that one permutation of the rows moves to other images.
    """

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """All test splits are the same images, so that they differ in the permuted block alone."""
        generator = draw.generator(str(split.params["images"]))
        y = torch.randperm(split.size, generator=generator) % 2
        coin = torch.randint(2, (split.size,), generator=generator)
        shown = torch.stack([coin if "control" in self.spec.entry.tags else y, y], dim=1)
        drawn = [draw_block(shown[:, i], generator) for i, draw_block in enumerate((disc_or_cross, LOWER[condition]))]
        blocks = torch.stack(drawn, dim=1)  # (N, 2, 16, 16)
        blocks = blocks + NOISE_SD * torch.randn(blocks.shape, generator=generator)
        if (dealt := split.params["dealt_anew"]) is not None:
            place, order = ("upper", "lower").index(str(dealt)), torch.randperm(split.size, generator=generator)
            blocks[:, place], shown[:, place] = blocks[order, place], shown[order, place]
        return Batch(blocks.view(split.size, 1, 2 * SIDE, SIDE), y, latent=shown)

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """`oracle` reads the class of the lower block, `simple-reader` that of the upper one, `both` adds them up."""
        return {"oracle": reader(1), "simple-reader": reader(0), "both": reader(0, 1)}

    def evaluate(self, outputs: Tensor, batch: Batch) -> Mapping[str, float]:
        """Adds `auc`, the area under the ROC curve."""
        return {**super().evaluate(outputs, batch), "auc": metrics.roc_auc(outputs, batch.y)}

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """Indices `sb_<condition>`: 2 (AUC - 1/2) with the upper block dealt anew, cut to [0, 1].

        A condition in which the label was not learned has none.
        """
        learned = {c: row for c, row in rows.items() if self.passes_gate(row.scores["iid"]["auc"])}
        sb = {f"sb_{c}": min(max(self.anchored(row, "simple-randomized"), 0.0), 1.0) for c, row in learned.items()}
        return replace(super().summarize(rows), indices=sb)


def reader(*blocks: int) -> Predictor:
    """A predictor that adds up the classes which these blocks show."""

    def predict(batch: Batch) -> Tensor:
        assert batch.latent is not None
        return sum((class_logits(batch.latent[:, block], 2) for block in blocks), torch.zeros(len(batch), 2))

    return predict


SHAH = Source(
    key="shah2020pitfalls",
    authors="Harshay Shah, Kaustav Tamuly, Aditi Raghunathan, Prateek Jain, Praneeth Netrapalli",
    title="The Pitfalls of Simplicity Bias in Neural Networks",
    venue="NeurIPS",
    year=2020,
    url="https://arxiv.org/abs/2006.07710",
)

PUBLISHED = tuple(
    Published(
        f"MNIST above CIFAR, {model}: AUC with the MNIST block dealt anew", value, source="Shah et al. 2020, Table 4"
    )
    for model, value in (("MobileNetV2", 0.52), ("GoogLeNet", 0.51), ("ResNet50", 0.50), ("DenseNet121", 0.52))
)

SHARED_NOTES = (
    "Given the label, all else about the two blocks is independent, as in the source. Both classes of a block have the "
    "same ink, so that brightness tells nothing.",
    "The source pairs MNIST digits (0 or 1) with CIFAR photographs. Here both blocks are drawn, so that the simpler "
    "cue is known to be simpler by construction and the lower one comes at several levels.",
)
NOTES = (
    "The shortcut reads the upper block: it is perfect in distribution and at chance once that block is dealt anew.",
    "In `equal` no block is simpler. A model that adds up both alike ranks 7/8 of the pairs rightly with either block "
    "dealt anew: SB-index 3/4, the yardstick for the other two conditions.",
    "Area under the ROC curve: the source's text says precision-recall, its program computes ROC.",
    "A low index may also mean that the lower block cannot be learned from 5,000 images: read it beside the control.",
    "With 1,000 images of each class the AUC of a model that knows nothing has a standard error of .013, and its "
    "SB-index, which is cut at 0, a mean of .01.",
    *SHARED_NOTES,
)
CONTROL_NOTES = (
    "The control of what a low index in dominoes means: whether the same model learns the lower block from the same "
    "number of images when nothing else tells the label. From an AUC of .9 on, a block counts as learnable; the gate "
    "only keeps out models that learned next to nothing. `complex-randomized` is at chance here.",
    *SHARED_NOTES,
)


ENDS = {
    "wave": ("the simple block alone", "the wave suffices"),
    "same-different": ("the simple block alone", "the patterns suffice"),
    "equal": ("the upper block alone", "the lower one suffices"),
}
LEARNABLE = ("cannot be learned", "is learned")


def build(entry: Entry) -> Task:
    control = "control" in entry.tags
    test = {"images": "test", "dealt_anew": None}
    splits = (
        Split("train", "train", N_TRAIN, {"images": "train", "dealt_anew": None}),
        Split("val", "val", N_VAL, {"images": "val", "dealt_anew": None}),
        Split("iid", "iid", N_TEST, test),
        Split("simple-randomized", "ood", N_TEST, {**test, "dealt_anew": "upper"}),
        Split("complex-randomized", "probe", N_TEST, {**test, "dealt_anew": "lower"}),
    )
    spec = TaskSpec(
        entry=entry,
        question="Can a model see the harder of two cues at all, when nothing else tells the label?"
        if control
        else "When a simple and a harder cue both tell the label, does a model learn the harder one, too?",
        problem=Problem("image", (1, 2 * SIDE, SIDE), "classes", n_outputs=2, n_train=N_TRAIN),
        splits=splits,
        conditions=(
            Condition("wave", "below: a wave of two periods or one, at any phase"),
            Condition("same-different", "below: two patterns, the same or without a common cell"),
            Condition("equal", "below: a disc or a cross again"),
        ),
        budget=Budget(2_000 if control else 1_000, batch_size=64, seconds=240.0, core_seconds=9.0 if control else 6.0),
        metric="auc",
        floor="shortcut",
        ceiling="oracle",
        gate=CONTROL_GATE if control else GATE,
        constants={"simple-randomized": {"shortcut": 0.5}},
        axes=tuple(Axis(f"sb_{name}", *(LEARNABLE if control else ends)) for name, ends in ENDS.items()),
        sources=(SHAH,),
        published=() if control else PUBLISHED,
        notes=CONTROL_NOTES if control else NOTES,
    )
    return Dominoes(spec)
