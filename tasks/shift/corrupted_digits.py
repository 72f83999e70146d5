"""Clean digits in training; at test the same pixels with noise, blur, less contrast, an occlusion or coarse blocks.

Five corruptions of the 14 x 14 image that a model sees, pixels in [0, 1], each in five levels of one constant:

    noise       plus independent Gaussian noise of this standard deviation, clipped to [0, 1]
    blur        a Gaussian filter of this standard deviation in pixels, cut at three of them, zero outside
    contrast    deviations from the image's mean times this factor
    occlusion   a grey square (0.5) with this side in pixels, anywhere inside the image
    pixelation  averaged down to this many pixels a side, then repeated up to 14

An image keeps its noise pattern and the draw of its square's place through the levels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from statistics import fmean
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.digits import N_CLASSES, SIDE, Collection, collection, pool
from tasks.types import (
    Batch,
    Budget,
    Predictor,
    Problem,
    Recipe,
    Row,
    Source,
    Split,
    Summary,
    Task,
    TaskSpec,
    class_logits,
    clip,
)

ENTRIES = {
    "shift/corrupted-digits-v1": {
        "summary": "clean digits in training, five corruptions in five levels at test",
        "input": "image",
        "tags": ["real", "classification", "ladder"],
    },
    "shift/corrupted-mnist-v1": {
        "summary": "corrupted digits from all of MNIST",
        "input": "image",
        "tags": ["real", "classification", "ladder"],
        "optional": True,
    },
    "shift/corrupted-fashion-v1": {
        "summary": "corrupted garments from Fashion-MNIST",
        "input": "image",
        "tags": ["real", "classification", "ladder"],
        "optional": True,
    },
}

GREY = 0.5


def noise(x: Tensor, sd: float, randomness: Tensor) -> Tensor:
    """x (n, 14, 14) plus Gaussian noise; `randomness` (n, 14, 14) is standard normal."""
    return (x + sd * randomness).clamp(0, 1)


def blur(x: Tensor, sd: float, randomness: Tensor) -> Tensor:
    """x (n, 14, 14) filtered with a Gaussian of `sd` pixels, rows and then columns."""
    reach = math.ceil(3 * sd)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sd) ** 2)
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    rows = functional.conv2d(x.unsqueeze(1), kernel, padding=(0, reach))
    return functional.conv2d(rows, kernel.transpose(2, 3), padding=(reach, 0)).squeeze(1)


def contrast(x: Tensor, factor: float, randomness: Tensor) -> Tensor:
    """x (n, 14, 14) drawn towards each image's mean."""
    mean = x.mean((1, 2), keepdim=True)
    return mean + factor * (x - mean)


def occlusion(x: Tensor, side: float, randomness: Tensor) -> Tensor:
    """x (n, 14, 14) under a grey square; the first two numbers of `randomness`, mapped to [0, 1], place it."""
    place = torch.special.ndtr(randomness.flatten(1)[:, :2])  # (n, 2)
    corner = (place * (SIDE - side + 1)).floor().clamp(max=SIDE - side)
    position = torch.arange(SIDE) - corner.unsqueeze(2)  # (n, 2, 14), from the square's edge
    inside = (position >= 0) & (position < side)
    return torch.where(inside[:, 0, :, None] & inside[:, 1, None, :], GREY, x)


def pixelation(x: Tensor, pixels: float, randomness: Tensor) -> Tensor:
    """x (n, 14, 14) on a coarser grid of `pixels` x `pixels`, each the mean of the area that it covers."""
    edges = torch.linspace(0, SIDE, int(pixels) + 1)
    fine = torch.arange(SIDE)
    overlap = (torch.minimum(edges[1:, None], fine + 1) - torch.maximum(edges[:-1, None], fine)).clamp(min=0)
    coarse_and_back = overlap.T @ overlap * pixels / SIDE  # (14, 14), symmetric: no shift by half a pixel
    return coarse_and_back @ x @ coarse_and_back


CORRUPTIONS: Mapping[str, tuple[Callable[[Tensor, float, Tensor], Tensor], tuple[float, ...]]] = {
    "noise": (noise, (0.1, 0.2, 0.3, 0.4, 0.5)),
    "blur": (blur, (0.5, 0.8, 1.1, 1.4, 1.7)),
    "contrast": (contrast, (0.8, 0.65, 0.5, 0.35, 0.2)),
    "occlusion": (occlusion, (3, 4, 5, 6, 7)),
    "pixelation": (pixelation, (9, 7, 6, 5, 4)),
}
REFERENCES: Mapping[str, tuple[float, ...]] = {}


class CorruptedDigits(Task):
    """Accuracy under each corruption and level."""

    def __init__(self, spec: TaskSpec, images: Collection) -> None:
        super().__init__(spec)
        self.images = images

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """Test splits begin with the same images."""
        images, classes = self.images.examples(split, draw)
        x = pool(images)
        if "corruption" in split.params:
            corrupt, _ = CORRUPTIONS[str(split.params["corruption"])]
            randomness = self.images.random(torch.randn, split, draw, "corruption", (SIDE, SIDE))
            x = corrupt(x, cast("float", split.params["value"]), randomness)
        return Batch(x.unsqueeze(1), classes)

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """With a full set the ceiling is the label itself, accuracy 1."""
        if self.spec.ceiling != "oracle":
            return {}
        return {"oracle": lambda batch: class_logits(batch.y, N_CLASSES)}

    def reference_data(self, condition: str, split: Split, draw: Draw) -> tuple[Batch, Batch] | None:
        """This seed's whole training and test parts, all corrupted as the split is."""
        if self.spec.ceiling != "reference":
            return None
        train, test = self.images.whole_parts(split)
        return self.sample(condition, train, draw), self.sample(condition, test, draw)

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """The mean score over corruptions and levels, and the mean over the levels of each corruption apart."""
        summary = super().summarize(rows)
        apart = {
            f"score_{name}": fmean(
                clip(self.anchored(row, split.name))
                for row in rows.values()
                for split in self.spec.with_role("ood")
                if split.params["corruption"] == name
            )
            for name in CORRUPTIONS
        }
        return replace(summary, scores={**summary.scores, **apart})


def splits(images: Collection) -> tuple[Split, ...]:
    """Clean in-distribution splits, and every corruption in every level as a test that is scored."""
    parts, level_size = images.parts, min(images.parts.test // 5, 500)
    return (
        Split("train", "train", parts.train),
        Split("val", "val", parts.validation),
        Split("iid", "iid", parts.test),
        *(
            Split(f"{name}-{level}", "ood", level_size, {"corruption": name, "value": value}, level)
            for name, (_, values) in CORRUPTIONS.items()
            for level, value in enumerate(values, start=1)
        ),
    )


def constants(images: Collection) -> dict[str, dict[str, float]]:
    """Chance, and for the digits that ship the reference learner."""
    found = {f"{name}-{level}": {"chance": 1 / N_CLASSES} for name in CORRUPTIONS for level in range(1, 6)}
    if not images.full:
        for name, values in REFERENCES.items():
            for level, value in enumerate(values, start=1):
                found[f"{name}-{level}"]["reference"] = value
    return found


def build(entry: Entry) -> Task:
    images = collection(entry)
    spec = TaskSpec(
        entry=entry,
        question="How much of its accuracy does a model keep when pixels degrade in ways that it never saw?",
        problem=Problem("image", (1, SIDE, SIDE), "classes", n_outputs=N_CLASSES, n_train=images.parts.train),
        splits=splits(images),
        budget=Budget(steps=1500, batch_size=128, seconds=900.0 if images.full else 120.0),
        recipe=Recipe(optimizer="adam", learning_rate=1e-3),
        metric="accuracy",
        floor="chance",
        ceiling="oracle" if images.full else "reference",
        gate=0.7,
        constants=constants(images),
        sources=(images.source,),
        licence=images.licence,
        severity_unit="level",
        notes=("x",),
    )
    return CorruptedDigits(spec, images)
