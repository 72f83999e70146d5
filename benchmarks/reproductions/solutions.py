"""Which solution is found: margins of steepest descents, ends of gradient flows, bad minima, completed matrices.

The theorems are about limits. What is measured is how near a training comes: each descent to the largest margin of its
own norm and not to the others', and a diagonal network to the minimum of a convex function that depends on the scale
of its initialisation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from benchmarks.reproductions._expected import AtLeast, Line, Published, Unpublished, closed_form
from benchmarks.reproductions._suite import suite_scores
from tasks.registry import load
from tasks.seeds import Draw, generator
from tasks.solutions.sparse import arrays
from tasks.sources.interpolants import Array, diagonal_flow, least_l1, least_l2
from tasks.sources.max_margin import NORMS, Norm
from tasks.sources.relu_loss import population_loss

ENTRIES = {
    "margin-geometry": {
        "paper": "Gunasekar, Lee, Soudry and Srebro 2018 (gunasekar2018geometry)",
        "where": "steepest descent on separable classes, section 3; for Adam: Zhang, Zou and Cao 2024",
        "protocol": "trials of solutions/margin, float32, 5,000 steps",
        "tier": "quick",
        "seeds": 5,
        "chunk": 1,
    },
    "diagonal-network": {
        "paper": "Woodworth et al. 2020 (woodworth2020kernel)",
        "where": "theorem 1",
        "protocol": "gradient descent in float64 with small steps until all residuals are below 1e-4, and the convex "
        "problem whose solution it should be, on the data of solutions/sparse",
        "tier": "quick",
        "seeds": 5,
        "chunk": 1,
    },
    "spurious-minima": {
        "paper": "Safran and Shamir 2018 (safran2018spurious)",
        "where": "no table: pilots, 60 starts each",
        "protocol": "gradient descent on the exact loss, rate 1 / m, 4,000 steps, 20 starts a seed; its kernel against "
        "200,000 Gaussian inputs",
        "tier": "quick",
        "seeds": 3,
        "chunk": 1,
    },
    "matrix-completion": {
        "paper": "Arora, Cohen, Hu and Luo 2019 (arora2019implicit)",
        "where": "no table at this size: pilots, one draw",
        "protocol": "trials of solutions/lowrank, 360 of 900 entries of a 30 x 30 matrix of rank 2",
        "tier": "quick",
        "seeds": 5,
        "chunk": 1,
    },
}

DESCENTS: Mapping[str, Norm] = {"coordinate-descent": "l1", "normalized-gd": "l2", "sign-descent": "linf"}
OTHERS: Mapping[str, Norm] = {"adam-decaying": "linf", "erm": "l2"}
STUCK = {(6, 6): 0.0, (8, 8): 0.17, (10, 10): 0.38, (10, 11): 0.017}
"""Share of starts that end above a loss of .001, by the units of teacher and student."""
N_STARTS, DESCENT_STEPS, STUCK_LOSS = 20, 4_000, 1e-3
N_INPUTS = 200_000
KERNEL = "exact loss over its mean on Gaussian inputs"
COMPLETION = {"depth-1": 1.0, "depth-2": 0.42, "depth-3": 0.008, "depth-2-large": 0.80}
RATES = {1.0: 0.01, 0.1: 0.01, 0.01: 0.03}
RESIDUAL = 1e-4
MOST_STEPS = 300_000


def pilot(value: float) -> Published:
    """A value on one draw of an earlier implementation, printed with three decimals."""
    return Published(value, n=1, last_digit=1e-3, source="pilot")


LINES: Mapping[str, Mapping[str, Line]] = {
    "margin-geometry": {
        **{f"{name}, share of the largest {norm} margin": AtLeast(0.985) for name, norm in DESCENTS.items()},
        **{f"{name}, lacks of the other margins at least": AtLeast(0.1) for name in DESCENTS},
        **{f"{name}, share of the largest {norm} margin": Unpublished(0.0, 1.0) for name, norm in OTHERS.items()},
    },
    "diagonal-network": {
        **{f"scale {scale:g}, 1 - distance from the convex solution": AtLeast(0.995) for scale in RATES},
        "scale 0.1, excess l1 norm": pilot(0.580),
        "scale 0.1, test error": pilot(0.325),
        "shortest interpolant, R2": closed_form(0.4),
    },
    "spurious-minima": {
        KERNEL: closed_form(1.0, 0.02),
        **{
            f"share stuck, k = {k}, m = {m}": Published(
                value, sd=math.sqrt(value * (1 - value) / N_STARTS), n=3, last_digit=0.01, source="pilot"
            )
            for (k, m), value in STUCK.items()
        },
    },
    "matrix-completion": {f"{shape}, error on hidden entries": pilot(value) for shape, value in COMPLETION.items()},
}


def measure(name: str, seeds: Sequence[int]) -> dict[str, list[float]]:
    """Every line, one value a seed."""
    measured = {
        "margin-geometry": margins,
        "diagonal-network": flows,
        "spurious-minima": minima,
        "matrix-completion": completions,
    }
    per_seed = [measured[name](seed) for seed in seeds]
    return {line: [found[line] for found in per_seed] for line in LINES[name]}


def margins(seed: int) -> dict[str, float]:
    """What trials of the suite reach of each margin."""
    found = {}
    for optimizer, norm in {**DESCENTS, **OTHERS}.items():
        scores = suite_scores("solutions/margin-v1", "hyperplane", seed, algorithm=optimizer).last["stencil"]
        found[f"{optimizer}, share of the largest {norm} margin"] = scores[norm]
        if optimizer in DESCENTS:
            others = max(scores[other] for other in NORMS if other != norm)
            found[f"{optimizer}, lacks of the other margins at least"] = 1 - others
    return found


def flows(seed: int) -> dict[str, float]:
    """How far gradient descent ends from the convex solution, and what the two limits say of this draw."""
    task = load("solutions/sparse-v1")
    (train,) = task.spec.with_role("train")
    x, y = arrays(task.sample("scale-1", train, Draw(task.spec.id, seed)))
    sparsest, shortest = least_l1(x, y), least_l2(x, y)  # the first is the truth
    found = {"shortest interpolant, R2": 1 - float(np.square(shortest - sparsest).sum())}
    for scale, rate in RATES.items():
        end = diagonal_flow(x, y, scale)
        distance = np.linalg.norm(descended(x, y, scale, rate) - end) / np.linalg.norm(end)
        found[f"scale {scale:g}, 1 - distance from the convex solution"] = 1 - float(distance)
    end = diagonal_flow(x, y, 0.1)
    found["scale 0.1, excess l1 norm"] = float(np.abs(end).sum() / np.abs(sparsest).sum() - 1)
    found["scale 0.1, test error"] = float(np.square(end - sparsest).sum())
    return found


def descended(x: Array, y: Array, scale: float, rate: float) -> Array:
    """The weights u * u - v * v after gradient descent on the mean squared error, from u = v = scale."""
    u = np.full(x.shape[1], scale)
    v = u.copy()
    for _ in range(MOST_STEPS):
        residual = x @ (u * u - v * v) - y
        if np.abs(residual).max() < RESIDUAL:
            break
        slope = 4 * rate / len(y) * (x.T @ residual)
        u, v = u - u * slope, v + v * slope
    weights: Array = u * u - v * v
    return weights


def minima(seed: int) -> dict[str, float]:
    """Where gradient descent on the exact loss gets stuck, and the loss against a mean over inputs."""
    stream = generator("reproductions", "escape", seed)
    w = torch.randn(5, 4, generator=stream, dtype=torch.float64)
    x = torch.randn(N_INPUTS, 4, generator=stream, dtype=torch.float64)
    mean = ((x @ w.T).relu().sum(1) - x.relu().sum(1)).square().mean() / 2
    found = {KERNEL: float(population_loss(w) / mean)}
    for k, m in STUCK:
        students = torch.randn(N_STARTS, m, k, generator=stream, dtype=torch.float64) / k**0.5
        found[f"share stuck, k = {k}, m = {m}"] = share_stuck(students)
    return found


def share_stuck(students: Tensor) -> float:
    """The share of students (R, m, k) that gradient descent leaves above the loss of the teacher."""
    w = students.requires_grad_()
    optimizer = torch.optim.SGD([w], lr=1 / w.shape[1])
    for _ in range(DESCENT_STEPS):
        optimizer.zero_grad()
        population_loss(w).sum().backward()
        optimizer.step()
    return float((population_loss(w.detach()) > STUCK_LOSS).double().mean())


def completions(seed: int) -> dict[str, float]:
    """The error of trials of the suite on entries that were not shown."""
    return {
        f"{shape}, error on hidden entries": suite_scores(
            "solutions/lowrank-v1", "matrix-product", seed, condition=shape
        ).last["hidden"]["relative_error"]
        for shape in COMPLETION
    }
