"""Ridgeless regression on random ReLU features in high dimension: the limit of its risk (Mei and Montanari 2022).

n points and N directions theta are uniform on the sphere of radius sqrt(d) in R^d, features relu(theta . x / sqrt d),
y = beta . x + noise, and the readout is the one of least norm. N/d and n/d stay fixed as d grows.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tasks.sources.minimum_norm import least_norm

MU_1_SQUARED = 1 / 4
"""Squared first Hermite coefficient of ReLU; the second number is what is left of its variance beyond degree 1."""
MU_STAR_SQUARED = 1 / 4 - 1 / (2 * math.pi)


def limit_risk(n_features: int, n: int, d: int, signal: float, noise: float) -> float:
    """The excess risk in the limit, with |beta| = signal and noise of this standard deviation (theorem 3)."""
    p, m, z = n_features / d, n / d, MU_1_SQUARED / MU_STAR_SQUARED
    least = min(p, m)
    inner = least * z - z - 1
    x = -(math.sqrt(inner**2 + 4 * z * least) + inner) / (2 * z)
    e0 = (
        -(x**5) * z**3
        + 3 * x**4 * z**2
        + (p * m - m - p + 1) * x**3 * z**3
        - 2 * x**3 * z**2
        - 3 * x**3 * z
        + (p + m - 3 * p * m + 1) * x**2 * z**2
        + 2 * x**2 * z
        + x**2
        + 3 * p * m * x * z
        - p * m
    )
    e1 = m * x**3 * z**2 - m * x**2 * z + p * m * x * z - p * m
    e2 = (
        x**5 * z**3
        - 3 * x**4 * z**2
        + (p - 1) * x**3 * z**3
        + 2 * x**3 * z**2
        + 3 * x**3 * z
        + (-p - 1) * x**2 * z**2
        - 2 * x**2 * z
        - x**2
    )
    return signal**2 * e1 / e0 + noise**2 * e2 / e0


def simulated_risk(n_features: int, n: int, d: int, noise: float, generator: torch.Generator, tests: int) -> float:
    """The excess risk of one draw with |beta| = 1, on so many test points."""
    beta = sphere(1, d, generator).T / math.sqrt(d)
    theta = sphere(n_features, d, generator)
    x, new = sphere(n, d, generator), sphere(tests, d, generator)
    y = x @ beta + noise * torch.randn(n, 1, generator=generator, dtype=torch.float64)
    readout = least_norm((x @ theta.T / math.sqrt(d)).relu(), y)
    return float(((new @ theta.T / math.sqrt(d)).relu() @ readout - new @ beta).square().mean())


def sphere(n: int, d: int, generator: torch.Generator) -> Tensor:
    """n uniform points (n, d) on the sphere of radius sqrt(d), float64."""
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    return math.sqrt(d) * torch.nn.functional.normalize(x)
