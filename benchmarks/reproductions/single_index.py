"""Spherical SGD on one Hermite polynomial of one direction, against its differential equation.

y = h_k(x_1) for x ~ N(0, I_d), h_k the normalized Hermite polynomial of degree k, the information exponent. A unit
vector w takes w <- (w + eta (I - w w') y h_k'(w.x) x) / |...|, one example a step, from the overlap m = w_1 =
d^(-1/2). As eta goes to 0, dm/dt = eta k m^(k-1) (1 - m^2), and the time to an overlap of 1/2 is (F(1/2) - F(m)) / eta.
At a finite rate the norm takes its part: - m eta^2 / 2 E[y^2 h_k'(w.x)^2 |(I - w w') x|^2].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from benchmarks.reproductions._expected import Line, closed_form
from tasks.seeds import generator

ENTRIES = {
    "information-exponent": {
        "paper": "Ben Arous, Gheissari and Jagannath 2021 (benarous2021online)",
        "where": "its differential equation, and the next order of the rate",
        "protocol": "median time of 96 chains of spherical online SGD to an overlap of 1/2, by degree and dimension",
        "tier": "quick",
        "seeds": 5,
        "chunk": 1,
    },
}

CHAINS = 96
GOAL = 0.5
PILOTS = {(1, 64): 53, (1, 256): 254, (2, 64): 731, (2, 256): 5_888}
"""(k, d): steps of an earlier program, fewer than its rates allow."""
SLOW = 32
"""How many times smaller the rate is where chains are held against their limit."""
SMALLEST = {1: 64, 2: 64, 3: 24}


def of_steps(k: int, d: int) -> str:
    return f"h_{k} in {d} dimensions, steps"


def of_limit(k: int) -> str:
    return f"h_{k} in {SMALLEST[k]} dimensions at 1/{SLOW} of the rate, steps over those of the equation"


def rate(k: int, d: int) -> float:
    """The rates of the pilots: of the order at which the signal of a degree still outweighs its noise."""
    rates: dict[int, float] = {1: 0.5 / d, 2: 0.25 / (d * math.log(d)), 3: 0.15 * d**-1.5}
    return rates[k]


PRIMITIVES: Mapping[int, Callable[[float], float]] = {
    1: math.atanh,
    2: lambda m: math.log(m / math.sqrt(1 - m * m)) / 2,
    3: lambda m: (math.atanh(m) - 1 / m) / 3,
}
"""F_k with dF/dm = 1 / (k m^(k-1) (1 - m^2))."""


def equation_time(k: int, d: int, eta: float) -> float:
    """Steps to an overlap of 1/2 from d^(-1/2) where nothing fluctuates."""
    return (PRIMITIVES[k](GOAL) - PRIMITIVES[k](d**-0.5)) / eta


def second_order_time(k: int, d: int, eta: float) -> float:
    """The same with what the norm takes, for k = 1 and 2."""
    edges = torch.linspace(d**-0.5, GOAL, 10_001, dtype=torch.float64)
    m = (edges[1:] + edges[:-1]) / 2
    speed = eta * k * m ** (k - 1) * (1 - m * m) - m * eta**2 / 2 * energy(k, d, m)
    return float((edges.diff() / speed).sum())


def energy(k: int, d: int, m: Tensor) -> Tensor:
    """E[y^2 h_k'(w.x)^2 |(I - w w') x|^2], the mean squared length of a step over eta^2, at overlaps m; k = 1 or 2."""
    if k == 1:
        return d + 1 - 2 * m * m
    return (d - 2) * (2 + 8 * m * m) + 64 * m * m * (1 - m * m) + 10 * (1 - 2 * m * m).square()


LINES: Mapping[str, Mapping[str, Line]] = {
    "information-exponent": {
        **{
            of_steps(k, d): closed_form(
                second_order_time(k, d, rate(k, d)),
                1.0,
                f"the equation to second order of the rate; a pilot had {pilot:,}",
            )
            for (k, d), pilot in PILOTS.items()
        },
        **{of_limit(k): closed_form(1.0, 0.02, "the limit of a small rate") for k in SMALLEST},
    }
}


def measure(name: str, seeds: Sequence[int]) -> dict[str, list[float]]:
    """Every line, one value a seed."""
    per_seed = [times(seed) for seed in seeds]
    return {line: [found[line] for found in per_seed] for line in LINES[name]}


def hermite(k: int, z: Tensor) -> Tensor:
    """The polynomial of degree k with unit variance under N(0, 1)."""
    return {1: z, 2: (z * z - 1) / math.sqrt(2), 3: (z**3 - 3 * z) / math.sqrt(6)}[k]


def slope(k: int, z: Tensor) -> Tensor:
    """Its derivative, sqrt(k) times the polynomial of degree k - 1."""
    return math.sqrt(k) * (torch.ones_like(z) if k == 1 else hermite(k - 1, z))


def median_steps(k: int, d: int, eta: float, stream: torch.Generator) -> float:
    """The step by which half of the chains have had an overlap of 1/2."""
    w = torch.randn(CHAINS, d, generator=stream)
    w[:, 0] = 0
    w *= math.sqrt(1 - 1 / d) / w.norm(dim=1, keepdim=True)
    w[:, 0] = d**-0.5
    arrived = torch.zeros(CHAINS, dtype=torch.bool)
    step = 0
    while 2 * int(arrived.sum()) < CHAINS:
        x = torch.randn(CHAINS, d, generator=stream)
        pull = (hermite(k, x[:, 0]) * slope(k, (w * x).sum(1)))[:, None] * x
        w = w + eta * (pull - (pull * w).sum(1, keepdim=True) * w)
        w /= w.norm(dim=1, keepdim=True)
        arrived |= w[:, 0] >= GOAL
        step += 1
    return float(step)


def times(seed: int) -> dict[str, float]:
    """Median times at the rates of the pilots, and at a small one as a ratio to the equation's."""
    stream = generator("reproductions", "information-exponent", seed)
    found = {of_steps(k, d): median_steps(k, d, rate(k, d), stream) for k, d in PILOTS}
    for k, d in SMALLEST.items():
        eta = rate(k, d) / SLOW
        found[of_limit(k)] = median_steps(k, d, eta, stream) / equation_time(k, d, eta)
    return found
