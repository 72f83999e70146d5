"""Two spiral arms that wind around each other: does each class keep its arm in one piece?

At s from .1 to 1 along arm 0 the radius is 1.5 s and the angle 1.5 s turns; arm 1 is the same, turned by half a turn.
Neither is closed, so a network of any width could unwind them; what it takes is a boundary as long as the arms.

    (0.0, -0.75)   s = .5 on arm 0, three quarters of a turn: class 0
    (0.0, 0.75)    s = .5 on arm 1: class 1
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.regions import Mask, bounded, pieces, square_grid
from tasks.sources.width_ladder import BEISE, NGUYEN, OLAH, WidthLadder, width_conditions
from tasks.types import (
    Axis,
    Batch,
    Budget,
    Data,
    Predict,
    Predictor,
    Problem,
    Recipe,
    Scores,
    Split,
    TaskSpec,
    class_logits,
)

ENTRIES = {
    "topology/spirals-v1": {
        "summary": "two spiral arms of a turn and a half: at which width each class keeps its arm in one piece",
        "input": "vector",
        "tags": ["synthetic", "classification", "width"],
    }
}

NOISE = 0.03
TURNS, REACH = 1.5, 1.5
FROM = 0.1
SIDE, EDGE = 301, 2.0
WIDTHS = (2, 4, 8, 16, 32)
ARMS, PLANE = "arms", "plane"


class Spirals(WidthLadder):
    """The split `arms` has both arms without noise, the split `plane` a grid over [-2, 2]^2 that shows the regions."""

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """Points (N, 2) of both arms alike; on the plane a label says which arm is nearer."""
        if split.name == PLANE:
            x = square_grid(SIDE, EDGE)
            return Batch(x, nearer_arm(x))
        y = torch.arange(split.size) % 2
        if split.name == ARMS:
            return Batch(on_arms(torch.linspace(FROM, 1, split.size), y), y)
        generator = draw.generator(split.name)
        along = FROM + (1 - FROM) * torch.rand(split.size, generator=generator)
        return Batch(on_arms(along, y) + NOISE * torch.randn(split.size, 2, generator=generator), y)

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """`oracle` takes the nearer arm; `half-plane` is the best straight line."""
        return {
            "oracle": lambda batch: class_logits(nearer_arm(batch.x), 2),
            "half-plane": lambda batch: class_logits(batch.x[:, 1] > 0, 2),
        }

    def measure(self, condition: str, predict: Predict, data: Data) -> Scores:
        """The usual metrics; on the plane also whether each arm is `whole`, and the pieces that are `bounded`."""
        scores = super().measure(condition, predict, data)
        return {**scores, PLANE: {**scores[PLANE], **wholeness(predict(data[PLANE].x))}}


def on_arms(along: Tensor, y: Tensor) -> Tensor:
    """Points (N, 2) at s (N,) on the arms y (N,)."""
    angle = 2 * math.pi * TURNS * along + math.pi * y
    return (REACH * along)[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)


def nearer_arm(x: Tensor) -> Tensor:
    """Which arm (N,) is nearer to points (N, 2), of 500 points on each."""
    along = torch.linspace(FROM, 1, 500)
    arms = [torch.cdist(x, on_arms(along, torch.full((500,), arm))).amin(1) for arm in (0, 1)]
    return (arms[0] > arms[1]).long()


def wholeness(outputs: Tensor) -> dict[str, float]:
    """From outputs (N, 2) on the grid: `whole` is 1 where either arm lies in one piece of its class.

    `bounded` counts the pieces of both classes that do not reach the edge of the grid.
    """
    is_one = (outputs[:, 1] > outputs[:, 0]).view(SIDE, SIDE).numpy()
    regions = (~is_one, is_one)
    whole = all(lies_in_one_piece(arm, region) for arm, region in enumerate(regions))
    return {"bounded": float(sum(len(bounded(region)) for region in regions)), "whole": float(whole)}


def lies_in_one_piece(arm: int, region: Mask) -> bool:
    """Whether all cells that an arm runs through are in the same piece of a region (S, S)."""
    along = torch.linspace(FROM, 1, 500)
    cells = ((on_arms(along, torch.full((500,), arm)) + EDGE) / (2 * EDGE) * (SIDE - 1)).round().long().numpy()
    found = set(pieces(region)[cells[:, 0], cells[:, 1]].tolist())
    return len(found) == 1 and 0 not in found


NOTES = (
    "Two open arms can be unwound by a one-to-one map of the plane, so topology forbids nothing at width 2, unlike in "
    "`annulus` and `links`: a low score is about what a class of this size and training finds. The floor is a straight "
    "line, the ceiling the nearer arm.",
    "`whole` is 1 where each arm runs through one piece of its own class, without a break, on a grid with a spacing of "
    ".013; a region is widened by two cells before its pieces are told apart. `bounded` counts the pieces of either "
    "class that do not reach the edge, which the true regions have none of and networks of width 2 cannot have.",
    "Only the width is turned: the baselines have two hidden layers.",
)


def build(entry: Entry) -> Spirals:
    n_train = 2_000
    return Spirals(
        TaskSpec(
            entry=entry,
            question="How wide must a network be to keep two spiral arms in one piece each?",
            problem=Problem("vector", (2,), "classes", n_outputs=2, n_train=n_train),
            splits=(
                Split("train", "train", n_train, {"noise": NOISE}),
                Split("val", "val", 500, {"noise": NOISE}),
                Split("iid", "iid", 2_000, {"noise": NOISE}),
                Split(ARMS, "ood", 2_000, {"noise": 0.0}),
                Split(PLANE, "probe", SIDE**2, {"grid": SIDE, "reach": EDGE}),
            ),
            conditions=width_conditions(WIDTHS),
            budget=Budget(steps=1_500, batch_size=128, evaluations=5, seconds=300.0, core_seconds=8.0),
            recipe=Recipe(learning_rate=3e-3),
            metric="accuracy",
            floor="half-plane",
            ceiling="oracle",
            gate=0.75,
            axes=(Axis("width", "whole at width 2", "only at width 32", (2.0, 32.0)),),
            sources=(OLAH, BEISE, NGUYEN),
            notes=NOTES,
        ),
        wide=WIDTHS,
        where=PLANE,
        shape="whole",
    )
