"""The hardness family: what theorems and counting say exactly, and how long networks of the literature need.

Times are first steps, checked every 25 or 100, at which 95 % of 2,000 fresh strings are right, or of their variance is
explained. Those of an earlier implementation in other code, `pilot`, were one run each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.reproductions._expected import AtLeast, Line, Published, closed_form
from tasks.hardness.staircase import TERMS, target
from tasks.seeds import generator
from tasks.sources.boolean_cube import degrees, points, walsh_hadamard
from tasks.sources.sign_strings import fair_signs, product

ENTRIES = {
    "parity": {
        "paper": "Barak, Edelman, Goel, Kakade, Malach and Zhang 2022 (barak2022hidden)",
        "where": "its networks on sparse parities; that an odd parity is invisible without biases, by enumeration",
        "protocol": "one hidden layer of 128 ReLU units, hinge loss, SGD with rate .1, 64 fresh strings a step",
        "tier": "quick",
        "seeds": 5,
        "chunk": 1,
    },
    "staircase": {
        "paper": "Abbe, Boix-Adsera and Misiakiewicz 2022, 2023 (abbe2022merged, abbe2023leap)",
        "where": "no table: pilots of merged staircases, leaps and products",
        "protocol": "one hidden layer of 128 ReLU units, squared error, SGD with rate .02, 64 strings of 30 signs",
        "tier": "quick",
        "seeds": 3,
        "chunk": 1,
    },
}

CUBE = 10
WIDTH, BATCH, TESTED = 128, 64, 2_000
LIMIT = 10_000
PARITY_STEPS = {(20, 2): 100, (20, 3): 650, (30, 3): 1_125, (20, 4): 625}
GREATEST = (30, 4)
BLIND_STEPS = 2_000
STAIRCASE_SIGNS = 30
STAIRCASE_STEPS = {"stair3": 700, "leap2": 1_600, "mono3": 3_500, "stair4": 900, "mono4": 4_000}

LINES: Mapping[str, Mapping[str, Line]] = {
    "parity": {
        "largest coefficient of degree 3 of a ReLU unit without a bias": closed_form(0.0, 1e-12),
        "largest coefficient of degree 2 of its slope": closed_form(0.0, 1e-12),
        **{
            f"steps, {k} of {n} signs": Published(steps, n=1, last_digit=25, source="pilot")
            for (n, k), steps in PARITY_STEPS.items()
        },
        "share of trials solved, 4 of 30 signs": AtLeast(0.2, source="criterion of barak2022hidden"),
        "accuracy without biases, 3 of 20 signs": Published(0.50, n=1, last_digit=0.01, source="pilot"),
    },
    "staircase": {
        **{
            f"steps, {name}": Published(steps, n=1, last_digit=100, source="pilot")
            for name, steps in STAIRCASE_STEPS.items()
        },
        "speed-up of the staircase of 3 signs": Published(5.0, n=1, last_digit=0.1, source="pilot"),
        "speed-up of the staircase of 4 signs": Published(4.4, n=1, last_digit=0.1, source="pilot"),
    },
}


def measure(name: str, seeds: Sequence[int]) -> dict[str, list[float]]:
    """Every line, one value a seed."""
    per_seed = [MEASURES[name](seed) for seed in seeds]
    return {line: [found[line] for found in per_seed] for line in LINES[name]}


@dataclass(frozen=True)
class Setting:
    """What a hidden layer learns of strings of n signs, and how: `learned` says of outputs and targets (N,)."""

    n: int
    target: Callable[[Tensor], Tensor]
    loss: Callable[[Tensor, Tensor], Tensor]
    learned: Callable[[Tensor, Tensor], bool]
    rate: float
    every: int
    bias: bool = True


class Run:
    """One hidden layer of 128 ReLU units, plain SGD, fresh strings in every step."""

    def __init__(self, setting: Setting, seed: int) -> None:
        self.setting, self.stream = setting, generator("reproductions", "hardness", seed)
        torch.manual_seed(seed)
        first, last = nn.Linear(setting.n, WIDTH, bias=setting.bias), nn.Linear(WIDTH, 1, bias=setting.bias)
        self.net = nn.Sequential(first, nn.ReLU(), last)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=setting.rate)

    def train(self, steps: int) -> None:
        """So many steps."""
        for _ in range(steps):
            x = fair_signs(BATCH, self.setting.n, self.stream)
            self.optimizer.zero_grad()
            self.setting.loss(self.net(x)[:, 0], self.setting.target(x)).backward()
            self.optimizer.step()

    def tested(self) -> tuple[Tensor, Tensor]:
        """Outputs and targets (2000,) of fresh strings."""
        x = fair_signs(TESTED, self.setting.n, self.stream)
        with torch.no_grad():
            return self.net(x)[:, 0], self.setting.target(x)

    def steps_needed(self) -> float:
        """The first checked step at which the target is learned, or the limit."""
        for step in range(self.setting.every, LIMIT + 1, self.setting.every):
            self.train(self.setting.every)
            if self.setting.learned(*self.tested()):
                return float(step)
        return float(LIMIT)


def parity_setting(n: int, k: int, bias: bool = True) -> Setting:
    """The product of the first k of n signs, by hinge loss."""
    places = torch.arange(k)
    return Setting(n, partial(product, places=places), hinge, mostly_right, rate=0.1, every=25, bias=bias)


def hinge(outputs: Tensor, y: Tensor) -> Tensor:
    """The mean of 1 - y f, where that is positive."""
    return functional.relu(1 - y * outputs).mean()


def accuracy(outputs: Tensor, y: Tensor) -> float:
    """The share of outputs with the sign of y."""
    return float((outputs * y > 0).float().mean())


def mostly_right(outputs: Tensor, y: Tensor) -> bool:
    """Whether 95 % are right."""
    return accuracy(outputs, y) >= 0.95


def mostly_explained(outputs: Tensor, y: Tensor) -> bool:
    """Whether less than 5 % of the variance is left."""
    return bool((outputs - y).square().mean() < 0.05 * y.var())


def parity(seed: int) -> dict[str, float]:
    """What a unit without a bias cannot see, and times to find which signs decide."""
    w = torch.randn(CUBE, generator=generator("reproductions", "unit", seed), dtype=torch.float64)
    unit = points(CUBE).double() @ w
    blind = Run(parity_setting(20, 3, bias=False), seed)
    blind.train(BLIND_STEPS)
    found = {
        "largest coefficient of degree 3 of a ReLU unit without a bias": largest(unit.relu(), 3),
        "largest coefficient of degree 2 of its slope": largest((unit > 0).double(), 2),
        "accuracy without biases, 3 of 20 signs": accuracy(*blind.tested()),
    }
    for n, k in PARITY_STEPS:
        found[f"steps, {k} of {n} signs"] = Run(parity_setting(n, k), seed).steps_needed()
    n, k = GREATEST
    solved = Run(parity_setting(n, k), seed).steps_needed() < LIMIT
    return found | {f"share of trials solved, {k} of {n} signs": float(solved)}


def largest(values: Tensor, degree: int) -> float:
    """The largest Fourier coefficient, in absolute value, of a function on the cube (2^n,) at a degree."""
    return float(walsh_hadamard(values).abs()[degrees(CUBE) == degree].max())


def staircase(seed: int) -> dict[str, float]:
    """Times to learn products of signs, alone and on their stairs."""
    times = {}
    for name, terms in TERMS.items():
        places = torch.arange(max(terms))

        def sum_of_terms(x: Tensor, name: str = name, places: Tensor = places) -> Tensor:
            return target(name, x, places)[:, 0]

        setting = Setting(STAIRCASE_SIGNS, sum_of_terms, functional.mse_loss, mostly_explained, rate=0.02, every=100)
        times[name] = Run(setting, seed).steps_needed()
    found = {f"steps, {name}": time for name, time in times.items()}
    for k in (3, 4):
        found[f"speed-up of the staircase of {k} signs"] = times[f"mono{k}"] / times[f"stair{k}"]
    return found


MEASURES: Mapping[str, Callable[[int], dict[str, float]]] = {"parity": parity, "staircase": staircase}
