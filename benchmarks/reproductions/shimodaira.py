"""Covariate shift on a cubic: the constants of Shimodaira's example, and what weighting does to a line and a cubic.

The constants are estimated from 100,000 points that the task itself draws, with the weights that it hands out, and held
against closed forms: a wrong sampler, weight or quadrature would show. The fits to 30, 100 and 1,000 points are held
against an earlier implementation in other code; no paper prints them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.reproductions._expected import Line, Published, closed_form
from tasks.registry import load
from tasks.seeds import Draw
from tasks.types import Batch, Task

ENTRIES = {
    "shimodaira": {
        "paper": "Shimodaira 2000 (shimodaira2000improving)",
        "where": "closed forms of the example",
        "protocol": "least squares, plain and weighted, on 100,000 points of shift/reweight; its quadrature",
        "tier": "quick",
        "seeds": 40,
        "chunk": 40,
    },
    "shimodaira-fits": {
        "paper": "Shimodaira 2000 (shimodaira2000improving)",
        "where": "no table: pilots, means of 1,000 draws",
        "protocol": "least squares, plain and weighted, on 30, 100 and 1,000 points of shift/reweight; its quadrature",
        "tier": "quick",
        "seeds": 1000,
        "chunk": 500,
    },
}

TASK = "shift/reweight-v1"
MANY = 100_000
SIZES = (30, 100, 1_000)
DEGREES = {"line": 1, "cubic": 3}


def pilot(value: float) -> Published:
    """A mean of 1,000 draws of the earlier implementation, printed with four decimals."""
    return Published(value, n=1000, last_digit=1e-4, source="pilot")


LINES: Mapping[str, Mapping[str, Line]] = {
    "shimodaira": {
        "E_train[w^2]": closed_form(2.3946, 1e-4),
        "train-optimal line, slope": closed_form(0.50),
        "train-optimal line, intercept": closed_form(-0.25),
        "test-optimal line, slope": closed_form(-0.73),
        "test-optimal line, intercept": closed_form(0.0),
        "excess risk of -0.25 + 0.5 x": closed_form(0.203035),
        "excess risk of -0.73 x": closed_form(0.004374),
    },
    "shimodaira-fits": {
        "line, plain, 30 points": pilot(0.2586),
        "line, plain, 100 points": pilot(0.2229),
        "line, plain, 1000 points": pilot(0.2034),
        "line, weighted, 30 points": pilot(0.0198),
        "line, weighted, 100 points": pilot(0.0085),
        "line, weighted, 1000 points": pilot(0.0048),
        "cubic, plain, 30 points": pilot(0.0376),
        "cubic, plain, 100 points": pilot(0.0049),
        "cubic, plain, 1000 points": pilot(0.0004),
        "cubic, weighted, 30 points": pilot(0.1264),
        "cubic, weighted, 100 points": pilot(0.0100),
        "cubic, weighted, 1000 points": pilot(0.0006),
    },
}


def measure(name: str, seeds: Sequence[int]) -> dict[str, list[float]]:
    """Every line, one value a draw."""
    task = load(TASK)
    per_seed = [constants(task, seed) if name == "shimodaira" else fits(task, seed) for seed in seeds]
    return {line: [found[line] for found in per_seed] for line in per_seed[0]}


def constants(task: Task, seed: int) -> dict[str, float]:
    """What 100,000 weighted points say of the population, and the quadrature of the two best lines."""
    batch = training_points(task, seed, MANY)
    assert batch.weight is not None
    found = {"E_train[w^2]": float(batch.weight.double().square().mean())}
    for where, weight in (("train-optimal", None), ("test-optimal", batch.weight)):
        intercept, slope = least_squares(batch, 1, weight).tolist()
        found |= {f"{where} line, slope": slope, f"{where} line, intercept": intercept}
    found["excess risk of -0.25 + 0.5 x"] = excess_risk(task, torch.tensor([-0.25, 0.5], dtype=torch.float64))
    found["excess risk of -0.73 x"] = excess_risk(task, torch.tensor([0.0, -0.73], dtype=torch.float64))
    return found


def fits(task: Task, seed: int) -> dict[str, float]:
    """Excess risk under the test density of a line and a cubic that are fitted to few points."""
    found = {}
    for n in SIZES:
        batch = training_points(task, seed, n)
        for learner, degree in DEGREES.items():
            for estimator, weight in (("plain", None), ("weighted", batch.weight)):
                risk = excess_risk(task, least_squares(batch, degree, weight))
                found[f"{learner}, {estimator}, {n} points"] = risk
    return found


def training_points(task: Task, seed: int, n: int) -> Batch:
    """n training points with their weights."""
    (train,) = task.spec.with_role("train")
    return task.sample("weighted", replace(train, size=n), Draw(TASK, seed))


def powers(x: Tensor, degree: int) -> Tensor:
    """Inputs (N, 1) to 1, x, ..., x^degree (N, degree + 1), float64."""
    return x.double() ** torch.arange(degree + 1)


def least_squares(batch: Batch, degree: int, weight: Tensor | None) -> Tensor:
    """The coefficients (degree + 1,) that minimize sum w (f - y)^2, the constant first."""
    root = torch.ones_like(batch.x).double() if weight is None else weight.double().sqrt()[:, None]
    solution: Tensor = torch.linalg.lstsq(root * powers(batch.x, degree), root * batch.y.double()).solution[:, 0]
    return solution


def excess_risk(task: Task, coefficients: Tensor) -> float:
    """The task's own measure of a polynomial, under the test density."""
    (split,) = task.spec.with_role("ood")
    batch = task.sample("weighted", split, Draw(TASK, 0))  # a quadrature grid, the same in every world
    outputs = powers(batch.x, len(coefficients) - 1) @ coefficients[:, None]
    return task.evaluate(outputs, batch)["excess_risk"]
