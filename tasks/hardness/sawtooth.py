"""Labels that alternate along a line, 16, 32 or 64 of them: what a network can represent and does not learn.

    -1.0   -0.875   -0.75   -0.625   ...   0.75   0.875     16 points, where the phase is 0
      0       1        0       1     ...     0      1       a wave of 8 periods

One hidden layer of 64 ReLU units can have 65 straight pieces, so that it can tell all 64 points apart. Deep networks
need two units a layer. Neither says that training finds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.learning_order import NEVER
from tasks.sources.solving_time import is_training, solving_step
from tasks.types import (
    Batch,
    Budget,
    Condition,
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
    class_logits,
    clip,
)

ENTRIES = {
    "hardness/sawtooth-v1": {
        "summary": "16, 32 or 64 points on a line whose labels alternate",
        "input": "vector",
        "tags": ["synthetic", "classification", "time-resolved", "closed-form"],
    }
}

SIZES = (16, 32, 64)
COPIES = 20
"""Test points near each training point."""
REACH = 0.25
"""How far from it they are at most, in spacings: labels change at half a spacing."""


class Sawtooth(Task):
    """Training is on the points, the tests are within a quarter of their spacing, where the label is the same.

    The phase of the points, up to a spacing, is drawn per world.
    """

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """x (N, 1), -1 + 2 (i + phase) / n for the i-th of n points, and y (N,), i modulo 2."""
        n = self.spec.at(condition).problem.n_train
        place = torch.arange(split.size) % n
        offset = torch.zeros(split.size)
        if split.role not in ("train", "fitted"):
            offset = REACH * (2 * torch.rand(split.size, generator=draw.generator(condition, split.name)) - 1)
        x = 2 * (place + phase(condition, draw) + offset) / n - 1
        return Batch(x[:, None], place % 2)

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """`oracle` is the label of the nearest training point."""
        n, start = self.spec.at(condition).problem.n_train, phase(condition, draw)

        def oracle(batch: Batch) -> torch.Tensor:
            nearest = ((batch.x[:, 0] + 1) * n / 2 - start).round().long()
            return class_logits(nearest % 2, 2)

        return {"oracle": oracle}

    def is_answered(self, scores: Scores) -> bool:
        """All points, and all near them, are right."""
        return scores["fitted"]["accuracy"] == scores["iid"]["accuracy"] == 1

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """Adds the score of each size. Indices: the share of training points that are right, the steps to fit all."""
        summary = super().summarize(rows)
        anchored = {f"score_{name}": clip(self.anchored(row, "test")) for name, row in rows.items()}
        fitted = {f"fitted_{name}": row.scores["fitted"]["accuracy"] for name, row in rows.items()}
        steps = {name: solving_step(row, self.is_answered, NEVER) for name, row in rows.items() if is_training(row)}
        return replace(
            summary,
            scores={**summary.scores, **anchored},
            indices={**fitted, **{f"steps_{name}": step for name, step in steps.items() if step < NEVER}},
        )


def phase(condition: str, draw: Draw) -> float:
    """How far the first point is from -1, in spacings, in [0, 1)."""
    return float(torch.rand((), generator=draw.generator("world", condition)))


NOTES = (
    "The tests are more of the same: points within a quarter of the spacing, where the label is that of the training "
    "point. The score is the accuracy there, from .5 on; `fitted` is the accuracy on the points themselves.",
    "One hidden layer of m ReLU units has at most m + 1 straight pieces on a line, and changes its sign at most once "
    "on each, so that at most m + 2 runs of equal labels are possible and its accuracy on N points is at most 1 - "
    "max(0, N - m - 2) / (2 N). The tent map composed with itself k times has 2^k pieces and alternates on 2^k "
    "points, with two units a layer. Both are about what exists.",
    "Every network here can represent all three problems. The score is what training makes of it: a loss of ln 2 is a "
    "wide plateau, and low frequencies come first.",
    "Nearest neighbours keep the labels, except at the two ends, where three of five neighbours are on one side. "
    "Boosted trees with at least 20 examples in a leaf see as many zeros as ones, and so does the bandwidth that a "
    "kernel chooses by leaving one point out: both are at chance.",
    "Our own figures, seed 0, points that are right of 16, 32, 64: `mlp` 1, 1, .67, `mlp-tanh` 1, 1, .78, `mlp-snake` "
    "1, 1, .91, `mlp-gaussian` 1, 1, .98, `mlp-sine` and only that one all. Bumps and waves of the width of the "
    "spacing are what the problem asks for.",
)

TELGARSKY = Source(
    key="telgarsky2016benefits",
    authors="Matus Telgarsky",
    title="Benefits of Depth in Neural Networks",
    venue="COLT",
    year=2016,
    url="https://proceedings.mlr.press/v49/telgarsky16.html",
)
MALACH = Source(
    key="malach2019deeper",
    authors="Eran Malach, Shai Shalev-Shwartz",
    title="Is Deeper Better only when Shallow is Good?",
    venue="NeurIPS",
    year=2019,
    url="https://arxiv.org/abs/1903.03488",
)


def build(entry: Entry) -> Task:
    few = SIZES[0]
    measured = (
        Split("val", "val", COPIES * few),
        Split("iid", "iid", COPIES * few),
        Split("test", "ood", COPIES * few),
        Split("fitted", "fitted", few),
    )
    return Sawtooth(
        TaskSpec(
            entry=entry,
            question="Does training find a function of many turns that the model can represent?",
            problem=Problem("vector", (1,), "classes", n_outputs=2, n_train=few),
            splits=(Split("train", "train", few), *measured),
            conditions=tuple(
                Condition(
                    f"n{n}",
                    f"{n} points, {n // 2} periods",
                    problem={"n_train": n},
                    sizes={"train": n, "fitted": n, **dict.fromkeys(("val", "iid", "test"), COPIES * n)},
                )
                for n in SIZES
            ),
            budget=Budget(
                steps=4_000, batch_size=max(SIZES), evaluations=40, seconds=120.0, core_seconds=6.0, first=50
            ),
            recipe=Recipe(learning_rate=3e-3),
            metric="accuracy",
            floor="chance",
            ceiling="oracle",
            constants={split.name: {"chance": 0.5} for split in measured},
            gate=0.6,
            sources=(TELGARSKY, MALACH),
            notes=NOTES,
        )
    )
