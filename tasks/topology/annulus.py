"""A disc inside a ring, learned by networks of width 2, 3, 4 and 8: which of them close the boundary?

Class 0 is the disc of radius .5, class 1 the ring between radius 1 and 1.5, and nothing lies between them. To tell them
apart a network needs a region that is closed off, and one that is never wider than the plane has none: the region of
each class then reaches to infinity, at best through a slit in the ring.

    (0.2, -0.3)   radius .36, class 0
    (1.1, 0.4)    radius 1.17, class 1; where a slit runs through it, a network that is nowhere wider than 2 is wrong
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.regions import bounded, pieces, square_grid
from tasks.sources.width_ladder import BEISE, DUPONT, HANIN, NGUYEN, OLAH, PARK, WidthLadder, width_conditions
from tasks.types import (
    Axis,
    Batch,
    Budget,
    Data,
    Json,
    Predict,
    Predictor,
    Problem,
    Published,
    Recipe,
    Scores,
    Split,
    TaskSpec,
    class_logits,
)

ENTRIES = {
    "topology/annulus-v1": {
        "summary": "a disc in a ring: whether a network of some width can close a boundary around it",
        "input": "vector",
        "tags": ["synthetic", "classification", "theorem", "width", "flagship"],
    }
}

INNER, RING = 0.5, (1.0, 1.5)
BETWEEN = 0.75
SIDE, REACH = 301, 3.0
NARROW, WIDE = 2, (3, 4, 8)
SLIT = 0.1
PLANE = "plane"


class Annulus(WidthLadder):
    """The split `plane` is a grid over [-3, 3]^2 that shows the regions."""

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """Points (N, 2) of both classes alike; on the plane a label says on which side of radius .75 a point is."""
        if split.name == PLANE:
            x = square_grid(SIDE, REACH)
            return Batch(x, (x.norm(dim=1) > BETWEEN).long())
        generator = draw.generator(split.name)
        y = torch.arange(split.size) % 2
        u, turn = torch.rand(2, split.size, generator=generator)
        low, high = RING
        radius = torch.where(y == 0, INNER * u.sqrt(), low + (high - low) * u)
        angle = 2 * math.pi * turn
        return Batch(torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1), y)

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """`oracle` compares the radius with .75; `slit` does too, but for a slit of width .1 to the right."""

        def slit(batch: Batch) -> Tensor:
            in_slit = (batch.x[:, 0] > 0) & (batch.x[:, 1].abs() < SLIT / 2)
            return class_logits((batch.x.norm(dim=1) > BETWEEN) & ~in_slit, 2)

        return {"oracle": lambda batch: class_logits(batch.x.norm(dim=1) > BETWEEN, 2), "slit": slit}

    def measure(self, condition: str, predict: Predict, data: Data) -> Scores:
        """The usual metrics; on the plane also what is closed off."""
        scores = super().measure(condition, predict, data)
        return {**scores, PLANE: {**scores[PLANE], **closure(predict(data[PLANE].x))}}


def closure(outputs: Tensor) -> dict[str, float]:
    """From outputs (N, 2) on the grid: how many pieces of class 0 are `bounded`, and whether the disc is `closed` off.

    It is where the middle of the plane is of class 0, and its piece reaches no point beyond the ring.
    """
    region = (outputs[:, 0] > outputs[:, 1]).view(SIDE, SIDE).numpy()
    labels = pieces(region)
    own = labels[SIDE // 2, SIDE // 2]
    beyond = (square_grid(SIDE, REACH).norm(dim=1) > RING[1]).view(SIDE, SIDE).numpy()
    closed = own != 0 and not bool((labels[beyond] == own).any())
    return {"bounded": float(len(bounded(region))), "closed": float(closed)}


NOTES = (
    "Exact: where no hidden layer is wider than the input (2) and units are continuous and strictly monotone, or ReLU, "
    "every piece of every decision region is unbounded (Beise et al.). The disc's region then leaves through the ring, "
    "and `closed` is 0 at width 2 whatever the depth and the training. Uniform approximation takes width 3 (Hanin and "
    "Sellke). Units that rise and fall, such as sines, and paths around a layer are not bound by this.",
    "Accuracy is not the test: in the mean, some networks of width 2 come as near as one likes (Park et al. and later "
    "work), through a slit as thin as one likes. The floor, a ring with a slit of width .1, has .99 in distribution.",
    "`closed` is 1 where the middle is of class 0 and its piece of the region ends within radius 1.5, on a grid with a "
    "spacing of .02. `bounded` counts the pieces of class 0 that do not reach the edge, at +-3, the far ones included "
    "that no example speaks of. A region is widened by two cells before its pieces are told apart: a neck thinner than "
    "a cell still joins them.",
    "What width 3 asks for is training, not ability: three units draw a triangle, if each stays alive. The mean over "
    "seeds is the share of seeds that closed the boundary. Only the width is turned: the baselines have two hidden "
    "layers, the pilots had four, with which tanh closed at width 3 in 3 of 3 seeds and ReLU in 1 of 3.",
)


def build(entry: Entry) -> Annulus:
    n_train = 2_000
    both: dict[str, Json] = {"disc": INNER, "ring": RING}
    return Annulus(
        TaskSpec(
            entry=entry,
            question="How wide must a network be to close a boundary around one class, and does training find it?",
            problem=Problem("vector", (2,), "classes", n_outputs=2, n_train=n_train),
            splits=(
                Split("train", "train", n_train, both),
                Split("val", "val", 500, both),
                Split("iid", "iid", 2_000, both),
                Split(PLANE, "ood", SIDE**2, {"grid": SIDE, "reach": REACH}),
            ),
            conditions=width_conditions((NARROW, *WIDE)),
            budget=Budget(steps=1_500, batch_size=128, evaluations=5, seconds=300.0, core_seconds=6.0),
            recipe=Recipe(learning_rate=3e-3),
            metric="accuracy",
            floor="slit",
            ceiling="oracle",
            gate=0.75,
            axes=(Axis("width", "closes the boundary at width 2", "only at width 8", (2.0, 8.0)),),
            sources=(BEISE, HANIN, NGUYEN, PARK, DUPONT, OLAH),
            published=(
                Published("tanh, depth 4, width 2: share of seeds that close the boundary, our own sample", 0.0),
                Published("tanh, depth 4, width 3: share of seeds that close the boundary, our own sample", 1.0),
                Published("ReLU, depth 4, width 3: share of seeds that close the boundary, our own sample", 1 / 3),
            ),
            notes=NOTES,
        ),
        wide=WIDE,
        where=PLANE,
        shape="closed",
    )
