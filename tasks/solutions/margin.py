"""Twenty points in fifty dimensions, separated by many hyperplanes: in which norm is the margin of the one found large?

x is standard normal and the class is the sign of x_1 + x_2 + x_3. Among the hyperplanes through the origin that tell
the training points apart, three are singled out by the largest margin min_i y_i w.x_i / |w|, each in a norm of its own.

    |w| is the sum of the |w_j|       few weights, here some 15 of 50         greedy coordinate descent goes there
    |w| is the Euclidean length       as short as can be                      gradient descent
    |w| is the largest |w_j|          nearly every weight at the same size    descent by signs, and nearly Adam
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.max_margin import NORMS, Array, Norm, margin, max_margin
from tasks.sources.slopes import mean_slopes, stencil
from tasks.types import (
    Axis,
    Batch,
    Budget,
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
    "solutions/margin-v1": {
        "summary": "the geometry of an optimizer: which maximal margin does a linear model reach on separable classes",
        "input": "vector",
        "tags": ["synthetic", "classification", "closed-form", "descriptive", "time-resolved"],
        "model": "hyperplane",
    },
    "solutions/margin-models-v1": {
        "summary": "the geometry of a model class: the margins of its mean slopes on separable classes",
        "input": "vector",
        "tags": ["synthetic", "classification", "closed-form", "descriptive"],
    },
}

DIMENSION, N_TRAIN, N_RELEVANT = 50, 20, 3
STEP = 1.0
"""Of the stencil: one standard deviation of an input."""


class Margin(Task):
    """The effective weights of a model are its mean slopes over the training points, of a linear model its weights."""

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """x (N, 50) and y (N,). `fitted` are the training points, `stencil` each of them moved along every input."""
        x = inputs("train" if split.role in ("fitted", "probe") else split.name, split, draw)
        y = (x[:, :N_RELEVANT].sum(1) > 0).long()
        if split.role != "probe":
            return Batch(x, y)
        return Batch(stencil(x, STEP), y.repeat_interleave(2 * DIMENSION))

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """The directions of maximal margin in the three norms, and the rule that the classes follow."""
        (train,) = self.spec.with_role("train")
        signed = signed_points(self.sample(condition, train, draw))
        directions = {f"max_margin_{norm}": torch.tensor(max_margin(signed, norm)) for norm in NORMS}
        directions["rule"] = (torch.arange(DIMENSION) < N_RELEVANT).double()
        return {name: partial(hyperplane, w) for name, w in directions.items()}

    def measure(self, condition: str, predict: Predict, data: Data) -> Scores:
        """The usual metrics, and on `stencil` each margin of the effective weights over the largest that there is.

        No margin where all slopes are 0: that is no direction.
        """
        scores = super().measure(condition, predict, data)
        logits = predict(data["stencil"].x)
        w = mean_slopes(logits[:, 1] - logits[:, 0], N_TRAIN, STEP).numpy()
        ratios = margin_ratios(signed_points(data["fitted"]), w) if w.any() else {}
        return {**scores, "stencil": {**scores["stencil"], **ratios}}

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """Indices `l1`, `l2`, `linf`: 1 for the direction whose margin is largest in that norm.

        They are read at the last measured step. Trained is whoever tells all training points apart.
        """
        (row,) = rows.values()
        last = row.last
        return Summary(
            iid=last["iid"]["accuracy"],
            ood=None,
            trained=self.passes_gate(last["fitted"]["accuracy"]),
            scores={},
            indices={norm: last["stencil"][norm] for norm in NORMS if norm in last["stencil"]},
        )


def inputs(name: str, split: Split, draw: Draw) -> Tensor:
    """Standard normal inputs (N, 50); those of the training points, also where a split holds many of each."""
    size = N_TRAIN if name == "train" else split.size
    return torch.randn(size, DIMENSION, generator=draw.generator(name))


def signed_points(batch: Batch) -> Array:
    """y_i x_i with y_i = -1 or 1 (N, 50), float64."""
    points: Array = ((2.0 * batch.y - 1)[:, None] * batch.x).double().numpy()
    return points


def margin_ratios(signed: Array, w: Array) -> dict[Norm, float]:
    """In each norm the margin of w over the largest margin there is: at most 1, below 0 where w separates nothing."""
    return {norm: margin(signed, w, norm) / margin(signed, max_margin(signed, norm), norm) for norm in NORMS}


def hyperplane(w: Tensor, batch: Batch) -> Tensor:
    """Logits (N, 2) that differ by w.x."""
    value = batch.x.double() @ w
    return torch.stack([-value / 2, value / 2], dim=1)


SOUDRY = Source(
    key="soudry2018implicit",
    authors="Daniel Soudry, Elad Hoffer, Mor Shpigel Nacson, Suriya Gunasekar, Nathan Srebro",
    title="The Implicit Bias of Gradient Descent on Separable Data",
    venue="JMLR",
    year=2018,
    url="https://jmlr.org/papers/v19/18-188.html",
)
GUNASEKAR = Source(
    key="gunasekar2018geometry",
    authors="Suriya Gunasekar, Jason Lee, Daniel Soudry, Nathan Srebro",
    title="Characterizing Implicit Bias in Terms of Optimization Geometry",
    venue="ICML",
    year=2018,
    url="https://proceedings.mlr.press/v80/gunasekar18a.html",
)
ZHANG = Source(
    key="zhang2024adam",
    authors="Chenyang Zhang, Difan Zou, Yuan Cao",
    title="The Implicit Bias of Adam on Separable Data",
    venue="NeurIPS",
    year=2024,
    url="https://arxiv.org/abs/2406.10650",
)
FAN = Source(
    key="fan2025spectral",
    authors="Chen Fan, Mark Schmidt, Christos Thrampoulidis",
    title="Implicit Bias of Spectral Descent and Muon on Multiclass Separable Data",
    venue="NeurIPS",
    year=2025,
    url="https://arxiv.org/abs/2502.04664",
)


PILOT = tuple(
    Published(f"{name}, share of the largest {norm} margin, float64, our own sample", value)
    for name, norm, value in (
        ("normalized gradient descent", "l2", 0.997),
        ("sign descent", "linf", 0.997),
        ("coordinate descent", "l1", 0.993),
        ("Adam with a falling rate", "linf", 0.912),
        ("gradient descent after 20,000 steps", "l2", 0.945),
    )
)
SHARED_NOTES = (
    "The ratios are read off the function: the effective weights are the mean slopes over the training points, by "
    "central differences of one standard deviation. Of a linear model they are its weights. A bias plays no part.",
    "Three solutions are exact here, by a linear program (l1 and l-infinity) and by non-negative least squares (l2): "
    "the anchors `max_margin_l1`, `_l2` and `_linf` are their accuracies on new points. None is the right one. The "
    "rule has three relevant inputs, so that the sparsest one is best on new points.",
    "A model counts as trained that tells all training points apart; its accuracy on new points selects nothing, and "
    "the indices are read at the last step.",
)
TRAINING_NOTES = (
    "The learning rate of the recipe is that of plain gradient descent, which comes near the Euclidean margin like "
    "1 / log t: never ask .99 of it. The three steepest descents, each at its own rate over sqrt(t), take 5,000 steps.",
    "Precision: a logit's gradient is a rounded probability. In float32 that of a wrong class is 0 beyond a margin of "
    "103 (and coarse beyond 87), and a step that divides by it is NaN. The suite's optimizers are set so that margins "
    "stay below, and do not move where nothing is left of a gradient. This costs the last percent: in float64 and with "
    "longer steps the three reach .99 and more of their own margins.",
    "With one row of weights the spectral norm is the Euclidean one, and spectral descent is normalized gradient "
    "descent.",
)
MODEL_NOTES = (
    "Networks are trained by Adam on all points at once. Of a linear model that would be the bias of the optimizer "
    "alone; of any other class it is what architecture, initialisation and Adam do together.",
    "A class whose output does not change within a standard deviation of an input has no effective weights, and no "
    "index.",
)


def build(entry: Entry) -> Task:
    training_track = bool(entry.model)
    return Margin(
        TaskSpec(
            entry=entry,
            question="Of all hyperplanes that separate the classes, which does an optimizer find?"
            if training_track
            else "Of all ways to separate the classes, which does a model class find?",
            problem=Problem("vector", (DIMENSION,), "classes", n_outputs=2, n_train=N_TRAIN),
            splits=(
                Split("train", "train", N_TRAIN),
                Split("val", "val", 500),
                Split("iid", "iid", 2_000),
                Split("fitted", "fitted", N_TRAIN),
                Split("stencil", "probe", N_TRAIN * 2 * DIMENSION, {"step": STEP}),
            ),
            budget=Budget(5_000, N_TRAIN, evaluations=12, core_seconds=1.8, first=20)
            if training_track
            else Budget(1_000, N_TRAIN, core_seconds=0.8),
            recipe=Recipe("sgd", learning_rate=1.0) if training_track else Recipe(),
            metric="accuracy",
            gate=0.999,
            axes=(
                Axis("l1", "no margin", "the largest l1 margin: few weights"),
                Axis("l2", "no margin", "the largest Euclidean margin: the shortest weights"),
                Axis("linf", "no margin", "the largest l-infinity margin: all weights of one size"),
            ),
            sources=(SOUDRY, GUNASEKAR, ZHANG, FAN),
            published=PILOT if training_track else (),
            notes=SHARED_NOTES + (TRAINING_NOTES if training_track else MODEL_NOTES),
        )
    )
