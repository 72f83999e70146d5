"""Two classes that differ in a mean, in a variance and in a fourth cumulant: how deep does a model read, and when?

Three orthogonal directions of R^16 carry a cue each; along all others x is standard normal.

    mean       class 0  N(-.3, 1)   class 1  N(.3, 1)                a line tells them apart
    variance   class 0  N(0, .5)    class 1  N(0, 2)                 a parabola
    kurtosis   class 0  N(0, 1)     class 1  +-.98 + N(0, .2^2)      mean 0 and variance 1 in both: neither

The model trains on all three cues and is tested where one of them is on. The further down, the more a cue says: the
best classifier is right in 62, 66 and 79 % of cases.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.learning_order import NEVER, first_step, learning_order
from tasks.types import (
    Axis,
    Batch,
    Budget,
    Predictor,
    Problem,
    Published,
    Row,
    Scores,
    Source,
    Split,
    Summary,
    Task,
    TaskSpec,
    clip,
)

ENTRIES = {
    "simplicity/cumulants-v1": {
        "summary": "classes that differ in a mean, a variance and a fourth cumulant, tested one cue at a time",
        "input": "vector",
        "tags": ["synthetic", "classification", "time-resolved", "closed-form"],
    }
}

Cue = Literal["mean", "variance", "kurtosis"]
CUES: tuple[Cue, ...] = get_args(Cue)
"""In the order of the cumulants that they live in: first, second, fourth."""

DIMENSION = 16
MEAN = 0.3
VARIANCES = (0.5, 2.0)
"""Of class 0 and class 1."""
NOISE = 0.2
"""Around the two points of class 1; without it x could be recognised by its exact value."""
SPIKE = math.sqrt(1 - NOISE**2)
NEUTRAL = (0.0, math.sqrt(math.log(2) / 0.75), 0.6770741825062855)
"""The coordinate (up to its sign) at which a cue speaks for neither class."""

BAYES = {"mean": 0.61791, "variance": 0.66134, "kurtosis": 0.79089}
"""Accuracy of the best classifier where one cue is on: Phi(.3), a closed form, and an integral over a line."""


class Cumulants(Task):
    """Split parameter `on` lists the cues that depend on the class; the others are held where they say nothing."""

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """x (N, 16), y (N,) half and half, and the coordinates along the three directions as `latent` (N, 3)."""
        on = split.params["on"]
        assert isinstance(on, list)
        generator = draw.generator(split.name)
        y = torch.arange(split.size) % 2
        x = torch.randn(split.size, DIMENSION, generator=generator)
        basis = directions(draw)  # (16, 3)
        latent = torch.stack(
            [
                cue_values(cue, y, generator) if cue in on else neutral * signs(split.size, generator)
                for cue, neutral in zip(CUES, NEUTRAL, strict=True)
            ],
            dim=1,
        )
        return Batch(x + (latent - x @ basis) @ basis.T, y, latent=latent)

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """The Bayes classifier of the training distribution, and those that stop at a mean or at a covariance."""
        depths = {"linear_discriminant": 1, "quadratic_discriminant": 2, "oracle": 3}
        return {name: partial(evidence_logits, depth=depth) for name, depth in depths.items()}

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """Adds `depth`, the score where the fourth cumulant alone tells; when each cue was learned, in which order."""
        summary = super().summarize(rows)
        row = rows["default"]
        mean, variance, kurtosis = (clip(self.anchored(row, cue)) for cue in CUES)
        return replace(
            summary,
            scores={**summary.scores, "score_mean": mean, "score_variance": variance, "depth": kurtosis},
            indices=self.over_time(row),
        )

    def over_time(self, row: Row) -> dict[str, float]:
        """`learned_at_1` to `_3`: the step at which a cue's score first is 1/2, where it ever is; and their `order`."""

        def half_learned(cue: Cue, scores: Scores) -> bool:
            return self.anchored(replace(row, scores=scores), cue) >= 0.5

        if len(row.curve) < 2:
            return {}
        times = [first_step(row.curve, partial(half_learned, cue)) for cue in CUES]
        order = learning_order(times)
        learned = {f"learned_at_{place}": time for place, time in enumerate(times, 1) if time != NEVER}
        return learned | ({} if order is None else {"order": order})


def directions(draw: Draw) -> Tensor:
    """Three orthonormal columns (16, 3), uniformly random in each world."""
    basis: Tensor = torch.linalg.qr(torch.randn(DIMENSION, len(CUES), generator=draw.generator("world"))).Q
    return basis


def signs(n: int, generator: torch.Generator) -> Tensor:
    """n fair coins, -1. or 1."""
    return 2.0 * torch.randint(2, (n,), generator=generator) - 1


def cue_values(cue: Cue, y: Tensor, generator: torch.Generator) -> Tensor:
    """The coordinate (N,) along a cue's direction, given the classes y (N,)."""
    gaussian = torch.randn(len(y), generator=generator)
    if cue == "mean":
        return MEAN * (2 * y - 1) + gaussian
    if cue == "variance":
        return torch.tensor(VARIANCES).sqrt()[y] * gaussian
    return torch.where(y == 1, SPIKE * signs(len(y), generator) + NOISE * gaussian, gaussian)


def evidence(cue: Cue, value: Tensor) -> Tensor:
    """The log likelihood ratio of class 1 over class 0 at a coordinate along a cue's direction."""
    if cue == "mean":
        return 2 * MEAN * value
    if cue == "variance":
        low, high = VARIANCES
        return value.square() * (1 / low - 1 / high) / 2 - math.log(high / low) / 2
    # the two points of class 1: log of the mean of their densities
    points = torch.stack([-((value - SPIKE) ** 2), -((value + SPIKE) ** 2)]) / (2 * NOISE**2)
    return torch.logsumexp(points, dim=0) - math.log(2 * NOISE) + value.square() / 2


def evidence_logits(batch: Batch, depth: int) -> Tensor:
    """Logits (N, 2) from the first `depth` cues, which are independent given the class."""
    assert batch.latent is not None
    ratio = sum(evidence(cue, batch.latent[:, place]) for place, cue in enumerate(CUES[:depth]))
    assert isinstance(ratio, Tensor)
    return torch.stack([torch.zeros_like(ratio), ratio], dim=1)


REFINETTI = Source(
    key="refinetti2023increasing",
    authors="Maria Refinetti, Alessandro Ingrosso, Sebastian Goldt",
    title="Neural networks trained with SGD learn distributions of increasing complexity",
    venue="ICML",
    year=2023,
    url="https://proceedings.mlr.press/v202/refinetti23a.html",
)
BARDONE = Source(
    key="bardone2024sliding",
    authors="Lorenzo Bardone, Sebastian Goldt",
    title="Sliding Down the Stairs: How Correlated Latent Variables Accelerate Learning with Neural Networks",
    venue="ICML",
    year=2024,
    url="https://arxiv.org/abs/2404.08602",
)
BELROSE = Source(
    key="belrose2024statistics",
    authors="Nora Belrose, Quintin Pope, Lucia Quirke, Alex Mallen, Xiaoli Fern",
    title="Neural Networks Learn Statistics of Increasing Complexity",
    venue="ICML",
    year=2024,
    url="https://arxiv.org/abs/2402.04362",
)


def build(entry: Entry) -> Task:
    all_on = {"on": list(CUES)}
    evaluated = (
        Split("val", "val", 1_000, all_on),
        Split("iid", "iid", 1_000, all_on),
        *(Split(cue, "ood", 2_000, {"on": [cue]}) for cue in CUES),
    )
    return Cumulants(
        TaskSpec(
            entry=entry,
            question="Which statistics of its classes does a model read, and in which order does it learn to?",
            problem=Problem("vector", (DIMENSION,), "classes", n_outputs=2, n_train=40_000),
            splits=(Split("train", "train", 40_000, all_on), *evaluated),
            budget=Budget(steps=2_000, batch_size=256, evaluations=80, seconds=240.0, core_seconds=2.8),
            metric="accuracy",
            floor="chance",
            ceiling="oracle",
            constants={split.name: {"chance": 0.5} for split in evaluated},
            gate=0.57,
            axes=(Axis("order", "higher cumulants first", "lower cumulants first", ends=(-1.0, 1.0)),),
            sources=(REFINETTI, BARDONE, BELROSE),
            published=tuple(
                Published(f"Bayes accuracy on {cue} alone, closed form", value) for cue, value in BAYES.items()
            ),
            notes=(
                "A cue that is off is held at the coordinate where both classes are equally likely (0, +-.961, "
                "+-.677), so it speaks for neither. The Bayes classifier of the training distribution is then also "
                "the best one on every single cue, and is the ceiling.",
                "The linear discriminant reads the mean alone and scores 1, 0, 0; the quadratic one, which knows both "
                "classes' covariances, scores 1, 1, 0. Both count as trained. A score of 1/3 or 2/3 is their mark.",
                "That the last cue is learned last is not for lack of strength: it says the most.",
                "A cue counts as learned from the first measured step at which its score is 1/2; those never learned "
                "come last. Estimators have no steps, and no order.",
                "The fourth cumulant is learned after a plateau, on which a network looks for its direction. In R^16 a "
                "ReLU network leaves it after some 600 steps, and a tanh network is still on it at the end, with the "
                "score of the quadratic discriminant. In R^32 the ReLU network took from 1,150 to more than 3,000 "
                "steps, and a score would have been a matter of luck.",
                "Departure from a Rademacher variable, +-1 exactly, as in Bardone and Goldt: it would be recognised by "
                "its exact value and overrule every other cue. The noise of .2 keeps mean 0 and variance 1, and a "
                "fourth cumulant of -1.84 instead of -2.",
            ),
        )
    )
