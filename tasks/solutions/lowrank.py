"""A part of a matrix of rank 2 is shown: is the rest filled in with low rank, with a small nuclear norm, or not at all?

The matrix is 30 x 30, its entries have variance 1. An example is an entry: its row and its column as one-hot codes, and
its value. Infinitely many matrices fit what is shown. A product of several square factors that starts near 0 is led to
low rank by its gradients alone, the more the deeper it is; a single matrix learns nothing that it was not shown.

    two factors r and c of the entry (3, 17)   x has its ones at 3 and 30 + 17   y = r_3.c_17
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.matrix_completion import effective_rank, soft_impute
from tasks.types import (
    SCORE_CLIP,
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
    "solutions/lowrank-v1": {
        "summary": "matrix completion by products of one, two and three square matrices: is low rank found",
        "input": "vector",
        "tags": ["synthetic", "regression"],
        "model": "matrix-product",
    },
    "solutions/lowrank-models-v1": {
        "summary": "matrix completion by any model class, from 30, 40 and 60 % of the entries",
        "input": "vector",
        "tags": ["synthetic", "regression"],
    },
}

N, RANK = 30, 2
N_SHOWN = 360
SHOWN = (270, 360, 540)
SHAPES: Mapping[str, Mapping[str, int | float]] = {
    "depth-1": {"depth": 1, "scale": 1e-3},
    "depth-2": {"depth": 2, "scale": 1e-3},
    "depth-3": {"depth": 3, "scale": 1e-3},
    "depth-2-large": {"depth": 2, "scale": 1.0},
}
MAIN = {"training": "depth-3", "model": f"shown-{N_SHOWN}"}
SOLVED_MSE = 1e-6


class LowRank(Task):
    """Which entries are shown is drawn per seed; those of a smaller number are among those of a larger one."""

    @property
    def main(self) -> str:
        """The condition that the score is read in."""
        return MAIN["training" if self.spec.entry.model else "model"]

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """x (N, 60) and y (N, 1). The split `matrix` has all entries, row by row."""
        place = torch.arange(N * N) if split.name == "matrix" else self.places(condition, split, draw)
        row, column = place // N, place % N
        x = torch.cat([one_hot(row, N), one_hot(column, N)], dim=1).float()
        return Batch(x, matrix(draw)[row, column].unsqueeze(1))

    def places(self, condition: str, split: Split, draw: Draw) -> Tensor:
        """Which entries a split has: training from the front of a random order, the tests from behind."""
        order = torch.randperm(N * N, generator=draw.generator("shown"))
        if split.role in ("train", "fitted"):
            return order[: split.size]
        held = self.spec.at(condition).with_role("val", "iid", "ood")
        last = N * N - sum(after.size for after in held[held.index(split) + 1 :])
        return order[last - split.size : last]

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """The truth, the completion of least nuclear norm, and zeros."""
        (train,) = self.spec.at(condition).with_role("train")
        known = torch.zeros(N * N, dtype=torch.bool)
        known[self.places(condition, train, draw)] = True
        truth = matrix(draw)
        least = torch.tensor(soft_impute(truth.double().numpy(), known.view(N, N).numpy())).float()
        return {
            "oracle": lambda batch: entries(truth, batch),
            "nuclear_norm": lambda batch: entries(least, batch),
            "zeros": lambda batch: torch.zeros_like(batch.y),
        }

    def evaluate(self, outputs: Tensor, batch: Batch) -> Mapping[str, float]:
        """mse, r2, and `relative_error`, the Euclidean length of the error over that of the values: 1 for zeros."""
        error = float((outputs - batch.y).double().norm() / batch.y.double().norm())
        return {**super().evaluate(outputs, batch), "relative_error": error}

    def measure(self, condition: str, predict: Predict, data: Data) -> Scores:
        """Also the effective rank of the whole matrix, where it is not zero."""
        scores = super().measure(condition, predict, data)
        whole = predict(data["matrix"].x).double().view(N, N).numpy()
        rank = {"effective_rank": effective_rank(whole)} if whole.any() else {}
        return {**scores, "matrix": {**scores["matrix"], **rank}}

    def is_answered(self, scores: Scores) -> bool:
        """Once what is shown is fitted, nothing moves any more."""
        return scores["fitted"]["mse"] < SOLVED_MSE

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """`score` is 1 - relative error on entries that were not shown, of three factors or from 40 % of the entries.

        Indices: `error_...` and `rank_...` of every condition. All is read at the last measured step. Trained is
        whoever fits what is shown, on average over conditions.
        """
        last = {name: row.last for name, row in rows.items()}
        score = 1 - last[self.main]["hidden"]["relative_error"]
        return Summary(
            iid=fmean(scores["iid"]["relative_error"] for scores in last.values()),
            ood=fmean(scores["hidden"]["relative_error"] for scores in last.values()),
            trained=self.passes_gate(fmean(scores["fitted"]["relative_error"] for scores in last.values())),
            scores={"score": max(score, SCORE_CLIP[0]), "score_unclipped": score},
            indices={
                **{f"error_{name}": scores["hidden"]["relative_error"] for name, scores in last.items()},
                **{
                    f"rank_{name}": scores["matrix"]["effective_rank"]
                    for name, scores in last.items()
                    if "effective_rank" in scores["matrix"]
                },
            },
        )


def matrix(draw: Draw) -> Tensor:
    """This world's matrix (30, 30), float32: a product of normal ones (30, 2) and (2, 30), at Frobenius norm 30."""
    generator = draw.generator("world")
    product = torch.randn(N, RANK, generator=generator) @ torch.randn(RANK, N, generator=generator)
    scaled: Tensor = product * N / product.norm()
    return scaled


def entries(values: Tensor, batch: Batch) -> Tensor:
    """The entries (N, 1) of a matrix that the inputs name."""
    row, column = (part.argmax(1) for part in batch.x.chunk(2, dim=1))
    return values[row, column].unsqueeze(1)


GUNASEKAR = Source(
    key="gunasekar2017implicit",
    authors="Suriya Gunasekar, Blake Woodworth, Srinadh Bhojanapalli, Behnam Neyshabur, Nathan Srebro",
    title="Implicit Regularization in Matrix Factorization",
    venue="NeurIPS",
    year=2017,
    url="https://arxiv.org/abs/1705.09280",
)
ARORA = Source(
    key="arora2019implicit",
    authors="Sanjeev Arora, Nadav Cohen, Wei Hu, Yuping Luo",
    title="Implicit Regularization in Deep Matrix Factorization",
    venue="NeurIPS",
    year=2019,
    url="https://arxiv.org/abs/1905.13655",
)
MAZUMDER = Source(
    key="mazumder2010spectral",
    authors="Rahul Mazumder, Trevor Hastie, Robert Tibshirani",
    title="Spectral Regularization Algorithms for Learning Large Incomplete Matrices",
    venue="JMLR",
    year=2010,
    url="https://jmlr.org/papers/v11/mazumder10a.html",
)

NOTES = (
    "Nothing is shifted: `hidden` are entries of the same matrix that were not shown. Floor are zeros, the ceiling is "
    "the matrix; the anchor `nuclear_norm` is the completion of least nuclear norm, by iterated soft thresholding.",
    "Effective rank is the exponential of the entropy of the singular values: 2 for two equal ones, below 2 for the "
    "matrix itself, about 18 for what is shown with zeros elsewhere.",
    "A training ends when the mean squared error of what is shown is below 1e-6: nothing is left to move it.",
)
TRAINING_NOTES = (
    "Adam weakens the bias of two factors to low rank compared with gradient descent; three factors are led to it by "
    "either. From a large start (`depth-2-large`) it is lost.",
    "From 270 of 900 entries three factors beat the completion of least nuclear norm, and from 540 both are near the "
    "truth. So the bias of depth is to rank and not to that norm.",
)
MODEL_NOTES = (
    "A class that is additive in row and column can only have rank 2 of one kind (a constant row, a constant column) "
    "and does not do here. What a class scores is how far its own prior is from low rank.",
)


def sizes(shown: int) -> dict[str, int]:
    """The sizes of splits; of the entries not shown a fifth validates, and two fifths each are the two tests."""
    test = math.floor(0.4 * (N * N - shown))
    return {"train": shown, "fitted": shown, "val": N * N - shown - 2 * test, "iid": test, "hidden": test}


def build(entry: Entry) -> Task:
    training_track = bool(entry.model)
    shown = N_SHOWN if training_track else SHOWN[0]  # what a picture shows is the first condition
    size = sizes(shown)
    return LowRank(
        TaskSpec(
            entry=entry,
            question="Of all matrices with the entries that were shown, which is found?",
            problem=Problem("vector", (2 * N,), "values", n_outputs=1, n_train=shown),
            splits=(
                Split("train", "train", size["train"]),
                Split("fitted", "fitted", size["fitted"]),
                Split("val", "val", size["val"]),
                Split("iid", "iid", size["iid"]),
                Split("hidden", "ood", size["hidden"]),
                Split("matrix", "probe", N * N),
            ),
            conditions=tuple(
                Condition(name, f"{shape['depth']} factors, start of scale {shape['scale']:g}", hparams=shape)
                for name, shape in SHAPES.items()
            )
            if training_track
            else tuple(
                Condition(f"shown-{n}", f"{n} of 900 entries", problem={"n_train": n}, sizes=sizes(n)) for n in SHOWN
            ),
            budget=Budget(2_000, N * N, core_seconds=3.6 if training_track else 3.0),
            recipe=Recipe(learning_rate=3e-3),
            metric="relative_error",
            higher_is_better=False,
            floor="zeros",
            ceiling="oracle",
            gate=0.1,
            axes=(
                Axis(
                    "rank_depth-3" if training_track else f"rank_shown-{N_SHOWN}", "low rank", "full rank", (1.0, 30.0)
                ),
            ),
            sources=(GUNASEKAR, ARORA, MAZUMDER),
            published=tuple(
                Published(f"error of {what}, 360 entries, our own sample", value)
                for what, value in (("one matrix", 1.0), ("two factors", 0.42), ("three factors", 0.008))
            )
            if training_track
            else (),
            notes=NOTES + (TRAINING_NOTES if training_track else MODEL_NOTES),
        )
    )
