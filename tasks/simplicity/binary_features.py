"""32 bits with an easy and a hard feature: how much less may the easy one predict and still be the one that is read?

The easy feature is one bit, the hard one the exclusive or of two; 14 + 15 more bits are noise. Bits are -1 and +1. The
hard feature agrees with the label in 90 % of rows, the easy one in 50 to 100 %, by condition. With label 1, say:

    easy domain +1 . . . . .   hard domain -1 +1 . . . . .   both features say 1
    easy domain -1 . . . . .   hard domain +1 -1 . . . . .   the easy feature says 0, the hard one 1
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

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
    Recipe,
    Row,
    Source,
    Split,
    Summary,
    Task,
    TaskSpec,
    class_logits,
)

ENTRIES = {
    "simplicity/binary-features-v1": {
        "summary": "a bit against an exclusive or of two bits, over the predictivity of the bit",
        "input": "vector",
        "tags": ["synthetic", "classification", "shortcut", "ladder", "closed-form"],
    }
}

DOMAIN = 16
EASY = 0
HARD = (16, 17)
HARD_PREDICTIVITY = 0.9
EASY_PREDICTIVITIES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
UNREAD = 0.1
"""A feature whose use is below this is taken for unread; if both are, nobody can say which one is preferred."""


class BinaryFeatures(Task):
    """Use of a feature: 2 accuracy - 1, at least 0, where it alone tells the label. pi: the easy one's share of both.

    `premium` is how far below the hard feature's predictivity that of the easy one is where pi passes 1/2.
    """

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """Bits (N, 32). `latent` (N, 2): whether the easy and the hard feature agree with the label."""
        generator = draw.generator(split.name)
        y = torch.randint(2, (split.size,), generator=generator)
        easy = self.agreement(split, "easy", predictivity(condition), generator)
        hard = self.agreement(split, "hard", HARD_PREDICTIVITY, generator)
        bits = torch.randint(2, (split.size, 2 * DOMAIN), generator=generator)
        bits[:, EASY] = says(y, easy)
        bits[:, HARD[1]] = bits[:, HARD[0]] ^ says(y, hard)
        return Batch(bits * 2.0 - 1, y, latent=torch.stack([easy, hard], dim=1))

    def agreement(self, split: Split, feature: str, share: float, generator: torch.Generator) -> Tensor:
        """Whether a feature agrees with the label (N,): at random in distribution; on a probe always, or in one half.

        Exactly one half: a model that ignores the feature is then measured without the noise of its agreement.
        """
        told = split.params["told_by"]
        if told == "both":
            return torch.rand(split.size, generator=generator) < share
        agrees = torch.arange(split.size) % 2 == 0
        return torch.ones_like(agrees) if told == feature else agrees[torch.randperm(split.size, generator=generator)]

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """`easy_reader` and `hard_reader` follow one feature; `bayes` the more predictive one, neither at a tie."""
        p = predictivity(condition)

        def bayes(batch: Batch) -> Tensor:
            if p == HARD_PREDICTIVITY:
                return class_logits(easy_feature(batch.x), 2) + class_logits(hard_feature(batch.x), 2)
            return class_logits((easy_feature if p > HARD_PREDICTIVITY else hard_feature)(batch.x), 2)

        return {
            "easy_reader": lambda batch: class_logits(easy_feature(batch.x), 2),
            "hard_reader": lambda batch: class_logits(hard_feature(batch.x), 2),
            "bayes": bayes,
        }

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """`score` is 1 - premium / .4: 1 for a class that follows the more predictive feature, 0 for the easy reader.

        Indices: `pi_50` to `pi_100` by predictivity in per cent, where defined; `crossing`; `premium`; and the
        control `hard_alone`, accuracy of the hard feature where the easy one says nothing.
        A class that reads neither feature has no premium, scores 0 and does not pass the gate.
        """
        curve = {p: pi for p in EASY_PREDICTIVITIES if (pi := easy_share(rows[name_of(p)])) is not None}
        indices = {f"pi_{100 * p:.0f}": pi for p, pi in curve.items()}
        indices["hard_alone"] = rows[name_of(0.5)].scores["hard-only"]["accuracy"]
        score = 0.0
        if curve:
            indices["crossing"] = crossing(curve)
            indices["premium"] = HARD_PREDICTIVITY - indices["crossing"]
            # a class that follows the hard feature beyond .9 pays no premium for the easy one
            score = 1 - max(indices["premium"], 0.0) / (HARD_PREDICTIVITY - EASY_PREDICTIVITIES[0])
        iid = self.role_mean(rows, "iid")
        return Summary(iid, self.role_mean(rows, "ood"), self.passes_gate(iid), {"score": score}, indices)


def name_of(p: float) -> str:
    """The condition in which the easy feature agrees with the label with probability p."""
    return f"easy-{100 * p:.0f}"


def predictivity(condition: str) -> float:
    """The inverse of `name_of`."""
    return int(condition.removeprefix("easy-")) / 100


def says(y: Tensor, agrees: Tensor) -> Tensor:
    """The feature (N,), 0 or 1, of labels with which it agrees or not."""
    return torch.where(agrees, y, 1 - y)


def easy_feature(x: Tensor) -> Tensor:
    """The easy bit (N,), 0 or 1."""
    return (x[:, EASY] > 0).long()


def hard_feature(x: Tensor) -> Tensor:
    """Whether the two hard bits differ (N,), 0 or 1."""
    return (x[:, HARD[0]] != x[:, HARD[1]]).long()


def easy_share(row: Row) -> float | None:
    """pi = u_easy / (u_easy + u_hard), u the uses of the two features; None if both are unread."""
    easy, hard = (max(0.0, 2 * row.scores[f"{name}-only"]["accuracy"] - 1) for name in ("easy", "hard"))
    return None if max(easy, hard) < UNREAD else easy / (easy + hard)


def crossing(curve: Mapping[float, float]) -> float:
    """The predictivity of the easy feature at which pi rises to 1/2, linear between two rungs.

    .5 for a class that prefers the easy feature on every rung where it reads any, 1 for one that never does.
    """
    rungs = sorted(curve.items())
    if rungs[0][1] >= 0.5:
        return EASY_PREDICTIVITIES[0]
    for (low, below), (high, above) in pairwise(rungs):
        if above >= 0.5:
            return low + (high - low) * (0.5 - below) / (above - below)
    return EASY_PREDICTIVITIES[-1]


HERMANN_LAMPINEN = Source(
    key="hermann2020what",
    authors="Katherine L. Hermann, Andrew K. Lampinen",
    title="What shapes feature representations? Exploring datasets, architectures, and training",
    venue="NeurIPS",
    year=2020,
    url="https://arxiv.org/abs/2006.12433",
)

NOTES = (
    "Shortcut: the easy bit. A class that weighs features by what they predict follows the hard one until the easy one "
    "reaches .9 (`bayes`, premium 0), and so does `hard_reader`, the ceiling; `easy_reader`, the floor, has .4.",
    "The ceiling reads the hard feature even where the easy one predicts all; a crossing beyond .9 counts as .9 in the "
    "score, and stands as it is in `premium`.",
    "Learnability control: the condition `easy-50`, where the easy bit says nothing; its accuracy on `hard-only` is "
    "the index `hard_alone`. A class that stays at .5 there scores 0: linear ones cannot read it, tanh networks do "
    "not.",
    "On a probe the other domain is random, and its feature agrees with the label in exactly one half of the rows.",
    "pi is left out on a rung where both uses are below .1.",
    "Bits of 0 and 1 instead of -1 and +1 move the crossing of a ReLU network by less than .01.",
    "256 training examples and a full batch, as published; Adam instead of plain gradient descent, and the suite's "
    "networks instead of one of 256-128-64-64 units. The original reads its figures from five runs; compare the sign.",
)


def build(entry: Entry) -> Task:
    spec = TaskSpec(
        entry=entry,
        question="How much predictivity does a model give up to read the feature that is easier to read?",
        problem=Problem("vector", (2 * DOMAIN,), "classes", n_outputs=2, n_train=256),
        splits=(
            Split("train", "train", 256, {"told_by": "both"}),
            Split("val", "val", 1_000, {"told_by": "both"}),
            Split("iid", "iid", 2_000, {"told_by": "both"}),
            Split("easy-only", "probe", 4_000, {"told_by": "easy"}),
            Split("hard-only", "ood", 4_000, {"told_by": "hard"}),
        ),
        conditions=tuple(
            Condition(name_of(p), f"the easy feature agrees with the label in {100 * p:.0f} %", {"easy": p})
            for p in EASY_PREDICTIVITIES
        ),
        budget=Budget(steps=300, batch_size=256, seconds=120.0, core_seconds=2.4),
        recipe=Recipe(learning_rate=1e-3),
        metric="accuracy",
        floor="easy_reader",
        ceiling="hard_reader",
        axes=(
            Axis("premium", "the more predictive feature is read", "the easier feature is read", (0.0, 0.4)),
            Axis("pi_80", "the hard feature, right in 90 %, is read", "the easy feature, right in 80 %, is read"),
        ),
        gate=0.65,
        sources=(HERMANN_LAMPINEN,),
        published=(
            Published(
                "predictivity of the easy feature at which it is still preferred to a hard one of .9",
                0.8,
                source="Hermann and Lampinen 2020, read off a figure",
            ),
        ),
        notes=NOTES,
    )
    return BinaryFeatures(spec)
