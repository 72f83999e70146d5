"""A sum of m ReLU units learns a sum of k of them: how often does it get stuck, and does one unit more help?

The teacher is relu(x_1) + ... + relu(x_k), x is standard normal and nothing is noisy. With m = k the student can be the
teacher. From random starts it often ends elsewhere from k = 8 on: in minima that are local. With m = k + 1 or k + 2
nearly every start ends at the teacher.

    k = 10, m = 10    30 to 65 % of the starts end at an error of 1 to 6 % of the variance
    k = 10, m = 12    hardly any does
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
    Batch,
    Budget,
    Condition,
    Predictor,
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
    "solutions/escape-v1": {
        "summary": "sums of ReLU units from 20 starts each: the share that escapes bad minima, by size",
        "input": "vector",
        "tags": ["synthetic", "regression", "closed-form"],
        "model": "relu-students",
    }
}

N_STARTS = 20
SIZES = ((6, 6), (8, 8), (10, 10), (10, 11), (10, 12))
"""(k, m): units of the teacher and of the student."""
LARGEST_K = 10
MOST_ERROR = 1e-3
"""Of the variance, where a student counts as the teacher; those that are stuck have ten times as much and more."""
ENOUGH = 0.9


class Escape(Task):
    """Every output has the same target, and the model is a student of its own for each: 20 starts in one training."""

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """x (N, k) and y (N, 20), the teacher's value in every column."""
        (k,) = self.spec.at(condition).problem.input_shape
        x = torch.randn(split.size, k, generator=draw.generator(condition, split.name))
        return Batch(x, x.relu().sum(1, keepdim=True).expand(-1, N_STARTS).contiguous())

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """`teacher` and the best constant."""
        (train,) = self.spec.with_role("train")
        mean = self.sample(condition, train, draw).y.mean(0)
        return {"teacher": lambda batch: batch.y, "mean": lambda batch: mean.expand(len(batch), -1)}

    def evaluate(self, outputs: Tensor, batch: Batch) -> Mapping[str, float]:
        """mse, r2, and `escaped`, the share of students whose error is below a thousandth of the variance."""
        error = (outputs - batch.y).square().mean(0) / batch.y.var(dim=0, correction=0)  # (20,)
        escaped = float((error < MOST_ERROR).float().mean())
        return {**super().evaluate(outputs, batch), "escaped": escaped}

    def is_answered(self, scores: Scores) -> bool:
        """Whether every student is the teacher."""
        return scores["iid"]["escaped"] == 1

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """`score` is the share of starts that escape, over all sizes.

        Indices: `escaped_k10-m11` and the like; `least_extra`, the fewest units beyond the teacher's ten with which
        nine in ten starts escape, where some number is enough. Trained is whoever explains .9 of the variance.
        """
        escaped = {name: row.scores["new"]["escaped"] for name, row in rows.items()}
        enough = [m - k for k, m in SIZES if k == LARGEST_K and escaped[named(k, m)] >= ENOUGH]
        explained = fmean(row.scores["iid"]["r2"] for row in rows.values())
        return replace(
            super().summarize(rows),
            trained=self.passes_gate(explained),
            indices={
                **{f"escaped_{name}": value for name, value in escaped.items()},
                **({"least_extra": float(min(enough))} if enough else {}),
            },
        )


def named(k: int, m: int) -> str:
    """The condition of m units that learn k."""
    return f"k{k}-m{m}"


SAFRAN = Source(
    key="safran2018spurious",
    authors="Itay Safran, Ohad Shamir",
    title="Spurious Local Minima are Common in Two-Layer ReLU Neural Networks",
    venue="ICML",
    year=2018,
    url="https://proceedings.mlr.press/v80/safran18a.html",
)


def build(entry: Entry) -> Task:
    return Escape(
        TaskSpec(
            entry=entry,
            question="Do gradients find the teacher, and how many units more than it has make sure of it?",
            problem=Problem("vector", (LARGEST_K,), "values", n_outputs=N_STARTS, n_train=1_000),
            splits=(
                Split("train", "train", 1_000),
                Split("val", "val", 1_000),
                Split("iid", "iid", 2_000),
                Split("new", "ood", 2_000),
            ),
            conditions=tuple(
                Condition(
                    named(k, m),
                    f"a student of {m} units, a teacher of {k}",
                    hparams={"width": m},
                    problem={"input_shape": (k,)},
                )
                for k, m in SIZES
            ),
            budget=Budget(1_500, 1_000, core_seconds=11.7),
            recipe=Recipe("sgd", learning_rate=0.8, momentum=0.9),
            metric="escaped",
            floor="mean",
            ceiling="teacher",
            gate=0.9,
            sources=(SAFRAN,),
            published=tuple(
                Published(f"share stuck, k = {k}, m = {m}, exact loss, 60 starts, our own sample", value)
                for k, m, value in ((8, 8, 0.12), (10, 10, 0.37), (10, 11, 0.15))
            ),
            notes=(
                "The loss is known exactly, without any data (Cho and Saul's kernel), and the experiment of the paper "
                "is gradient descent on it. A trial needs examples: 1,000 of them for at most 120 parameters, full "
                "batch. Counted by the exact loss of the trained students the shares are the same within one start in "
                "forty. With examples somewhat more starts get stuck than on the exact loss.",
                "The twenty columns of a target are equal and no parameter of the model serves two of them, so a "
                "training is twenty trainings. A step of an optimizer that looks at all parameters at once, such as a "
                "normalized one, is shared by the twenty.",
                "The rate .8 is .04 for each student, since the error is averaged over columns. Momentum .9 needs a "
                "fifth of the steps of plain descent, and leaves some of its minima: on the exact loss, of 60 starts, "
                "13, 27 and 0 % got stuck in place of 12, 37 and 15 % (k = m = 8, k = m = 10, and one unit more).",
                "Nothing is shifted: `new` is more of the same. Nothing is noisy either, so that an error of 1 % is a "
                "minimum that is local, not a lack of data.",
            ),
        )
    )
