"""Two linked circles in space, one class each: only a wider layer than space itself takes them apart.

Class 0 lies around the circle (cos t, sin t, 0), class 1 around (1 + cos t, 0, sin t), which passes through the middle
of the first. The control moves the second circle away, by 3, and a plane tells the two apart.

    (0.1, 1.0, 0.0)     on the first circle, class 0
    (0.0, 0.0, 0.1)     on the second, in the middle of the first, class 1
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.width_ladder import HANIN, NGUYEN, OLAH, WidthLadder, width_conditions
from tasks.types import (
    Axis,
    Batch,
    Budget,
    Predictor,
    Problem,
    Published,
    Recipe,
    Split,
    TaskSpec,
    class_logits,
)

ENTRIES = {
    "topology/links-v1": {
        "summary": "two linked circles in space: at which width a network takes them apart",
        "input": "vector",
        "tags": ["synthetic", "classification", "theorem", "width"],
    },
    "topology/links-control-v1": {
        "summary": "two circles in space that are not linked, at the same widths",
        "input": "vector",
        "tags": ["synthetic", "classification", "width", "control"],
    },
}

NOISE = 0.05
NARROW, WIDE = 3, (4, 5, 8)
AWAY = 3.0
CIRCLES = "circles"


class Links(WidthLadder):
    """The split `circles` has both circles without noise, 2,000 points on each."""

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """Points (N, 3) of both classes alike, with noise of standard deviation .05 in every coordinate."""
        y = torch.arange(split.size) % 2
        if split.name == CIRCLES:
            return Batch(self.circles(torch.arange(split.size) / split.size, y), y)
        generator = draw.generator(split.name)
        turn = torch.rand(split.size, generator=generator)
        noise = NOISE * torch.randn(split.size, 3, generator=generator)
        return Batch(self.circles(turn, y) + noise, y)

    def circles(self, turn: Tensor, y: Tensor) -> Tensor:
        """Points (N, 3) on the first circle where y is 0, on the second where it is 1."""
        cosine, sine, zero = (2 * math.pi * turn).cos(), (2 * math.pi * turn).sin(), torch.zeros_like(turn)
        first = torch.stack([cosine, sine, zero], dim=1)
        return torch.where(y[:, None] == 0, first, torch.stack([self.middle + cosine, zero, sine], dim=1))

    @property
    def middle(self) -> float:
        """Where on the first axis the middle of the second circle is."""
        return 1.0 + (AWAY if "control" in self.spec.entry.tags else 0.0)

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """`oracle` takes the nearer circle; `half-space` is the plane half way between the two middles."""
        return {
            "oracle": lambda batch: class_logits(self.to_first(batch.x) > self.to_second(batch.x), 2),
            "half-space": lambda batch: class_logits(batch.x[:, 0] > self.middle / 2, 2),
        }

    def to_first(self, x: Tensor) -> Tensor:
        """Distances (N,) from the first circle."""
        return torch.hypot(torch.hypot(x[:, 0], x[:, 1]) - 1, x[:, 2])

    def to_second(self, x: Tensor) -> Tensor:
        """Distances (N,) from the second circle."""
        return torch.hypot(torch.hypot(x[:, 0] - self.middle, x[:, 2]) - 1, x[:, 1])

    def evaluate(self, outputs: Tensor, batch: Batch) -> Mapping[str, float]:
        """The usual metrics, and `separated`: 1 where every single point is right."""
        scores = super().evaluate(outputs, batch)
        return {**scores, "separated": float(scores["accuracy"] == 1)}


LINKED = (
    "Exact: with continuous monotone units and no hidden layer wider than 3, no network is right on all of both "
    "circles. Such layers are limits of one-to-one maps of space, which keep the circles linked, and at the end a "
    "plane would have to part two linked curves. Width 4 has room to lift one over the other.",
    "`separated` is 1 where all of 4,000 points on the two circles without noise are right. Accuracy says less: the "
    "arc on which a network of width 3 errs can be short. Pilots with four hidden layers had at most .976 at width 3, "
    "up to 1 at width 4 and 1 at width 5. The control shows that nothing but the link stands in the way.",
    "Only the width is turned: the baselines have two hidden layers. The plane half way between the two middles is "
    "right on two thirds of each circle.",
)
UNLINKED = (
    "The same two circles, the second moved away by 3: the plane half way between them is right everywhere, so width 3 "
    "and every other has what it takes. A class that is below 1 here fails for another reason than the link.",
)


def build(entry: Entry) -> Links:
    control, n_train = "control" in entry.tags, 2_000
    return Links(
        TaskSpec(
            entry=entry,
            question="Can a model class separate two circles that are not linked?"
            if control
            else "How wide must a network be to take two linked circles apart, and does training find it?",
            problem=Problem("vector", (3,), "classes", n_outputs=2, n_train=n_train),
            splits=(
                Split("train", "train", n_train, {"noise": NOISE}),
                Split("val", "val", 500, {"noise": NOISE}),
                Split("iid", "iid", 2_000, {"noise": NOISE}),
                Split(CIRCLES, "ood", 4_000, {"noise": 0.0}),
            ),
            conditions=width_conditions((NARROW, *WIDE)),
            budget=Budget(steps=1_500, batch_size=128, evaluations=5, seconds=300.0, core_seconds=6.0),
            recipe=Recipe(learning_rate=3e-3),
            metric="accuracy",
            floor="chance",
            ceiling="oracle",
            constants={CIRCLES: {"chance": 0.5}},
            gate=0.75,
            axes=(Axis("width", "separates at width 3", "only at width 8", (3.0, 8.0)),),
            sources=(OLAH, HANIN, NGUYEN),
            published=() if control else (Published("accuracy at width 3, four hidden layers, at most, pilot", 0.976),),
            notes=UNLINKED if control else LINKED,
        ),
        wide=(NARROW, *WIDE) if control else WIDE,
        where=CIRCLES,
        shape="separated",
    )
