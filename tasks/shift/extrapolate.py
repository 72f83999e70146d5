"""Four functions learned inside the unit ball and tested outside it: which continuation does a model choose?

A ReLU network becomes straight along every ray from the origin. So it extrapolates what is straight there (a linear
function, the L1 norm, a sum of ReLUs) and not what is quadratic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from statistics import fmean
from typing import cast

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
    Source,
    Split,
    Summary,
    Task,
    TaskSpec,
)

ENTRIES = {
    "shift/extrapolate-v1": {
        "summary": "linear, quadratic, L1 and ReLU functions fitted in the unit ball, tested at radius 1.5 to 5",
        "input": "vector",
        "tags": ["synthetic", "regression", "closed-form", "flagship"],
    }
}

DIMENSION = 8
TEACHER_UNITS = 4
DEGREE = {"linear": 1, "quadratic": 2, "l1": 1, "relu_teacher": 1}
"""Every target is homogeneous: f(r v) = r^degree f(v) for r > 0."""

INSIDE, OUTSIDE = (0.0, 1.0), (1.5, 5.0)
N_RAYS, RADII_PER_RAY = 100, 40
N_FOR_SCALE = 20_000

Target = Callable[[Tensor], Tensor]
"""x (N, 8) to y (N, 1)."""


class Extrapolate(Task):
    """f is fitted for radius ~ U[0, 1] and tested for radius ~ U[1.5, 5]; directions are uniform on the sphere of R^8.

    Targets, in units of their standard deviation inside: w.x; x'Ax with four eigenvalues +1 and four -1;
    |x_1| + ... + |x_8|; the sum of 4 relu(t_j.x). w, the eigenvectors of A and t_j are drawn per seed.
    """

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """Outside the ball `latent` (N, 1) is the tangent continuation; `group` (N,) numbers the rays of the grid."""
        target = standardized_target(condition, draw)
        x, ray = ray_grid(split, draw) if split.name == "rays" else (scattered(split, draw), None)
        tangent = tangent_continuation(target, DEGREE[condition], x) if radii(split) == OUTSIDE else None
        return Batch(x, target(x), group=ray, latent=tangent)

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        target = standardized_target(condition, draw)
        return {
            "oracle": lambda batch: target(batch.x),
            "tangent": lambda batch: tangent_continuation(target, DEGREE[condition], batch.x),
        }

    def evaluate(self, outputs: Tensor, batch: Batch) -> Mapping[str, float]:
        """mse, r2; outside also the mismatch with the tangent continuation; on the grid the linearity along rays."""
        values = dict(super().evaluate(outputs, batch))
        if batch.latent is not None:
            values["tangent_mismatch"] = relative_error(outputs, batch.latent, batch.y)
        if batch.group is not None:
            values["ray_linearity"] = ray_linearity(outputs.view(-1, RADII_PER_RAY))
        return values

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """`score` is the mean over targets of the r2 outside, each clipped to [0, 1].

        Indices: `ray_linearity` is the mean over targets, and for the quadratic alone, where the truth has .980 and
        ReLU networks .995 or more. `tangent_mismatch_quadratic` is 0 for the tangent continuation, .33 for the truth.
        """
        skills = {name: row.scores["ood"]["r2"] for name, row in rows.items()}
        clipped = {f"score_{name}": min(max(skill, 0.0), 1.0) for name, skill in skills.items()}
        iid = self.role_mean(rows, "iid")
        return Summary(
            iid=iid,
            ood=self.role_mean(rows, "ood"),
            trained=self.passes_gate(iid),
            scores={"score": fmean(clipped.values()), "score_unclipped": fmean(skills.values()), **clipped},
            indices={
                "ray_linearity": fmean(row.scores["rays"]["ray_linearity"] for row in rows.values()),
                "ray_linearity_quadratic": rows["quadratic"].scores["rays"]["ray_linearity"],
                "tangent_mismatch_quadratic": rows["quadratic"].scores["ood"]["tangent_mismatch"],
            },
        )


def radii(split: Split) -> tuple[float, float]:
    """Smallest and largest radius of a split."""
    low, high = cast("tuple[float, float]", split.params["radius"])
    return low, high


def scattered(split: Split, draw: Draw) -> Tensor:
    """Points (N, 8) with uniform radii, not uniform in volume: in eight dimensions that is nearly all shell."""
    generator = draw.generator(split.name)
    return ball(split.size, radii(split), generator)


def ball(n: int, interval: tuple[float, float], generator: torch.Generator) -> Tensor:
    """n points (n, 8) with uniform directions and radii uniform in the interval."""
    low, high = interval
    radius = low + (high - low) * torch.rand(n, 1, generator=generator)
    return radius * directions(n, generator)


def directions(n: int, generator: torch.Generator) -> Tensor:
    """n uniform points on the sphere (n, 8)."""
    return torch.nn.functional.normalize(torch.randn(n, DIMENSION, generator=generator))


def ray_grid(split: Split, draw: Draw) -> tuple[Tensor, Tensor]:
    """Points (R * K, 8), K even radii on each of R rays in turn, and the number of each point's ray (R * K,)."""
    rays = directions(N_RAYS, draw.generator(split.name))
    points = torch.linspace(*radii(split), RADII_PER_RAY)[:, None] * rays[:, None, :]  # (R, K, 8)
    return points.flatten(0, 1), torch.arange(N_RAYS).repeat_interleave(RADII_PER_RAY)


def standardized_target(name: str, draw: Draw) -> Target:
    """The target of this world over its standard deviation inside the ball."""
    generator = draw.generator("world")
    target = raw_target(name, generator)
    scale = target(ball(N_FOR_SCALE, INSIDE, generator)).std()
    return lambda x: target(x) / scale


def raw_target(name: str, generator: torch.Generator) -> Target:
    """One of the four functions, with parameters from the generator."""
    if name == "linear":
        w = torch.randn(DIMENSION, 1, generator=generator) / math.sqrt(DIMENSION)
        return lambda x: x @ w
    if name == "quadratic":
        # as many +1 as -1: without a trace the mean over directions is 0 at every radius
        q = torch.linalg.qr(torch.randn(DIMENSION, DIMENSION, generator=generator)).Q
        eigenvalues = torch.tensor([1.0, -1.0]).repeat_interleave(DIMENSION // 2)
        return lambda x: (x @ q).square() @ eigenvalues[:, None]
    if name == "l1":
        return lambda x: x.abs().sum(1, keepdim=True)
    assert name == "relu_teacher", name
    teachers = torch.randn(DIMENSION, TEACHER_UNITS, generator=generator)
    return lambda x: (x @ teachers).relu().sum(1, keepdim=True)


def tangent_continuation(target: Target, degree: int, x: Tensor) -> Tensor:
    """On each ray the straight line that touches a homogeneous target at radius 1: (1 + degree (r - 1)) f(x / r)."""
    radius: Tensor = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return (1 + degree * (radius - 1)) * target(x / radius)


def relative_error(outputs: Tensor, expected: Tensor, y: Tensor) -> float:
    """Mean squared difference of outputs and `expected`, over the variance of the targets y; all (N, 1)."""
    return float((outputs - expected).double().square().mean() / y.double().var(correction=0))


def ray_linearity(values: Tensor) -> float:
    """R2 of one straight line per ray, residuals and variances summed over rays; 1 is straight.

    values: (R, K), at K even radii on each of R rays. Summed, because a ray with a slope near 0 has an R2 near 0
    however straight it is. A function that is constant on every ray is straight.
    """
    centred = values.double() - values.double().mean(1, keepdim=True)
    position = torch.linspace(-1, 1, values.shape[1], dtype=torch.float64, device=values.device)
    slope = centred @ position / position.square().sum()  # (R,)
    residual = (centred - slope[:, None] * position).square().sum()
    total = centred.square().sum()
    return float(1 - residual / total) if total > 0 else 1.0


XU = Source(
    key="xu2021extrapolate",
    authors="Keyulu Xu and Mozhi Zhang and Jingling Li and Simon S. Du and Ken-ichi Kawarabayashi and Stefanie Jegelka",
    title="How Neural Networks Extrapolate: From Feedforward to Graph Neural Networks",
    venue="International Conference on Learning Representations",
    year=2021,
    url="https://arxiv.org/abs/2009.11848",
)


def build(entry: Entry) -> Task:
    inside, outside = {"radius": INSIDE}, {"radius": OUTSIDE}
    return Extrapolate(
        TaskSpec(
            entry=entry,
            question="Beyond the data, does the model continue the function, or its own straight lines?",
            problem=Problem("vector", (DIMENSION,), "values", n_outputs=1, n_train=5_000),
            splits=(
                Split("train", "train", 5_000, inside),
                Split("val", "val", 1_000, inside),
                Split("iid", "iid", 2_000, inside),
                Split("ood", "ood", 4_000, outside),
                Split("rays", "probe", N_RAYS * RADII_PER_RAY, {**outside, "rays": N_RAYS, "per_ray": RADII_PER_RAY}),
            ),
            conditions=(
                Condition("linear", "w.x"),
                Condition("quadratic", "x'Ax, four eigenvalues +1 and four -1"),
                Condition("l1", "sum of |x_i|"),
                Condition("relu_teacher", "sum of four relu(t_j.x)"),
            ),
            budget=Budget(steps=3_000, batch_size=64),
            recipe=Recipe(learning_rate=2e-3, schedule="cosine"),
            metric="r2",
            floor="constant",
            ceiling="oracle",
            constants={name: {"constant": 0.0} for name in ("val", "iid", "ood", "rays")},
            gate=0.8,
            sources=(XU,),
            published=(
                Published("ray linearity of trained ReLU networks, more than", 0.99, source=XU.key),
                Published("ray linearity of a quadratic on the 40 radii, closed form", 0.9801),
                Published("tangent mismatch of the true quadratic, closed form", 0.3285),
            ),
            notes=(
                "Floor 0 is the best constant in hindsight, ceiling 1 the true function. The tangent continuation is "
                "exact for the three targets of degree 1 and has an r2 of .67 for the quadratic.",
                "Tangent mismatch is the mean squared distance from the tangent continuation over the variance of the "
                "targets: 0 for a model that goes straight on from radius 1, .3285 for the true quadratic.",
                "Ray linearity sums residuals and variances over rays: a ray of slope near 0 has an R2 near 0 however "
                "straight it is. Percentage errors mean nothing here, because targets cross 0.",
                "The gate is on the mean over targets: a linear model, perfect on the linear target, stays below it.",
                "The paper's scale is 20,000 points and 500 epochs at width 128 to 256, tested at radius 5; here 5,000 "
                "points and 3,000 steps of 64.",
            ),
        )
    )
