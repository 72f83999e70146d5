"""The reproduction of single-index models: polynomials, the equation and its next order, chains that follow it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from benchmarks.reproductions.single_index import (
    GOAL,
    PRIMITIVES,
    energy,
    equation_time,
    hermite,
    median_steps,
    second_order_time,
    slope,
)
from tasks.seeds import generator

Z = torch.linspace(-3, 3, 7, dtype=torch.float64)
NODES, WEIGHTS = (torch.from_numpy(values) for values in np.polynomial.hermite_e.hermegauss(20))
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def expected(values: torch.Tensor) -> float:
    """The mean over a standard normal variable, exact for polynomials, from values at the nodes."""
    return float(values @ WEIGHTS)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_polynomials_have_unit_variance_and_their_slopes(k: int) -> None:
    assert expected(hermite(k, NODES)) == pytest.approx(0)
    assert expected(hermite(k, NODES).square()) == pytest.approx(1)
    x = Z.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(hermite(k, x).sum(), x)
    assert torch.allclose(slope(k, Z), gradient)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_primitives_solve_the_equation(k: int) -> None:
    for m in (0.1, 0.3, 0.5):
        rise = (PRIMITIVES[k](m + 1e-6) - PRIMITIVES[k](m - 1e-6)) / 2e-6
        assert rise == pytest.approx(1 / (k * m ** (k - 1) * (1 - m * m)), rel=1e-6)


@pytest.mark.parametrize("k", [1, 2])
def test_the_next_order_vanishes_with_the_rate_and_makes_it_longer(k: int) -> None:
    at = [second_order_time(k, 64, eta) / equation_time(k, 64, eta) for eta in (1e-6, 1e-3)]
    assert at[0] == pytest.approx(1, abs=1e-4)
    assert at[1] > at[0]


@pytest.mark.parametrize("k", [1, 2])
def test_the_energy_of_a_step(k: int) -> None:
    """In the plane of x_1 and w by quadrature, and d - 2 directions of variance 1 across it."""
    x, u = NODES[:, None], NODES[None]
    for m in (0.0, 0.3, 0.5):
        z, across = m * x + math.sqrt(1 - m * m) * u, math.sqrt(1 - m * m) * x - m * u
        length = across.square() + 64 - 2
        exact = expected(((hermite(k, x) * slope(k, z)).square() * length) @ WEIGHTS)
        assert float(energy(k, 64, torch.tensor(m).double())) == pytest.approx(exact)


def test_slow_chains_take_as_long_as_the_equation_says() -> None:
    eta = 0.5 / 16 / 16
    steps = median_steps(1, 16, eta, generator("chains"))
    assert steps == pytest.approx(equation_time(1, 16, eta), rel=0.1)
    assert GOAL == 0.5
