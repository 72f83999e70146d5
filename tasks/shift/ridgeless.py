"""A linear function of sixty numbers fitted to thirty examples, and of fifteen: which shift of the inputs hurts a fit?

y = x_1 + noise, x standard normal in training, noise of standard deviation .3. Test inputs have other second moments.
For least squares at least norm the expected risk under each is a formula:

    60 inputs    part of the signal is never learned: a shift along it costs four times what one across does
    15 inputs    all of it is learned, up to noise: only the size of the shift counts, not its direction
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.learning_curves import mean_log_ratio
from tasks.sources.minimum_norm import least_norm, risk_under_shift
from tasks.types import (
    Axis,
    Batch,
    Budget,
    Condition,
    Data,
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
    "shift/ridgeless-v1": {
        "summary": "exact risk of least squares at least norm under three shifts, and any model beside it",
        "input": "vector",
        "tags": ["synthetic", "regression", "closed-form", "reference-curve"],
        "optional": True,
    }
}

N_TRAIN = 30
NOISE_SD = 0.3
INPUTS = {"over": 60, "under": 15}
STRETCH = 5.0
"""Standard deviation along a direction that a test stretches."""
SHIFTS = ("along", "across", "moved")
LEAST_RISK = 1e-12  # keeps a logarithm finite where an oracle takes part


class Ridgeless(Task):
    """Excess risk, without the noise of a test label. Parameter `shift` of a split says which second moment it has.

    along: x_1 has standard deviation 5. across: x_2 has. moved: x_2 has mean sqrt(24), and so the same second moment.
    """

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """x (N, d) and y (N, 1), noisy in training."""
        generator = draw.generator(split.name)
        x = torch.randn(split.size, INPUTS[condition], generator=generator)
        noise = NOISE_SD * (split.role == "train") * torch.randn(split.size, 1, generator=generator)
        x = shifted(x, str(split.params.get("shift", "none")))
        return Batch(x, x[:, :1] + noise)

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """`null` says 0, `oracle` reads x_1, `least_norm` is fitted to the training examples."""
        train = self.sample(condition, self.spec.split("train"), draw)
        fitted = least_norm(train.x, train.y).float()
        return {
            "null": lambda batch: torch.zeros(len(batch), 1),
            "oracle": lambda batch: batch.x[:, :1],
            "least_norm": lambda batch: batch.x @ fitted,
        }

    def anchors(self, condition: str, data: Data, draw: Draw) -> Scores:
        """Those of every task, and the expected risk of least squares in closed form."""
        anchors = super().anchors(condition, data, draw)
        shifts = {"iid": "none"} | {shift: shift for shift in SHIFTS}
        expected = {split: {"expected_least_norm": expected_risk(condition, s)} for split, s in shifts.items()}
        return {split: {**values, **expected.get(split, {})} for split, values in anchors.items()}

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """Everything is read at the last step, with the examples fitted as far as they are.

        Indices `direction_over` and `direction_under`: log10 of the risk along the signal over the risk across it, 0
        where a shift costs the same whatever its direction. `from_least_norm` is the mean over tests and conditions of
        log10(risk / risk of the fit of least norm to the same examples).
        """
        last = {name: replace(row, scores=row.last) for name, row in rows.items()}
        risks = {(c, s): max(row.scores[s]["mse"], LEAST_RISK) for c, row in last.items() for s in SHIFTS}
        fits = [last[c].anchors[s]["least_norm"] for c, s in risks]
        direction = {f"direction_{c}": math.log10(risks[c, "along"] / risks[c, "across"]) for c in last}
        distance = mean_log_ratio(list(risks.values()), fits)
        return replace(super().summarize(last), indices={**direction, "from_least_norm": distance})


def shifted(x: Tensor, shift: str) -> Tensor:
    """Standard normal inputs (N, d) with the second moment of this shift."""
    x = x.clone()
    if shift == "along":
        x[:, 0] *= STRETCH
    elif shift == "across":
        x[:, 1] *= STRETCH
    elif shift == "moved":
        x[:, 1] += math.sqrt(STRETCH**2 - 1)
    return x


def second_moment(shift: str, d: int) -> Tensor:
    """E x x' (d, d) under this shift, float64."""
    moment = torch.eye(d, dtype=torch.float64)
    if shift != "none":
        place = 0 if shift == "along" else 1
        moment[place, place] = STRETCH**2
    return moment


def expected_risk(condition: str, shift: str) -> float:
    """The risk of least squares at least norm, in the mean over training sets."""
    d = INPUTS[condition]
    beta = torch.eye(d, dtype=torch.float64)[0]
    return risk_under_shift(N_TRAIN, beta, second_moment(shift, d), NOISE_SD)


HASTIE = Source(
    key="hastie2022surprises",
    authors="Trevor Hastie, Andrea Montanari, Saharon Rosset, Ryan J. Tibshirani",
    title="Surprises in High-Dimensional Ridgeless Least Squares Interpolation",
    venue="The Annals of Statistics 50(2)",
    year=2022,
    url="https://doi.org/10.1214/21-AOS2133",
)
TRIPURANENI = Source(
    key="tripuraneni2021overparameterization",
    authors="Nilesh Tripuraneni, Ben Adlam, Jeffrey Pennington",
    title="Overparameterization Improves Robustness to Covariate Shift in High Dimensions",
    venue="NeurIPS",
    year=2021,
    url="https://proceedings.neurips.cc/paper/2021/hash/73fed7fd472e502d8908794430511f4d-Abstract.html",
)
CONDITIONS = (
    Condition("over", "60 inputs, 30 examples: the fit is the one of least norm"),
    Condition("under", "15 inputs, 30 examples: the fit is unique", problem={"input_shape": (INPUTS["under"],)}),
)


def build(entry: Entry) -> Task:
    return Ridgeless(
        TaskSpec(
            entry=entry,
            question="Which shift of the inputs hurts a model that fits its examples, and does it matter whether there "
            "are more inputs than examples?",
            problem=Problem("vector", (INPUTS["over"],), "values", n_outputs=1, n_train=N_TRAIN),
            splits=(
                Split("train", "train", N_TRAIN),
                Split("val", "val", 1_000),
                Split("iid", "iid", 2_000),
                *(Split(shift, "ood", 4_000, {"shift": shift}) for shift in SHIFTS),
            ),
            conditions=CONDITIONS,
            budget=Budget(steps=2_000, batch_size=N_TRAIN, evaluations=10, seconds=120.0, core_seconds=3.2),
            recipe=Recipe(learning_rate=3e-3),
            metric="mse",
            higher_is_better=False,
            gate=0.9,
            axes=(
                Axis("direction_over", "any shift hurts alike", "a shift along the signal hurts", ends=(0.0, 1.0)),
                Axis("direction_under", "any shift hurts alike", "a shift along the signal hurts", ends=(0.0, 1.0)),
            ),
            sources=(HASTIE, TRIPURANENI),
            published=tuple(
                Published(f"risk at least norm, {INPUTS[c]} inputs, {s}, closed form", round(expected_risk(c, s), 4))
                for c in INPUTS
                for s in ("none", *SHIFTS)
            ),
            notes=(
                "A reference curve, which no name of a family selects: ask for shift/ridgeless. Values are risks over "
                "the truth, without the noise of a test label; the formula is a mean over training sets, and the "
                "anchor `least_norm` the fit to the examples of the seed, which a model is compared with.",
                "With 60 inputs the expected risk is .59 without a shift, 6.8 where x_1 is stretched, .73 where x_2 "
                "is, or is moved so that its second moment is the same. With 15 inputs it is .10, .25, .25, .25.",
                "The baseline `linear` goes by Adam, not by gradient descent. With 15 inputs it ends in the same fit. "
                "With 60 it ends in another one that interpolates too, with two to three times the risk (our own "
                "sample): among solutions that fit equally well an optimizer chooses, and Adam does not choose the one "
                "of least Euclidean norm.",
                "The signal is a single coordinate, which favours a learner that looks at coordinates one by one; "
                "least squares and networks with rotation-invariant weights do not notice.",
                "The gate is on new examples of the training distribution, in the mean over both conditions: a "
                "constant has a risk of 1.",
            ),
        )
    )
