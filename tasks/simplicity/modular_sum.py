"""The sum of three integers modulo M, halved into two classes: how fast a stripe pattern can a model follow?

All 4,096 points of {0, ..., 15}^3 are labelled 1 where (x_1 + x_2 + x_3) mod M <= M / 2. A quarter of them is held out.
The smaller M, the narrower the stripes along the diagonal, for the same number of training points.

    M = 10   (3, 9, 0)     12 mod 10 = 2 <= 5     class 1
    M = 4    (3, 9, 3)     15 mod 4 = 3 > 2       class 0
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean

import torch
from torch import Tensor

from tasks.registry import Entry
from tasks.seeds import Draw
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
    clip,
)

ENTRIES = {
    "simplicity/modular-sum-v1": {
        "summary": "the sum of three integers mod 10, 7 or 4: stripes that are ever harder to follow",
        "input": "vector",
        "tags": ["synthetic", "classification", "frequency"],
    }
}

SIDE, DIMENSION = 16, 3
N_POINTS = SIDE**DIMENSION
MODULI = {"mod-10": 10, "mod-7": 7, "mod-4": 4}
SPAN = 2.0
SIZES: dict[Role, int] = {"train": 3_000, "val": 296, "iid": 300, "ood": 500}
LEARNED = 0.5


class ModularSum(Task):
    """The splits are parts of one permutation of the cube, the same for every M."""

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """x (N, 3) are the integers stretched to [-2, 2]; `latent` (N, 3) are the integers."""
        order = torch.randperm(N_POINTS, generator=draw.generator("world"))
        integers = cube()[part(order, split.role)]
        return Batch(stretched(integers), label(integers, MODULI[condition]), latent=integers)

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """The rule, and class 1, which is the more frequent one for every M."""
        return {"oracle": lambda batch: class_logits(batch.y, 2), "majority": lambda batch: always_one(len(batch))}

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """Adds the score of each M, the one that ignores the balance of classes, and the slope over frequencies."""
        summary = super().summarize(rows)
        anchored = {name: self.anchored(row, "ood") for name, row in rows.items()}
        over_chance = fmean(2 * row.scores["ood"]["accuracy"] - 1 for row in rows.values())
        apart = {f"score_{name}": clip(value) for name, value in anchored.items()}
        slope = frequency_slope({1 / MODULI[name]: value for name, value in anchored.items()})
        return replace(
            summary,
            scores={**summary.scores, **apart, "accuracy_over_chance": over_chance},
            indices={} if slope is None else {"slope": slope},
        )


def cube() -> Tensor:
    """All points (4096, 3) with integer coordinates 0 to 15."""
    points: Tensor = torch.cartesian_prod(*[torch.arange(SIDE)] * DIMENSION)
    return points


def part(order: Tensor, role: Role) -> Tensor:
    """The points of a split: consecutive parts of a permutation, in the order of `SIZES`."""
    parts: tuple[Tensor, ...] = order.split(list(SIZES.values()))
    return dict(zip(SIZES, parts, strict=True))[role]


def stretched(integers: Tensor) -> Tensor:
    """0 ... 15 to [-2, 2], as float32."""
    middle = (SIDE - 1) / 2
    return SPAN * (integers.float() - middle) / middle


def label(integers: Tensor, modulus: int) -> Tensor:
    """1 where the sum modulo M is at most M / 2; (N, 3) to (N,)."""
    return (2 * (integers.sum(1) % modulus) <= modulus).long()


def always_one(n: int) -> Tensor:
    """Logits (n, 2) for class 1."""
    return class_logits(torch.ones(n), 2)


def frequency_slope(score_at: Mapping[float, float]) -> float | None:
    """What the anchored accuracy gains from the lowest to the highest frequency 1 / M along the least-squares line.

    None unless the lowest is at least half learned: what was not there cannot be lost.
    """
    if score_at[min(score_at)] < LEARNED:
        return None
    frequency, score = (torch.tensor(list(each), dtype=torch.float64) for each in (score_at, score_at.values()))
    centred = frequency - frequency.mean()
    return float(centred @ score / (centred @ centred) * (frequency.max() - frequency.min()))


def share_of_ones(modulus: int) -> float:
    """Exact share of class 1 in the cube."""
    return float(label(cube(), modulus).double().mean())


REDSHIFT = Source(
    key="teney2024redshift",
    authors="Damien Teney, Armand Mihai Nicolicioiu, Valentin Hartmann, Ehsan Abbasnejad",
    title="Neural Redshift: Random Networks are not Random Functions",
    venue="CVPR",
    year=2024,
    url="https://arxiv.org/abs/2403.02241",
)


def build(entry: Entry) -> Task:
    return ModularSum(
        TaskSpec(
            entry=entry,
            question="How high a frequency can a model class generalize, with everything else equal?",
            problem=Problem("vector", (DIMENSION,), "classes", n_outputs=2, n_train=SIZES["train"]),
            splits=tuple(Split(role, role, size) for role, size in SIZES.items()),
            conditions=tuple(
                Condition(name, f"stripes of period {modulus}", {"modulus": modulus})
                for name, modulus in MODULI.items()
            ),
            budget=Budget(steps=2_000, batch_size=256, seconds=240.0, core_seconds=6.0),
            metric="accuracy",
            floor="majority",
            ceiling="oracle",
            gate=0.7,
            axes=(Axis("slope", "low frequencies only", "every frequency alike", ends=(-1.0, 0.0)),),
            sources=(REDSHIFT,),
            published=tuple(
                Published(f"share of class 1 at M = {modulus}, by counting", round(share_of_ones(modulus), 4))
                for modulus in MODULI.values()
            ),
            notes=(
                "A question about in-distribution generalization: `ood` are held-out points of the same cube, like "
                "`val` and `iid`, and nothing is shifted. What changes is the frequency.",
                "The classes are uneven: 60, 57 and 75 % of the cube are class 1. The floor is therefore the constant "
                "class 1, and a model that has learned nothing at M = 4 gets 0 there, though its accuracy is .75. "
                "`accuracy_over_chance` is the mean of (accuracy - .5) / .5, which gives that constant .28.",
                "Slope is the change of the anchored accuracy from M = 10 to M = 4 along the least-squares line in "
                "1 / M: 0 if every frequency is learned, -1 or below if only the lowest is.",
                "A model must be better than constants on average over M; a linear one is not and counts as untrained.",
                "The paper tunes a factor on every pre-activation; here the units are fixed and the inputs span "
                "[-2, 2]. Stretching inputs acts like such a factor in the first layer and moves all models.",
                "The paper shows figures: ReLU follows the lowest frequency alone; tanh, Gaussian and sine units with "
                "a tuned factor follow all three.",
            ),
        )
    )
