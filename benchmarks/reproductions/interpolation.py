"""Double descent: exact risks against simulations, and networks of growing width that are trained to fit noise.

Risks are those of the population, known for every fit since inputs are Gaussian: only the draw of the training examples
is random. What was piloted was so in earlier code of another hand; no paper prints numbers for these data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from scipy.optimize import linprog

from benchmarks.reproductions._expected import Line, Published, closed_form
from benchmarks.reproductions._suite import suite_scores
from tasks.interpolation.epochs import NOISE_SD, coefficients, scales
from tasks.interpolation.features import FEATURES, N_INPUTS, N_TRAIN, expected_risk
from tasks.interpolation.memorize import separable
from tasks.seeds import generator
from tasks.shift import ridgeless
from tasks.sources.minimum_norm import gradient_descent, least_norm
from tasks.sources.random_features import limit_risk, simulated_risk

ENTRIES = {
    "double-descent": {
        "paper": "Belkin, Hsu and Xu 2020 (belkin2020two)",
        "where": "theorem 1: the risk at finite sizes",
        "protocol": "least norm on the first p of 200 inputs of 40 examples, as in interpolation/features",
        "tier": "quick",
        "seeds": 400,
        "chunk": 400,
    },
    "double-descent-width": {
        "paper": "Nakkiran, Kaplun, Bansal, Yang, Barak and Sutskever 2020 (nakkiran2020deep)",
        "where": "no table for these data: a pilot, two seeds",
        "protocol": "interpolation/width, the baseline mlp with one hidden layer, the suite's recipe, the last step",
        "tier": "quick",
        "seeds": 3,
        "chunk": 1,
    },
    "ridgeless-shift": {
        "paper": "Hastie, Montanari, Rosset and Tibshirani 2022 (hastie2022surprises)",
        "where": "closed form at finite sizes for any second moment of the test inputs",
        "protocol": "least squares at least norm on the examples of shift/ridgeless, three second moments",
        "tier": "quick",
        "seeds": 1000,
        "chunk": 1000,
    },
    "double-descent-epochs": {
        "paper": "Heckel and Yilmaz 2021 (heckel2021early)",
        "where": "gradient descent in closed form, and a pilot of ten draws",
        "protocol": "the data of interpolation/epochs, step size .5 over the largest eigenvalue",
        "tier": "quick",
        "seeds": 40,
        "chunk": 40,
    },
    "random-labels": {
        "paper": "Cover 1965 (cover1965geometrical)",
        "where": "the number of linearly separable dichotomies",
        "protocol": "a linear program for each draw of Gaussian points in R^20 with coins for labels",
        "tier": "quick",
        "seeds": 200,
        "chunk": 200,
    },
    "double-descent-random-features": {
        "paper": "Mei and Montanari 2022, The Generalization Error of Random Features Regression",
        "where": "the ridgeless limit of theorem 3",
        "protocol": "N random ReLU features at least norm, 300 points on the sphere in 100 dimensions, noise .5",
        "tier": "quick",
        "seeds": 10,
        "chunk": 10,
    },
}

WIDTHS = {1: 0.040, 2: 0.109, 4: 0.187, 6: 0.409, 8: 0.921, 12: 1.134, 16: 0.597, 64: 0.304, 256: 0.265, 1024: 0.264}
SHIFTS = ("none", "along", "across")
STEPS = {1: 1.64, 5: 1.55, 27: 1.96, 626: 1.50}
CHECKED_STEP = 137
POINTS = (30, 36, 40, 44, 50)
RANDOM_FEATURES = (50, 150, 250, 400, 600)
D, N, NOISE = 100, 300, 0.5
SCATTERED = "at the peak risks differ by a factor of two from draw to draw, and two draws are few"
FINITE = "the limit of infinite dimension; in simulations with 60 and 100 dimensions it is off by some per cent"


def of_features(p: int) -> str:
    return f"{p} of 200 inputs, excess risk"


def of_shift(condition: str, shift: str) -> str:
    return f"{ridgeless.INPUTS[condition]} inputs, shift {shift}, excess risk"


def of_step(step: float) -> str:
    return f"after {step} steps, excess risk" if step < math.inf else "after all steps, excess risk"


def of_points(n: int) -> str:
    return f"{n} points, share that a plane separates"


def of_random_features(n: int) -> str:
    return f"{n} random features, excess risk"


DIFFERENCE = f"closed form and gradient descent, largest difference after {CHECKED_STEP} steps"

LINES: Mapping[str, Mapping[str, Line]] = {
    "double-descent": {of_features(p): closed_form(expected_risk(p)) for p in FEATURES},
    "double-descent-width": {
        f"width {width}, excess risk": Published(
            risk, n=2, last_digit=0.001, source="pilot", explanation=SCATTERED if 8 <= width <= 16 else ""
        )
        for width, risk in WIDTHS.items()
    },
    "ridgeless-shift": {
        of_shift(condition, shift): closed_form(ridgeless.expected_risk(condition, shift))
        for condition in ridgeless.INPUTS
        for shift in SHIFTS
    },
    "double-descent-epochs": {
        **{of_step(step): Published(risk, n=10, last_digit=0.01, source="pilot") for step, risk in STEPS.items()},
        of_step(math.inf): closed_form(NOISE_SD**2 * 100 / 99),
        DIFFERENCE: closed_form(0.0, 1e-12),
    },
    "random-labels": {of_points(n): closed_form(separable(n, 20)) for n in POINTS},
    "double-descent-random-features": {
        of_random_features(n): closed_form(limit_risk(n, N, D, 1.0, NOISE), 0.01, FINITE) for n in RANDOM_FEATURES
    },
}


def measure(name: str, seeds: Sequence[int]) -> dict[str, list[float]]:
    """Every line, one value a draw or a seed."""
    per_seed = [MEASURES[name](seed) for seed in seeds]
    return {line: [found[line] for found in per_seed] for line in LINES[name]}


def features(seed: int) -> dict[str, float]:
    """The risk of the fit of least norm on every number of inputs of one draw."""
    stream = generator("reproductions", "double-descent", seed)
    beta = torch.full((N_INPUTS, 1), 1 / math.sqrt(N_INPUTS), dtype=torch.float64)
    x = torch.randn(N_TRAIN, N_INPUTS, generator=stream, dtype=torch.float64)
    y = x @ beta + NOISE * torch.randn(N_TRAIN, 1, generator=stream, dtype=torch.float64)
    found = {}
    for p in FEATURES:
        error = -beta
        error[:p] += least_norm(x[:, :p], y)
        found[of_features(p)] = float(error.square().sum())
    return found


def width(seed: int) -> dict[str, float]:
    """The risk of networks with one hidden layer at the last step."""
    found = {}
    for units in WIDTHS:
        scores = suite_scores("interpolation/width-v1", "mlp", seed, condition=str(units), hparams={"depth": 1})
        found[f"width {units}, excess risk"] = scores.last["test"]["mse"]
    return found


def shift(seed: int) -> dict[str, float]:
    """The risk of the fit to one draw under every second moment."""
    found = {}
    for condition, d in ridgeless.INPUTS.items():
        stream = generator("reproductions", "ridgeless-shift", condition, seed)
        x = torch.randn(ridgeless.N_TRAIN, d, generator=stream, dtype=torch.float64)
        noise = torch.randn(ridgeless.N_TRAIN, 1, generator=stream, dtype=torch.float64)
        error = least_norm(x, x[:, :1] + ridgeless.NOISE_SD * noise)[:, 0]
        error[0] -= 1
        for name in SHIFTS:
            found[of_shift(condition, name)] = float(error @ ridgeless.second_moment(name, d) @ error)
    return found


def epochs(seed: int) -> dict[str, float]:
    """Risks of gradient descent on one draw, and how far its closed form is from doing the steps."""
    stream = generator("reproductions", "double-descent-epochs", seed)
    deviation, beta = scales().double(), coefficients().double()
    x = deviation * torch.randn(200, 100, generator=stream, dtype=torch.float64)
    y = x @ beta + NOISE_SD * torch.randn(200, 1, generator=stream, dtype=torch.float64)
    step_size = 0.5 / float(torch.linalg.eigvalsh(x.T @ x / len(x)).max())
    found = {}
    for step in (*STEPS, math.inf):
        error = (gradient_descent(x, y, step_size, step) - beta)[:, 0] * deviation
        found[of_step(step)] = float(error.square().sum())
    stepped = torch.zeros_like(beta)
    for _ in range(CHECKED_STEP):
        stepped -= step_size * x.T @ (x @ stepped - y) / len(x)
    closed = gradient_descent(x, y, step_size, CHECKED_STEP)
    return {**found, DIFFERENCE: float((closed - stepped).abs().max())}


def labels(seed: int) -> dict[str, float]:
    """Whether the coins of one draw are separable, for every number of points."""
    return {of_points(n): float(is_separable(n, generator("reproductions", "labels", n, seed))) for n in POINTS}


def is_separable(n: int, stream: torch.Generator) -> bool:
    """Whether some w has sign . (w . x) >= 1 for n Gaussian points in R^20 with coins for signs."""
    x = torch.randn(n, 20, generator=stream).double()
    sign = 2.0 * torch.randint(2, (n, 1), generator=stream) - 1
    return bool(linprog(np.zeros(20), A_ub=-(sign * x).numpy(), b_ub=-np.ones(n), bounds=(None, None)).status == 0)


def random_features(seed: int) -> dict[str, float]:
    """The risk of one draw at every number of features."""
    streams = {n: generator("reproductions", "random-features", n, seed) for n in RANDOM_FEATURES}
    return {of_random_features(n): simulated_risk(n, N, D, NOISE, stream, 2_000) for n, stream in streams.items()}


MEASURES: Mapping[str, Callable[[int], dict[str, float]]] = {
    "double-descent": features,
    "double-descent-width": width,
    "ridgeless-shift": shift,
    "double-descent-epochs": epochs,
    "random-labels": labels,
    "double-descent-random-features": random_features,
}
