"""A product of three signs, alone or at the top of a staircase x1 + x1 x2 + x1 x2 x3: does a model climb it faster?

Of 30 signs three or four matter. Every sum below holds one term of the highest degree; they differ in what leads there.

    stair3   x1 + x1 x2 + x1 x2 x3              every term adds one sign to one that is known
    leap2    x1 + x1 x2 x3                      the last term adds two
    mono3    x1 x2 x3                           nothing to begin with
    stair4   x1 + x1 x2 + x1 x2 x3 + x1 x2 x3 x4
    mono4    x1 x2 x3 x4

    x1, x2, x3 = -, +, -     stair3 is -1 - 1 + 1 = -1, leap2 is -1 + 1 = 0, mono3 is +1
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from statistics import fmean

import torch
from torch import Tensor

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.boolean_cube import monomial, points, walsh_hadamard
from tasks.sources.learning_order import NEVER, first_step
from tasks.sources.sign_strings import fair_signs, product
from tasks.sources.solving_time import is_training, solving_step, speed
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
)

ENTRIES = {
    "hardness/staircase-v1": {
        "summary": "sums of products of 3 or 4 of 30 signs, with and without the lower terms; the steps until learned",
        "input": "vector",
        "tags": ["synthetic", "regression", "time-resolved", "boolean", "flagship"],
    }
}

N_SIGNS = 30
TERMS = {"stair3": (1, 2, 3), "leap2": (1, 3), "mono3": (3,), "stair4": (1, 2, 3, 4), "mono4": (4,)}
"""The degrees of the terms; the term of degree j is the product of the first j relevant signs."""
SOLVED = 0.95
HALF = 0.5
FAST, LIMIT, BATCH = 100, 10_000, 64
POOL = 100_000
BACKGROUNDS = 64
"""Strings of the signs that do not matter, each shown with every pattern of those that do."""


class Staircase(Task):
    """Which places matter, and in which order they enter the products, is drawn for every target and every seed."""

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """Signs x (N, 30) and the target y (N, 1).

        The split `patterns` shows all 2^k patterns of the relevant signs, in the order of the cube, for each of 64
        settings of the others; its `latent` (N, k) are the relevant signs.
        """
        places = self.relevant_places(condition, draw)
        x = fair_signs(split.size, N_SIGNS, draw.generator(condition, split.name))
        if split.role != "probe":
            return Batch(x, target(condition, x, places))
        cube = points(len(places))
        x = x[:BACKGROUNDS].repeat_interleave(len(cube), dim=0)
        x[:, places] = cube.repeat(BACKGROUNDS, 1)
        return Batch(x, target(condition, x, places), latent=x[:, places])

    def relevant_places(self, condition: str, draw: Draw) -> Tensor:
        """The places of x1, x2, ..., (k,)."""
        return torch.randperm(N_SIGNS, generator=draw.generator("world", condition))[: max(TERMS[condition])]

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """`oracle` is the target; `line` its part of degree 1."""
        places = self.relevant_places(condition, draw)

        def line(batch: Batch) -> Tensor:
            return batch.x[:, places[:1]] * float(1 in TERMS[condition])

        return {"oracle": lambda batch: target(condition, batch.x, places), "line": line}

    def evaluate(self, outputs: Tensor, batch: Batch) -> Mapping[str, float]:
        """mse and r2; on `patterns` also `coefficient_j`, the output's Fourier coefficient at the first j signs."""
        values = dict(super().evaluate(outputs, batch))
        if batch.latent is not None:
            k = batch.latent.shape[1]
            coefficients = walsh_hadamard(outputs.view(-1, 2**k).mean(0))
            values |= {f"coefficient_{j}": float(coefficients[monomial(range(j))]) for j in range(1, k + 1)}
        return values

    def is_answered(self, scores: Scores) -> bool:
        """A target is learned where all but a twentieth of its variance is explained."""
        return scores["iid"]["r2"] >= SOLVED

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """`score` is the mean over targets of the speed, 1 for 100 steps and 0 for 10,000, in between by their log.

        Indices: `steps_stair3` and the like of what was learned; `speedup_3` and `speedup_4`, the time of the product
        alone over that of its staircase; `learned_at_1` to `_3`, when the terms of stair3 have half their size.
        """
        pool = self.spec.problem.n_train / self.spec.budget.batch_size
        steps = {name: solving_step(row, self.is_answered, pool) for name, row in rows.items()}
        speeds = {name: speed(step, FAST, LIMIT) for name, step in steps.items()}
        watched = {name: step for name, step in steps.items() if is_training(rows[name]) and step < NEVER}
        iid = self.role_mean(rows, "iid")
        return Summary(
            iid=iid,
            ood=self.role_mean(rows, "ood"),
            trained=self.passes_gate(iid),
            scores={
                "score": fmean(speeds.values()),
                "solved": fmean(step < NEVER for step in steps.values()),
                **{f"score_{name}": value for name, value in speeds.items()},
            },
            indices={
                **{f"steps_{name}": step for name, step in watched.items()},
                **speedups(watched),
                **climbed(rows["stair3"], TERMS["stair3"]),
            },
        )


def target(name: str, x: Tensor, places: Tensor) -> Tensor:
    """The sum of the terms of a target, x (N, 30) to (N, 1)."""
    terms = [product(x, places[:degree]) for degree in TERMS[name]]
    return torch.stack(terms).sum(0)[:, None]


def speedups(steps: Mapping[str, float]) -> dict[str, float]:
    """Time of the product over time of its staircase, where both were learned."""
    return {
        f"speedup_{k}": steps[f"mono{k}"] / steps[f"stair{k}"]
        for k in (3, 4)
        if f"mono{k}" in steps and f"stair{k}" in steps
    }


def climbed(row: Row, degrees: Sequence[int]) -> dict[str, float]:
    """When the coefficient of each term is first 1/2, of terms and trainings where that is defined."""

    def half(degree: int, scores: Scores) -> bool:
        return scores["patterns"][f"coefficient_{degree}"] >= HALF

    if not is_training(row):
        return {}
    times = {degree: first_step(row.curve, partial(half, degree)) for degree in degrees}
    return {f"learned_at_{degree}": time for degree, time in times.items() if time < NEVER}


NOTES = (
    "The test is more of the same distribution: nothing shifts, and the score is about time, at steps that grow by a "
    "sixth each. The pool has 100,000 strings: 1,563 steps see fresh ones, 10,000 see each 6.4 times.",
    "All terms have size 1 and are uncorrelated, so that the highest one is as loud alone as on its stair, and "
    "whoever has the others has learned nothing of it but where to look. The theory (Abbe et al.): in the mean-field "
    "limit staircases are learned in a number of steps that is linear in n, a leap of L in about n^(L - 1).",
    "The part of degree 1 is the shortcut of the loss: it explains 1/3 of stair3, 1/2 of leap2, 1/4 of stair4 and "
    "nothing of the products, .22 in the mean, which is below the gate.",
    "A kernel, and a network in its lazy regime, pays for the degree of a term and not for what leads there: with n^3 "
    "strings for degree 3 the staircase saves it nothing. An estimator has no steps and no speed-up; it is charged "
    "the whole pool, 1,563 steps, where it learns a target.",
    "Plain SGD and squared error, since adaptive steps blur the plateaus: with Adam (1e-3) `mlp` needs 250 steps for "
    "stair3 and for mono3 alike. A class that brings its own optimizer says less here.",
    "Our own figures, seed 0, steps for stair3, leap2, mono3, stair4, mono4: `mlp` 652, 652, 2,006, 765, 6,176; "
    "`mlp-snake` 343, 292, 652, 402, 1,239; `mlp-tanh` 555, 555, 1,455, 1,055, never. A line, random features and a "
    "Gaussian kernel learn none; random features have the second term of stair3 by step 111 and never the third.",
)

ABBE_STAIRCASE = Source(
    key="abbe2022merged",
    authors="Emmanuel Abbe, Enric Boix-Adsera, Theodor Misiakiewicz",
    title="The Merged-Staircase Property: A Necessary and Nearly Sufficient Condition for SGD Learning of Sparse "
    "Functions on Two-Layer Neural Networks",
    venue="COLT",
    year=2022,
    url="https://proceedings.mlr.press/v178/abbe22a.html",
)
ABBE_LEAP = Source(
    key="abbe2023leap",
    authors="Emmanuel Abbe, Enric Boix-Adsera, Theodor Misiakiewicz",
    title="SGD Learning on Neural Networks: Leap Complexity and Saddle-to-Saddle Dynamics",
    venue="COLT",
    year=2023,
    url="https://proceedings.mlr.press/v195/abbe23a.html",
)


def build(entry: Entry) -> Task:
    return Staircase(
        TaskSpec(
            entry=entry,
            question="Is a term of high degree learned sooner where terms of lower degree lead up to it?",
            problem=Problem("vector", (N_SIGNS,), "values", n_outputs=1, n_train=POOL),
            splits=(
                Split("train", "train", POOL),
                Split("val", "val", 1_000),
                Split("iid", "iid", 2_000),
                Split("test", "ood", 2_000),
                Split("patterns", "probe", BACKGROUNDS * 2**3),
            ),
            conditions=tuple(
                Condition(
                    name,
                    " + ".join("".join(f"x{i}" for i in range(1, degree + 1)) for degree in terms),
                    sizes={"patterns": BACKGROUNDS * 2 ** max(terms)},
                )
                for name, terms in TERMS.items()
            ),
            budget=Budget(steps=LIMIT, batch_size=BATCH, evaluations=44, seconds=240.0, core_seconds=7.0, first=10),
            recipe=Recipe(optimizer="sgd", learning_rate=0.02),
            metric="r2",
            floor="constant",
            ceiling="oracle",
            constants={name: {"constant": 0.0} for name in ("val", "iid", "test", "patterns")},
            gate=0.25,
            sources=(ABBE_STAIRCASE, ABBE_LEAP),
            notes=NOTES,
        )
    )
