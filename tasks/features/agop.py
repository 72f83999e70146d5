"""The product of two of many directions: do the gradients of a trained model lie in the plane that matters?

y = (q1.x) (q2.x) for x ~ N(0, I) in R^d, with q1, q2 orthonormal and drawn per world. The gradient of the target is
(q2.x) q1 + (q1.x) q2, in the plane everywhere. 2,000 examples are enough to fix every quadratic function of 30 inputs,
and too few for those of 100: whoever fits the target there has found the plane.

    q1 = e1, q2 = e2, x = (2, -1, 0.3, ...)   y = -2, gradient (-1, 2, 0, ...)
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

import torch
from torch import Tensor

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.slopes import slopes, stencil
from tasks.types import (
    Batch,
    Budget,
    Condition,
    Predictor,
    Problem,
    Published,
    Row,
    Source,
    Split,
    Summary,
    Task,
    TaskSpec,
    clip,
)

ENTRIES = {
    "features/agop-v1": {
        "summary": "the product of two of 30 or 100 directions; the share of a model's gradients in their plane",
        "input": "vector",
        "tags": ["synthetic", "regression", "closed-form", "flagship"],
    }
}

DIMENSIONS = {"plenty": 30, "scarce": 100}
RELEVANT = 2
N_TRAIN, N_POINTS, STEP = 2_000, 100, 0.05


class GradientOuterProduct(Task):
    """The split `stencil` holds 100 points, each moved along every axis to both sides."""

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """x (N, d), y (N, 1); on the stencil the plane as `latent` (N, d, 2), the same in every row."""
        plane = directions(condition, draw)
        generator = draw.generator(condition, split.name)
        if split.role != "ood":
            x = torch.randn(split.size, DIMENSIONS[condition], generator=generator)
            return Batch(x, target(x, plane))
        x = stencil(torch.randn(N_POINTS, DIMENSIONS[condition], generator=generator), STEP)
        return Batch(x, target(x, plane), latent=plane.expand(len(x), -1, -1))

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """`oracle` is the target."""
        plane = directions(condition, draw)
        return {"oracle": lambda batch: target(batch.x, plane)}

    def evaluate(self, outputs: Tensor, batch: Batch) -> Mapping[str, float]:
        """mse and r2; on the stencil also what of the gradients lies in the plane: `mass` and `overlap`."""
        values = dict(super().evaluate(outputs, batch))
        if batch.latent is not None:
            gradients = slopes(outputs[:, 0], N_POINTS, STEP)
            plane = batch.latent[0].double()
            values |= {"mass": mass(gradients, plane), "overlap": overlap(gradients, plane)}
        return values

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """`score` is the mean of (mass - 2/d) / (1 - 2/d): 0 for gradients without a preference, 1 for the plane.

        The gate is for `plenty` alone: not to fit where examples are scarce is an answer.
        """
        found = {name: row.scores["stencil"] for name, row in rows.items()}
        scores = {name: above_isotropic(values["mass"], DIMENSIONS[name]) for name, values in found.items()}
        iid = rows["plenty"].scores["iid"]["r2"]
        return Summary(
            iid=iid,
            ood=self.role_mean(rows, "ood"),
            trained=self.passes_gate(iid),
            scores={
                "score": fmean(clip(score) for score in scores.values()),
                "score_unclipped": fmean(scores.values()),
                **{f"score_{name}": clip(score) for name, score in scores.items()},
            },
            indices={f"{key}_{name}": values[key] for name, values in found.items() for key in ("mass", "overlap")},
        )


def above_isotropic(share: float, d: int) -> float:
    """A share of gradients in the plane, 0 where it is 2/d and 1 where it is all."""
    return (share - RELEVANT / d) / (1 - RELEVANT / d)


def directions(condition: str, draw: Draw) -> Tensor:
    """q1 and q2 as orthonormal columns (d, 2), uniformly random in each world."""
    gaussian = torch.randn(DIMENSIONS[condition], RELEVANT, generator=draw.generator("world", condition))
    plane: Tensor = torch.linalg.qr(gaussian).Q
    return plane


def target(x: Tensor, plane: Tensor) -> Tensor:
    """(q1.x) (q2.x), x (N, d) to (N, 1)."""
    return (x.double() @ plane.double()).prod(1, keepdim=True).float()


def mass(gradients: Tensor, plane: Tensor) -> float:
    """tr(Q'MQ) / tr M for M the mean outer product of gradients (N, d) and Q the plane (d, 2), in [0, 1].

    The share of a plane among d directions where there is no gradient at all.
    """
    total = gradients.square().sum()
    return float((gradients @ plane).square().sum() / total) if total > 0 else plane.shape[1] / plane.shape[0]


def overlap(gradients: Tensor, plane: Tensor) -> float:
    """|U'Q|^2 / 2 for U the two leading eigenvectors of M, in [0, 1]: 1 where they span the plane.

    As for `mass` where there is no gradient.
    """
    if not bool(gradients.any()):
        return plane.shape[1] / plane.shape[0]
    leading = torch.linalg.eigh(gradients.T @ gradients).eigenvectors[:, -plane.shape[1] :]
    return float((leading.T @ plane).square().sum() / plane.shape[1])


NOTES = (
    "Gradients are central differences over .1 on a split of neighbouring points, from outputs alone, so that kernels "
    "and forests are measured as networks are. They are exact for the target, whose oracle has a mass of 1; of a "
    "network they are mean slopes over the distance, and a lazy one has many kinks: trained with alpha = 100 it has a "
    "mass of .42 over .5, .29 over .1 and .24 over .02.",
    "Mass is the share of the squared gradient that lies in the plane; overlap compares the plane with the two "
    "leading eigenvectors of the mean outer product of gradients. Overlap saturates: random features have .992 with a "
    "mass of .80.",
    "In 30 dimensions there is no need for features: 2,000 examples fix all 465 quadratic terms, and a wide Gaussian "
    "kernel is exact. In 100 dimensions there are 5,050; whoever treats all directions alike, as a kernel or fixed "
    "features do, explains about 2,000/5,050 of the variance at best, and its mass is about as large.",
    "A model that has not learned has no plane to show. Below an r2 of .5 in 30 dimensions it counts as not trained; "
    "in 100 dimensions a low score is the answer.",
    "Our own figures, seed 0, mass in 30 and in 100 dimensions: `mlp` .957 and .890, `mlp-tanh` .979 and .127, "
    "Gaussian kernel 1.000 and .380, random features .804 and .075, `mlp-gaussian` .835 and .092. Boosted trees, "
    "whose axes are not q1 and q2, do not learn it.",
    "A network whose output is scaled by alpha (and its rate by 1 / alpha^2) becomes lazy as alpha grows: in 30 "
    "dimensions it has a mass of .985, .951, .68 and .23 at alpha = .3, 1, 10 and 100 (the reproduction `agop`).",
)

RADHAKRISHNAN = Source(
    key="radhakrishnan2024mechanism",
    authors="Adityanarayanan Radhakrishnan, Daniel Beaglehole, Parthe Pandit, Mikhail Belkin",
    title="Mechanism for feature learning in neural networks and backpropagation-free machine learning models",
    venue="Science",
    year=2024,
    url="https://arxiv.org/abs/2212.13881",
)
CHIZAT = Source(
    key="chizat2019lazy",
    authors="Lénaïc Chizat, Edouard Oyallon, Francis Bach",
    title="On Lazy Training in Differentiable Programming",
    venue="NeurIPS",
    year=2019,
    url="https://arxiv.org/abs/1812.07956",
)


def build(entry: Entry) -> Task:
    few = DIMENSIONS["plenty"]
    return GradientOuterProduct(
        TaskSpec(
            entry=entry,
            question="Does a model that fits a function of two directions react to those directions alone?",
            problem=Problem("vector", (few,), "values", n_outputs=1, n_train=N_TRAIN),
            splits=(
                Split("train", "train", N_TRAIN),
                Split("val", "val", 1_000),
                Split("iid", "iid", 2_000),
                Split("stencil", "ood", N_POINTS * 2 * few, {"points": N_POINTS, "step": STEP}),
            ),
            conditions=tuple(
                Condition(
                    name,
                    f"2,000 examples for {d * (d + 1) // 2:,} quadratic terms",
                    problem={"input_shape": (d,)},
                    sizes={"stencil": N_POINTS * 2 * d},
                )
                for name, d in DIMENSIONS.items()
            ),
            budget=Budget(steps=2_000, batch_size=64, evaluations=10, seconds=120.0, core_seconds=3.0),
            metric="r2",
            floor="constant",
            ceiling="oracle",
            constants={name: {"constant": 0.0} for name in ("val", "iid", "stencil")},
            gate=0.5,
            sources=(RADHAKRISHNAN, CHIZAT),
            published=tuple(
                Published(f"mass of gradients that prefer no direction of {d}, closed form", RELEVANT / d)
                for d in DIMENSIONS.values()
            ),
            notes=NOTES,
        )
    )
