"""A random field on a sphere, known at 64 to 512 points: how fast does the error of a class fall with the examples?

Points are uniform on the sphere in R^3, and values are a Gaussian field of covariance exp(-|x - x'|): rough, and as
rough on every scale. No predictor has a smaller expected error than regression with that very kernel, whose error falls
like n^-1/2 (on a sphere of d dimensions like n^-1/d).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.learning_curves import exponent
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
)

ENTRIES = {
    "scaling/kernel-v1": {
        "summary": "a rough Gaussian field on the sphere, learned from 64 to 512 points",
        "input": "vector",
        "tags": ["synthetic", "regression", "closed-form"],
    }
}

DIMENSION = 2
SIZES = (64, 128, 256, 512)
LARGEST = SIZES[-1]
THEORY = -1 / DIMENSION
LEAST_ERROR = 1e-12  # keeps a logarithm finite
SPLITS = (
    Split("train", "train", LARGEST),
    Split("val", "val", 200),
    Split("iid", "iid", 200),
    Split("test", "ood", 800),
)


class Kernel(Task):
    """Mean squared error for four sizes of the training set, each a part of the next."""

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """Points x (N, 3) of the sphere and values y (N, 1) of this world's field."""
        x, y = world(draw)[split.name]
        return Batch(x[: split.size].clone(), y[: split.size].clone())

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """`constant` is the mean of the training values, `kernel` that of the field given its values there."""
        train = self.sample(condition, self.spec.at(condition).split("train"), draw)
        dual = torch.linalg.solve(covariance(train.x, train.x), train.y.double())
        return {
            "constant": lambda batch: train.y.mean().expand(len(batch), 1),
            "kernel": lambda batch: (covariance(batch.x, train.x) @ dual).float(),
        }

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """Adds `exponent`: the median slope of log error against log examples, -1/2 for the kernel of the field."""
        errors = [max(rows[str(n)].scores["test"]["mse"], LEAST_ERROR) for n in SIZES]
        return replace(super().summarize(rows), indices={"exponent": exponent(SIZES, errors)})


@lru_cache(maxsize=2)
def world(draw: Draw) -> dict[str, tuple[Tensor, Tensor]]:
    """Points (N, 3) and values (N, 1) of every split: one field, drawn at all points together."""
    points = {split.name: sphere(split.size, draw.generator(split.name)) for split in SPLITS}
    everywhere = torch.cat(list(points.values()))
    white = torch.randn(len(everywhere), 1, generator=draw.generator("world"), dtype=torch.float64)
    values = (torch.linalg.cholesky(covariance(everywhere, everywhere)) @ white).float()
    parts = values.split([split.size for split in SPLITS])
    return {name: (x, y) for (name, x), y in zip(points.items(), parts, strict=True)}


def sphere(n: int, generator: torch.Generator, dimension: int = DIMENSION) -> Tensor:
    """n uniform points (n, d + 1) on the sphere of d dimensions."""
    return torch.nn.functional.normalize(torch.randn(n, dimension + 1, generator=generator))


def covariance(a: Tensor, b: Tensor) -> Tensor:
    """exp(-|a_i - b_j|) for points (N, D) and (M, D): (N, M) in float64."""
    return (-torch.cdist(a.double(), b.double(), compute_mode="donot_use_mm_for_euclid_dist")).exp()


SPIGLER = Source(
    key="spigler2020asymptotic",
    authors="Stefano Spigler, Mario Geiger, Matthieu Wyart",
    title="Asymptotic learning curves of kernel methods: empirical data versus teacher-student paradigm",
    venue="Journal of Statistical Mechanics: Theory and Experiment",
    year=2020,
    url="https://doi.org/10.1088/1742-5468/abc61d",
)


def build(entry: Entry) -> Task:
    return Kernel(
        TaskSpec(
            entry=entry,
            question="How fast does the error of a class fall with the examples, on a target of known roughness?",
            problem=Problem("vector", (DIMENSION + 1,), "values", n_outputs=1, n_train=LARGEST),
            splits=SPLITS,
            conditions=tuple(
                Condition(str(n), f"{n} examples", problem={"n_train": n}, sizes={"train": n}) for n in SIZES
            ),
            budget=Budget(steps=2_000, batch_size=64, evaluations=10, seconds=180.0, core_seconds=7.1),
            recipe=Recipe(learning_rate=3e-3, schedule="cosine"),
            metric="mse",
            higher_is_better=False,
            floor="constant",
            ceiling="kernel",
            gate=0.6,
            axes=(Axis("exponent", "as the field's own kernel", "nothing more from more data", ends=(THEORY, 0.0)),),
            sources=(SPIGLER,),
            published=(
                Published("exponent of the kernel of the field, theory", THEORY),
                Published("exponent of the kernel of the field, 64 to 512 points, mean of six draws, pilot", -0.5),
            ),
            notes=(
                "The ceiling is the conditional mean of the field given its values at the training points: in the mean "
                "over fields nobody can do better, and it is kernel regression without a ridge. The floor is the mean "
                "of the training values.",
                "There is no shift: tests follow the distribution of training.",
                "The theory of Spigler, Geiger and Wyart gives min(a_T - d, 2 a_S) / d for a teacher and a student "
                "kernel of smoothness a_T and a_S; exp(-|x|) has d + 1, and both are it here.",
                "One field is one draw: over six seeds the kernel's own exponent is -.44 with a standard deviation of "
                ".05, that of a network scatters by .1. Compare means over seeds, and models on the same seeds.",
                "Values at all points are drawn together, so that smaller training sets are parts of larger ones.",
            ),
        )
    )
