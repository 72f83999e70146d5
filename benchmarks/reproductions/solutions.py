"""Which solution is found: margins of steepest descents, and where gradient flow of a diagonal network ends.

The theorems are about limits. What is measured is how near a training comes: each descent to the largest margin of its
own norm and not to the others', and a diagonal network to the minimum of a convex function that depends on the scale
of its initialisation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.reproductions._expected import AtLeast, Line, Published, Unpublished, closed_form
from benchmarks.reproductions._suite import suite_scores
from tasks.registry import load
from tasks.seeds import Draw
from tasks.solutions.sparse import arrays
from tasks.sources.interpolants import Array, diagonal_flow, least_l1, least_l2
from tasks.sources.max_margin import NORMS, Norm

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
}

DESCENTS: Mapping[str, Norm] = {"coordinate-descent": "l1", "normalized-gd": "l2", "sign-descent": "linf"}
OTHERS: Mapping[str, Norm] = {"adam-decaying": "linf", "erm": "l2"}
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
}


def measure(name: str, seeds: Sequence[int]) -> dict[str, list[float]]:
    """Every line, one value a seed."""
    per_seed = [margins(seed) if name == "margin-geometry" else flows(seed) for seed in seeds]
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
    return u * u - v * v
