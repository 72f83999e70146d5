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
REFERENCES: Mapping[str, tuple[float, ...]] = {
    "noise": (0.9474, 0.9179, 0.8613, 0.7831, 0.6956),
    "blur": (0.9566, 0.9543, 0.9460, 0.9340, 0.9174),
    "contrast": (0.9548, 0.9542, 0.9534, 0.9518, 0.9448),
    "occlusion": (0.9308, 0.9077, 0.8826, 0.8460, 0.7948),
    "pixelation": (0.9489, 0.9390, 0.9278, 0.9047, 0.8403),
}

HENDRYCKS = Source(
    key="hendrycks2019benchmarking",
    authors="Dan Hendrycks and Thomas Dietterich",
    title="Benchmarking Neural Network Robustness to Common Corruptions and Perturbations",
    venue="ICLR",
    year=2019,
    url="https://openreview.net/forum?id=HJz6tiCqYm",
)
MU = Source(
    key="mu2019mnistc",
    authors="Norman Mu and Justin Gilmer",
    title="MNIST-C: A Robustness Benchmark for Computer Vision",
    venue="ICML Workshop on Uncertainty and Robustness in Deep Learning",
    year=2019,
    url="https://arxiv.org/abs/1906.02337",
)


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


def notes(images: Collection) -> tuple[str, ...]:
    """The constants of every corruption, and how to read the score."""
    levels = "; ".join(f"{name} {', '.join(f'{v:g}' for v in values)}" for name, (_, values) in CORRUPTIONS.items())
    ceiling = (
        "The ceiling is the label itself, accuracy 1, which no model reaches under strong noise or a large occlusion."
        if images.full
        else "The ceiling of a split is a support vector machine trained on images that are corrupted in the same way: "
        "what is left to see in them."
    )
    return (
        f"Constants of levels 1 to 5: {levels} (standard deviation of pixel values; standard deviation in pixels; "
        "factor on the deviation from the image's mean; side in pixels; pixels a side).",
        ceiling,
        "The recipe has no augmentation, and none of the corruptions may be added to it: a model that trained on them "
        "would answer another question. Levels of different corruptions are not comparable with each other.",
        "Less contrast lifts the empty background to the image's mean: a model that leans on the background's exact "
        "zero fails there first, which the score of each corruption apart shows.",
    )


def build(entry: Entry) -> Task:
    images = collection(entry)
    spec = TaskSpec(
        entry=entry,
        question="How much of its accuracy does a model keep when pixels degrade in ways that it never saw?",
        problem=Problem("image", (1, SIDE, SIDE), "classes", n_outputs=N_CLASSES, n_train=images.parts.train),
        splits=splits(images),
        budget=Budget(6000, 128, seconds=900.0) if images.full else Budget(1500, 128),
        recipe=Recipe(optimizer="adam", learning_rate=1e-3),
        metric="accuracy",
        floor="chance",
        ceiling="oracle" if images.full else "reference",
        gate=0.7,
        constants=constants(images),
        sources=(HENDRYCKS, MU, images.source),
        licence=images.licence,
        severity_unit="level",
        notes=notes(images),
    )
    return CorruptedDigits(spec, images)
