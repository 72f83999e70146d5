"""Three hundred points with coins for labels: with how few parameters can a class still learn them by heart?

x is standard normal in R^20, y a fair coin. There is nothing to learn but the list. A class is built narrower and
narrower, and its capacity is the number of labels per parameter at the smallest width that has them all.

    a threshold unit with P inputs   learns N labels with probability 2^(1-N) x sum_{k<P} C(N-1, k): half at N = 2 P
    width 256                        learns them in a few dozen steps; a rule takes fewer
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.learning_order import NEVER, first_step
from tasks.types import (
    Axis,
    Batch,
    Budget,
    Condition,
    Problem,
    Published,
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
    "interpolation/memorize-v1": {
        "summary": "300 random labels learned by heart at eight widths of one class",
        "input": "vector",
        "tags": ["synthetic", "classification", "descriptive", "width", "closed-form"],
    }
}

DIMENSION, N_TRAIN = 20, 300
WIDTHS = (3, 4, 5, 6, 8, 16, 64, 256)
LARGEST = f"coins-{WIDTHS[-1]}"
RULE = f"rule-{WIDTHS[-1]}"


class Memorize(Task):
    """Accuracy on the training examples, whose labels are coins, or the side of a plane in one condition."""

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """x (N, 20), y (N,); `fitted` is the training split again."""
        generator = draw.generator("train" if split.role == "fitted" else split.name)
        x = torch.randn(split.size, DIMENSION, generator=generator)
        coins = torch.randint(2, (split.size,), generator=generator)
        if condition != RULE:
            return Batch(x, coins)
        normal = torch.randn(DIMENSION, generator=draw.generator("world"))
        return Batch(x, (x @ normal > 0).long())

    def is_answered(self, scores: Scores) -> bool:
        """All labels are learned."""
        return is_memorized(scores)

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """Everything is read at the last step. The value in distribution is the accuracy on the training examples.

        `capacity`: labels per parameter at the smallest size that has them all. `memorization_cost`: the steps that
        coins take over those that a rule takes, at the largest width.
        """
        last = {name: row.last for name, row in rows.items()}
        sizes = [n for name, row in rows.items() if is_memorized(last[name]) and (n := parameters(name, row))]
        fitted = last[LARGEST]["fitted"]["accuracy"]
        capacity = {"capacity": N_TRAIN / min(sizes)} if sizes else {}
        return Summary(
            iid=fitted,
            ood=None,
            trained=self.passes_gate(fitted),
            scores={},
            indices={**capacity, **cost(rows[LARGEST], rows[RULE])},
        )


def is_memorized(scores: Scores) -> bool:
    """Whether every training label is given back."""
    return scores["fitted"]["accuracy"] == 1


def parameters(condition: str, row: Row) -> int | None:
    """How many parameters learned coins; None for a rule, or where there are none to count."""
    return None if condition == RULE else row.n_parameters


def cost(coins: Row, rule: Row) -> dict[str, float]:
    """Steps for coins over steps for a rule, where both were learned."""
    long, short = first_step(coins.curve, is_memorized), first_step(rule.curve, is_memorized)
    return {} if NEVER in (long, short) else {"memorization_cost": long / short}


def separable(n: int, dimension: int) -> float:
    """The probability that a plane through 0 splits n random points of R^d as n coins say (Cover 1965)."""
    return float(sum(math.comb(n - 1, k) for k in range(dimension)) / 2 ** (n - 1))


COVER = Source(
    key="cover1965geometrical",
    authors="Thomas M. Cover",
    title="Geometrical and Statistical Properties of Systems of Linear Inequalities with Applications in Pattern "
    "Recognition",
    venue="IEEE Transactions on Electronic Computers EC-14(3)",
    year=1965,
    url="https://doi.org/10.1109/PGEC.1965.264137",
)
ZHANG = Source(
    key="zhang2017understanding",
    authors="Chiyuan Zhang, Samy Bengio, Moritz Hardt, Benjamin Recht, Oriol Vinyals",
    title="Understanding deep learning requires rethinking generalization",
    venue="ICLR",
    year=2017,
    url="https://openreview.net/forum?id=Sy8gdB9xx",
)
CONDITIONS = (
    *(Condition(f"coins-{w}", f"random labels, width {w}", hparams={"width": w}) for w in WIDTHS),
    Condition(RULE, f"the side of a plane, width {WIDTHS[-1]}", hparams={"width": WIDTHS[-1]}),
)


def build(entry: Entry) -> Task:
    return Memorize(
        TaskSpec(
            entry=entry,
            question="How many random labels per parameter does a class learn, and how much longer do they take than a "
            "rule?",
            problem=Problem("vector", (DIMENSION,), "classes", n_outputs=2, n_train=N_TRAIN),
            splits=(
                Split("train", "train", N_TRAIN),
                Split("val", "val", 500),
                Split("iid", "iid", 500),
                Split("fitted", "fitted", N_TRAIN),
            ),
            conditions=CONDITIONS,
            budget=Budget(steps=2_500, batch_size=N_TRAIN, evaluations=40, first=5, seconds=180.0, core_seconds=7.0),
            recipe=Recipe(learning_rate=3e-3),
            metric="accuracy",
            gate=0.99,
            axes=(Axis("capacity", "no label per parameter", "two labels per parameter", ends=(0.0, 2.0)),),
            sources=(COVER, ZHANG),
            published=(
                Published("one hidden layer of 4, 8 or 16: labels per parameter, pilot, best of three seeds", 1.5),
                Published("a threshold unit: labels per parameter that are learned every other time, closed form", 2.0),
            ),
            notes=(
                "New coins cannot be predicted: tests are at chance. What counts is the accuracy on the training "
                "examples, at the last step; the gate asks for .99 of it at the largest width.",
                "Capacity is found by training, so that it is what the recipe's 2,500 steps find and not what a "
                "network could hold: narrow networks stop a few labels short, at .97 to .99. It is read from one "
                "training for each width, where the pilot had the best of three. It moves in steps, from width to "
                "width.",
                "Two logits stand for one difference: of the last layer only half of the parameters count in truth. A "
                "readout of random features has 1 label per parameter at best by this count for Cover's 2.",
                "Our own sample, two seeds: 1.16 for ReLU and 2.04 for tanh networks of two hidden layers, .58 for "
                "random features; coins take 2 to 4 times the steps of a rule.",
                "Only classes with a `width` take part. A training ends when it has all labels.",
            ),
        )
    )
