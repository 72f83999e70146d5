"""Forty equations for a hundred weights, of which five are not 0: does a training find few weights, or small ones?

x is standard normal and y = b.x without noise. Five entries of b are 1 / sqrt(5) or its opposite. The interpolant of
least l1 norm is b itself. The one of least length uses all inputs a little: that is where gradient descent on a linear
model ends, and it explains n / d = 40 % of y.

    rho = (|w|_1 - least) / (|shortest w|_1 - least)    0: sparse, the rich regime; 1: shortest, the lazy regime
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.interpolants import Array, diagonal_flow, least_l1, least_l2
from tasks.sources.slopes import mean_slopes, stencil
from tasks.types import (
    Axis,
    Batch,
    Budget,
    Condition,
    Data,
    Predict,
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
    "solutions/sparse-v1": {
        "summary": "sparse or short weights: a diagonal network from five scales of initialisation",
        "input": "vector",
        "tags": ["synthetic", "regression", "closed-form", "descriptive", "time-resolved", "flagship"],
        "model": "diagonal-network",
    },
    "solutions/sparse-models-v1": {
        "summary": "sparse or short weights: the effective weights of a model class on 40 equations for 100 unknowns",
        "input": "vector",
        "tags": ["synthetic", "regression", "closed-form", "descriptive", "flagship"],
    },
}

DIMENSION, N_TRAIN, N_RELEVANT = 100, 40, 5
SCALES = (1.0, 0.3, 0.1, 0.03, 0.01)
"""Of a diagonal network's parameters at first."""
STEP = 1.0
"""Of the stencil: one standard deviation of an input."""
SOLVED = 1 - 1e-8


class Sparse(Task):
    """The effective weights of a model are its mean slopes over the training points, of a linear model its weights."""

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """x (N, 100) and y (N, 1). `fitted` are the training points, `stencil` each of them moved along every input."""
        at_training = split.role in ("train", "fitted", "probe")
        x = torch.randn(
            N_TRAIN if at_training else split.size,
            DIMENSION,
            generator=draw.generator("train" if at_training else split.name),
        )
        x = stencil(x, STEP) if split.role == "probe" else x
        return Batch(x, x @ teacher(draw))

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """The two ends of rho; for a diagonal network also where the gradient flow from its scale ends."""
        (train,) = self.spec.with_role("train")
        x, y = arrays(self.sample(condition, train, draw))
        found = {"least_l1": least_l1(x, y), "least_l2": least_l2(x, y)}
        if (scale := self.scale(condition)) is not None:
            found["gradient_flow"] = diagonal_flow(x, y, scale)
        return {name: partial(linear, torch.tensor(weights)) for name, weights in found.items()}

    def scale(self, condition: str) -> float | None:
        """The scale that this condition gives a diagonal network, if it gives any."""
        scale = self.spec.condition(condition).hparams.get("scale")
        assert scale is None or isinstance(scale, float)
        return scale

    def measure(self, condition: str, predict: Predict, data: Data) -> Scores:
        """The usual metrics; on `stencil` also `rho`, and how far the weights are from the gradient flow's end.

        No rho where all slopes are 0: such a model has no weights. `linear_share` is the R2 of the linear function
        with these weights against the model's own outputs on new points.
        """
        scores = super().measure(condition, predict, data)
        weights = mean_slopes(predict(data["stencil"].x)[:, 0], N_TRAIN, STEP).numpy()
        if not weights.any():
            return scores
        x, y = arrays(data["fitted"])
        found = {
            "rho": between(x, y, weights, l1_norm),
            "density": between(x, y, weights, relative_l1_norm),
            "linear_share": linear_share(predict(data["iid"].x)[:, 0], data["iid"].x, weights),
        }
        if (scale := self.scale(condition)) is not None:
            end = diagonal_flow(x, y, scale)
            found["distance"] = float(np.linalg.norm(weights - end) / np.linalg.norm(end))
        return {**scores, "stencil": {**scores["stencil"], **found}}

    def is_answered(self, scores: Scores) -> bool:
        """Once the equations are solved, nothing moves any more."""
        return scores["fitted"]["r2"] > SOLVED

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """Indices `rho`, for a diagonal network one of each scale, and `density`; read at the last measured step.

        Trained is whoever solves the equations, on average over conditions.
        """
        last = {name: row.last for name, row in rows.items()}
        fitted = math.fsum(scores["fitted"]["r2"] for scores in last.values()) / len(last)
        return Summary(
            iid=math.fsum(scores["iid"]["r2"] for scores in last.values()) / len(last),
            ood=None,
            trained=self.passes_gate(fitted),
            scores={},
            indices={index: value for name, scores in last.items() for index, value in read(name, scores).items()},
        )


def read(condition: str, scores: Scores) -> dict[str, float]:
    """The indices of one condition that are defined, under its name where there are several."""
    suffix = "" if condition == "default" else f"_{condition.removeprefix('scale-')}"
    names = ("density", "rho", "linear_share") if condition == "default" else ("rho", "distance")
    return {f"{name}{suffix}": scores["stencil"][name] for name in names if name in scores["stencil"]}


def teacher(draw: Draw) -> Tensor:
    """The weights (100, 1) of this world: five entries 1 / sqrt(5) or its opposite, so that y has variance 1."""
    generator = draw.generator("world")
    places = torch.randperm(DIMENSION, generator=generator)[:N_RELEVANT]
    weights = torch.zeros(DIMENSION, 1)
    weights[places, 0] = (2.0 * torch.randint(2, (N_RELEVANT,), generator=generator) - 1) / math.sqrt(N_RELEVANT)
    return weights


def arrays(batch: Batch) -> tuple[Array, Array]:
    """Inputs (N, 100) and values (N,), float64."""
    return batch.x.double().numpy(), batch.y[:, 0].double().numpy()


def between(x: Array, y: Array, weights: Array, size: Callable[[Array], float]) -> float:
    """Where the size of weights (100,) lies between that of the sparsest interpolant, 0, and of the shortest, 1."""
    sparsest, shortest = size(least_l1(x, y)), size(least_l2(x, y))
    return (size(weights) - sparsest) / (shortest - sparsest)


def l1_norm(weights: Array) -> float:
    """The sum of absolute weights."""
    return float(np.abs(weights).sum())


def relative_l1_norm(weights: Array) -> float:
    """The same of the weights at Euclidean length 1: from 1, where there is one, to sqrt(d), where all are equal."""
    return l1_norm(weights / np.linalg.norm(weights))


def linear_share(outputs: Tensor, x: Tensor, weights: Array) -> float:
    """R2 of x.w plus a constant against outputs (N,); 1 where these do not vary."""
    outputs = outputs.double() - outputs.double().mean()
    value = x.double() @ torch.tensor(weights)
    residual, total = (outputs - value + value.mean()).square().sum(), outputs.square().sum()
    return float(1 - residual / total) if total > 0 else 1.0


def linear(weights: Tensor, batch: Batch) -> Tensor:
    """Values (N, 1) of x.w."""
    return (batch.x.double() @ weights).float().unsqueeze(1)


WOODWORTH = Source(
    key="woodworth2020kernel",
    authors="Blake Woodworth, Suriya Gunasekar, Jason D. Lee, Edward Moroshko, Pedro Savarese, Itay Golan, "
    "Daniel Soudry, Nathan Srebro",
    title="Kernel and Rich Regimes in Overparametrized Models",
    venue="COLT",
    year=2020,
    url="https://proceedings.mlr.press/v125/woodworth20a.html",
)

NOTES = (
    "The effective weights are the mean slopes over the training points, by central differences of one standard "
    "deviation. Index `linear_share` says how much of a model's outputs on new points they explain: where it is small, "
    "rho says little.",
    "Both ends are exact: a linear program and least squares. Neither is the right one as far as the training data go. "
    "An interpolant explains more of new data the nearer its rho is to 0, because this world is sparse.",
    "rho compares l1 norms, as the theory of interpolants does. The slopes of a model that is not linear solve no "
    "equations; where they are small its rho is small too, and may be below 0, though they are dense. So of model "
    "classes `density` is read, which is rho of the weights at Euclidean length 1.",
)
TRAINING_NOTES = (
    "Gradient flow of a diagonal network u * u - v * v from u = v = a ends at 2 a^2 sinh(x'n) with n such that the "
    "equations hold: the anchor `gradient_flow`, by Newton's method. Index `distance_a` is the relative distance from "
    "it. Plain gradient descent with the recipe's step has .005 or less where it has converged.",
    "A training ends when the equations are solved (R2 1 - 1e-8). From a scale of .03 and below the recipe has not got "
    "there after 8,000 steps, since the last weights to grow start from a^2; its distance is then .01.",
    "With scale 3 of the original experiment the recipe's step would be unstable; the regime is lazy from 1 on.",
)


def build(entry: Entry) -> Task:
    training_track = bool(entry.model)
    ends = "few weights, the rich regime", "the shortest weights, the lazy regime"
    return Sparse(
        TaskSpec(
            entry=entry,
            question="Of all weights that solve the equations, does it find the sparsest or the shortest?",
            problem=Problem("vector", (DIMENSION,), "values", n_outputs=1, n_train=N_TRAIN),
            splits=(
                Split("train", "train", N_TRAIN),
                Split("val", "val", 500),
                Split("iid", "iid", 2_000),
                Split("fitted", "fitted", N_TRAIN),
                Split("stencil", "probe", N_TRAIN * 2 * DIMENSION, {"step": STEP}),
            ),
            conditions=tuple(
                Condition(f"scale-{scale:g}", f"all parameters start at {scale:g}", hparams={"scale": scale})
                for scale in SCALES
            )
            if training_track
            else (Condition("default"),),
            budget=Budget(8_000, N_TRAIN, evaluations=12, core_seconds=9.2, first=100)
            if training_track
            else Budget(2_000, N_TRAIN, evaluations=10, core_seconds=0.3),
            recipe=Recipe("sgd", learning_rate=1e-2) if training_track else Recipe(),
            metric="r2",
            gate=0.99,
            axes=(Axis("rho_0.01", *ends), Axis("rho_0.1", *ends)) if training_track else (Axis("density", *ends),),
            sources=(WOODWORTH,),
            published=(Published("R2 of the shortest interpolant, n / d in expectation", N_TRAIN / DIMENSION),),
            notes=NOTES + (TRAINING_NOTES if training_track else ()),
        )
    )
