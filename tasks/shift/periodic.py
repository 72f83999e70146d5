"""Three curves on [-5, 5] continued to [-10, 10]: a wave, a wave on a slope, a parabola.

No bias wins on all three. Periodic units can go on with a wave, and turn a parabola into waves; ReLU units go on with
straight lines. So read the targets apart, not only their mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import cast

import torch
from torch import Tensor

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.types import (
    Batch,
    Budget,
    Condition,
    Data,
    Predictor,
    Problem,
    Recipe,
    Row,
    Scores,
    Source,
    Split,
    Summary,
    Task,
    TaskSpec,
)

ENTRIES = {
    "shift/periodic-v1": {
        "summary": "sin x, x + sin^2 x and x^2/10 fitted for |x| <= 5, tested for 5 < |x| <= 10",
        "input": "vector",
        "tags": ["synthetic", "regression", "ladder"],
    }
}

EDGE = 5.0
SIMPLE = ("constant", "last_value", "tangent")
LEAST_ERROR = 1e-12  # keeps the logarithm finite for the oracle


@dataclass(frozen=True)
class Curve:
    """A target and its derivative, elementwise; `mean` is its average over the training interval [-5, 5]."""

    value: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]
    mean: float


CURVES = {
    "sin": Curve(torch.sin, torch.cos, mean=0.0),
    "x_plus_sin2": Curve(
        lambda x: x + x.sin().square(),
        lambda x: 1 + (2 * x).sin(),
        mean=0.5 - math.sin(2 * EDGE) / (4 * EDGE),
    ),
    "square": Curve(lambda x: x.square() / 10, lambda x: x / 5, mean=EDGE**2 / 30),
}


class Periodic(Task):
    """y = f(x) without noise; x is uniform on [-5, 5] in training and on parts of 5 < |x| <= 20 in the tests.

    The floor `best_simple` is the best, per target and split, of three continuations that need no idea of f:
    its mean over the training interval, its value at the nearer end, and its tangent there.
    """

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        low, high = cast("tuple[float, float]", split.params["distance"])
        generator = draw.generator(split.name)
        distance = high - (high - low) * torch.rand(split.size, 1, generator=generator)  # in (low, high]
        side = torch.randint(2, (split.size, 1), generator=generator) * 2 - 1
        x = side * distance
        return Batch(x, CURVES[condition].value(x))

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        curve = CURVES[condition]

        def tangent(batch: Batch) -> Tensor:
            end = EDGE * batch.x.sign()
            return curve.value(end) + curve.slope(end) * (batch.x - end)

        return {
            "oracle": lambda batch: curve.value(batch.x),
            "constant": lambda batch: torch.full_like(batch.x, curve.mean),
            "last_value": lambda batch: curve.value(EDGE * batch.x.sign()),
            "tangent": tangent,
        }

    def anchors(self, condition: str, data: Data, draw: Draw) -> Scores:
        """Those of the references, and `best_simple`, the best of the three simple continuations on a split."""
        anchors = super().anchors(condition, data, draw)
        return {
            split: {**values, "best_simple": max(values[name] for name in SIMPLE)} for split, values in anchors.items()
        }

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """`score` is the mean over targets of 1 - MSE / MSE of the best simple continuation, clipped to [0, 1].

        Most networks are worse than the floor, so each target also has an index that tells them apart:
        `log10_error` is the logarithm of MSE / variance on `ood`; 0 is the best constant in hindsight, less is better.
        """
        anchored = {name: self.anchored(row, "ood") for name, row in rows.items()}
        clipped = {f"score_{name}": min(max(value, 0.0), 1.0) for name, value in anchored.items()}
        iid = self.role_mean(rows, "iid")
        return Summary(
            iid=iid,
            ood=self.role_mean(rows, "ood"),
            trained=self.passes_gate(iid),
            scores={"score": fmean(clipped.values()), "score_unclipped": fmean(anchored.values()), **clipped},
            indices={
                f"log10_error_{name}": math.log10(max(1 - row.scores["ood"]["r2"], LEAST_ERROR))
                for name, row in rows.items()
            },
        )


ZIYIN = Source(
    key="ziyin2020periodic",
    authors="Liu Ziyin and Tilman Hartwig and Masahito Ueda",
    title="Neural Networks Fail to Learn Periodic Functions and How to Fix It",
    venue="Advances in Neural Information Processing Systems 33",
    year=2020,
    url="https://arxiv.org/abs/2006.08195",
)


def build(entry: Entry) -> Task:
    inside = {"distance": (0.0, EDGE)}
    return Periodic(
        TaskSpec(
            entry=entry,
            question="Which curves does a model continue beyond its data: a wave, a wave on a slope, a parabola?",
            problem=Problem("vector", (1,), "values", n_outputs=1, n_train=400),
            splits=(
                Split("train", "train", 400, inside),
                Split("val", "val", 400, inside),
                Split("iid", "iid", 1_000, inside),
                Split("ood", "ood", 2_000, {"distance": (EDGE, 10.0)}, severity=10.0),
                Split("near", "probe", 1_000, {"distance": (EDGE, 6.0)}, severity=6.0),
                Split("far", "probe", 1_000, {"distance": (10.0, 20.0)}, severity=20.0),
            ),
            severity_unit="largest |x|; training ends at 5",
            conditions=(
                Condition("sin", "sin x"),
                Condition("x_plus_sin2", "x + sin^2 x"),
                Condition("square", "x^2 / 10"),
            ),
            budget=Budget(steps=3_000, batch_size=128),
            recipe=Recipe(learning_rate=3e-3, schedule="cosine"),
            metric="r2",
            floor="best_simple",
            ceiling="oracle",
            gate=0.95,
            sources=(ZIYIN,),
            notes=(
                "The floor is the best, per target and split and in hindsight, of the mean, the end value and the end "
                "tangent of the true curve: for 5 < |x| <= 10 the mean of sin x and the tangents of the other two. It "
                "is a high bar: a ReLU network goes on with worse tangents of its own.",
                "Results depend much on the seed and on the frequency of periodic units: look at the median of five "
                "seeds or more. Units x + sin^2(a x) / a continue x + sin^2 x with a = 1 or 3, sin x only with a = 3.",
                "There is no noise: ReLU, tanh and snake networks all have 1 - r2 below .001 in distribution.",
            ),
        )
    )
