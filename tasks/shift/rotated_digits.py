"""Digits turned by up to 15 degrees in training and by 30, 45, 60, 75 and 90 degrees at test.

An image of 28 x 28 pixels is turned counter-clockwise about its centre (bilinear, zero outside), then its 2 x 2 blocks
are averaged. In training each image has one angle of its own, uniform in +-15 degrees; it is not augmentation.

    training      a 7 that leans by -15 ... 15 degrees
    rotated-45    the same writers' digits, turned by 45 degrees

In the control the training angles are uniform in -15 ... 105 degrees: nothing is out of distribution.

The thirds of the training range are environments, by each image's own angle. The dose is the width of the range.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
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
    "shift/rotated-digits-v1": {
        "summary": "digits within 15 degrees of upright in training, turned by 30 to 90 degrees at test",
        "input": "image",
        "tags": ["real", "classification", "environments", "ladder"],
    },
    "shift/rotated-digits-control-v1": {
        "summary": "digits whose training angles hold every test angle",
        "input": "image",
        "tags": ["real", "classification", "control", "ladder"],
    },
    "shift/rotated-mnist-v1": {
        "summary": "turned digits from all of MNIST",
        "input": "image",
        "tags": ["real", "classification", "environments", "ladder"],
        "optional": True,
    },
    "shift/rotated-fashion-v1": {
        "summary": "turned garments from Fashion-MNIST",
        "input": "image",
        "tags": ["real", "classification", "environments", "ladder"],
        "optional": True,
    },
}

LADDER_DEG = (30.0, 45.0, 60.0, 75.0, 90.0)
TRAINING_DEG = (-15.0, 15.0)
ENVIRONMENTS = 3
RANGE = Dose("range", (5.0, 10.0, 15.0, 20.0, 25.0), TRAINING_DEG[1], "degrees to either side of upright in training")
CONTROL_DEG = (-15.0, 105.0)
CHUNK = 512

REFERENCES = {30.0: 0.9602, 45.0: 0.9597, 60.0: 0.9582, 75.0: 0.9601, 90.0: 0.9576}

GHIFARY = Source(
    key="ghifary2015domain",
    authors="Muhammad Ghifary, W. Bastiaan Kleijn, Mengjie Zhang and David Balduzzi",
    title="Domain Generalization for Object Recognition with Multi-task Autoencoders",
    venue="ICCV",
    year=2015,
    url="https://arxiv.org/abs/1508.07680",
)
DOMAINBED = Source(
    key="gulrajani2021search",
    authors="Ishaan Gulrajani and David Lopez-Paz",
    title="In Search of Lost Domain Generalization",
    venue="ICLR",
    year=2021,
    url="https://openreview.net/forum?id=lQdXeXDoWtI",
)


class RotatedDigits(Task):
    """Accuracy on a ladder of angles. `latent` (N,) is each image's angle in degrees, `env` the third of its range."""

    def __init__(self, spec: TaskSpec, images: Collection) -> None:
        super().__init__(spec)
        self.images = images

    def turned(self, dose: Mapping[str, float]) -> Task:
        """A narrower or wider range of training angles. The ladder stays: every rung is out of every range."""
        half = dose.get(RANGE.name, RANGE.own)
        return RotatedDigits(replace(self.spec, splits=splits(self.images, (-half, half))), self.images)

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """Test splits hold the same images."""
        images, classes = self.images.examples(split, draw)
        low, high = cast("tuple[float, float]", split.params["rotation_deg"])
        angle = low + (high - low) * self.images.random(torch.rand, split, draw, "angle")
        env = None if low == high else part_of_range(angle, low, high)
        return Batch(pool(rotate(images, angle)).unsqueeze(1), classes, env=env, latent=angle)

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """With a full set the ceiling is the label itself, accuracy 1."""
        if self.spec.ceiling != "oracle":
            return {}
        return {"oracle": lambda batch: class_logits(batch.y, N_CLASSES)}

    def reference_data(self, condition: str, split: Split, draw: Draw) -> tuple[Batch, Batch] | None:
        """This seed's whole training and test parts, all with angles of the split's distribution."""
        if self.spec.ceiling != "reference":
            return None
        train, test = self.images.whole_parts(split)
        return self.sample(condition, train, draw), self.sample(condition, test, draw)


def part_of_range(angle_deg: Tensor, low: float, high: float) -> Tensor:
    """Which third of low ... high an angle (n,) lies in: 0, 1 or 2, from the most clockwise."""
    return ((angle_deg - low) * (ENVIRONMENTS / (high - low))).long().clamp(max=ENVIRONMENTS - 1)


def rotate(images: Tensor, angle_deg: Tensor) -> Tensor:
    """Images (n, side, side), each turned counter-clockwise about its centre by its angle (n,); zero outside."""
    return torch.cat([turn(*part) for part in zip(images.split(CHUNK), angle_deg.split(CHUNK), strict=True)])


def turn(images: Tensor, angle_deg: Tensor) -> Tensor:
    """`rotate` for as many images as fit in the processor's cache."""
    angle = torch.deg2rad(angle_deg)[:, None, None]
    side = images.shape[-1]
    position = (torch.arange(side) * 2 + 1) / side - 1  # pixel centres, the edges of the image are at -1 and 1
    right, down = position[None, :], position[:, None]
    # where each output pixel comes from
    source = torch.stack([angle.cos() * right - angle.sin() * down, angle.sin() * right + angle.cos() * down], dim=-1)
    return functional.grid_sample(images.unsqueeze(1), source, align_corners=False).squeeze(1)


def splits(images: Collection, training_deg: tuple[float, float]) -> tuple[Split, ...]:
    """In-distribution splits, and every rung as a test that is scored."""
    parts, upright = images.parts, {"rotation_deg": list(training_deg)}
    rung_size = min(parts.test * 2 // 3, 2_000)
    return (
        Split("train", "train", parts.train, upright),
        Split("val", "val", parts.validation, upright),
        Split("iid", "iid", parts.test, upright),
        *(Split(f"rotated-{deg:.0f}", "ood", rung_size, {"rotation_deg": [deg, deg]}, deg) for deg in LADDER_DEG),
    )


def constants(images: Collection) -> dict[str, dict[str, float]]:
    """Chance, and for the digits that ship the reference learner."""
    names = {deg: f"rotated-{deg:.0f}" for deg in LADDER_DEG}
    chance = {name: {"chance": 1 / N_CLASSES} for name in names.values()}
    if images.full:
        return chance
    return {name: chance[name] | {"reference": REFERENCES[deg]} for deg, name in names.items()}


PUBLISHED = (
    Published(
        "accuracy at 75 degrees, trained at 0, 15, ..., 60, CNN, ERM (se of 3 trials)", 0.964, 0.000, DOMAINBED.key
    ),
    Published(
        "accuracy at 0 degrees, trained at 15, 30, ..., 75, CNN, ERM (se of 3 trials)", 0.959, 0.001, DOMAINBED.key
    ),
)
LADDER_NOTE = (
    "Nothing in training says that digits may turn. Accuracy falls along the ladder for every model without rotation "
    "built in; how fast is the measurement. The published numbers are one step of 15 degrees beyond five training "
    "angles, on 70,000 images of 28 x 28 pixels, and so are far easier."
)
CONTROL_NOTE = (
    "The twin of the ladder without its shift. Accuracy should be flat from 30 to 90 degrees; what separates models is "
    "capacity for more varied digits, not a preference for upright ones. The rungs lie inside the range, where an "
    "angle has neighbours on both sides, so they are a little easier than the in-distribution test."
)


def shared_notes(images: Collection) -> tuple[str, ...]:
    """Angles, and what the ceiling is."""
    ceiling = (
        "The ceiling is the label itself, accuracy 1: read differences between models, not the distance to 1."
        if images.full
        else "The ceiling is a support vector machine trained on digits at the angle of the test. A network that knew "
        "how to turn digits could beat it by a point or two."
    )
    return (
        "Angles are counter-clockwise. A training image keeps its one angle: this is a distribution, not augmentation. "
        "The test images are the same at every rung.",
        "The thirds of the training range are environments: `env` is read off an image's angle, and changes no image.",
        ceiling,
    )


def build(entry: Entry) -> Task:
    images, control = collection(entry), "control" in entry.tags
    training_deg = CONTROL_DEG if control else TRAINING_DEG
    spec = TaskSpec(
        entry=entry,
        question=(
            "With every test angle among those of training, how well does a model read the digits?"
            if control
            else "How far does recognition reach beyond the angles that a model was trained on?"
        ),
        problem=Problem("image", (1, SIDE, SIDE), "classes", n_outputs=N_CLASSES, n_train=images.parts.train),
        splits=splits(images, training_deg),
        budget=Budget(6000, 128, seconds=900.0) if images.full else Budget(1500, 128),
        recipe=Recipe(optimizer="adam", learning_rate=1e-3),
        metric="accuracy",
        floor="chance",
        ceiling="oracle" if images.full else "reference",
        gate=0.5,
        doses=() if control else (RANGE,),
        constants=constants(images),
        sources=(GHIFARY, DOMAINBED, images.source),
        licence=images.licence,
        severity_unit="degrees",
        published=() if control else PUBLISHED,
        notes=(CONTROL_NOTE if control else LADDER_NOTE, *shared_notes(images)),
    )
    return RotatedDigits(spec, images)
