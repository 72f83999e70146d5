"""Linear regression whose spectrum is a power law: how loss falls with parameters, with steps and with examples.

Input k has variance k^-b and contributes k^-a to the variance of the target, b > 0, a > 1, without noise. Then the loss
falls like P^-(a - 1) with the first P inputs, like t^-(a - 1)/b with t steps of gradient descent, and like
n^-min(a - 1, 2 b) with n examples fitted at least norm (Maloney, Roberts and Sully 2022; Bordelon and Pehlevan 2021).
"""

from __future__ import annotations

import torch
from torch import Tensor

from tasks.sources.minimum_norm import least_norm


def powers(n_inputs: int, decay: float) -> Tensor:
    """1, 2^-decay, ..., D^-decay (D,), float64."""
    return torch.arange(1, n_inputs + 1, dtype=torch.float64) ** -decay


def loss_of_parameters(kept: int, n_inputs: int, a: float) -> float:
    """What the inputs after the first `kept` contribute, those being known exactly."""
    return float(powers(n_inputs, a)[kept:].sum())


def loss_of_steps(steps: int, n_inputs: int, a: float, b: float, step_size: float = 0.5) -> float:
    """The population loss after so many steps of gradient descent from 0 on half the population's squared error."""
    return float(powers(n_inputs, a) @ (1 - step_size * powers(n_inputs, b)) ** (2 * steps))


def loss_of_examples(n: int, n_inputs: int, a: float, b: float, generator: torch.Generator) -> float:
    """The population loss of the fit of least norm to n Gaussian examples of one draw."""
    variance = powers(n_inputs, b)
    weight = (powers(n_inputs, a) / variance).sqrt().unsqueeze(1)
    x = variance.sqrt() * torch.randn(n, n_inputs, generator=generator, dtype=torch.float64)
    error = least_norm(x, x @ weight) - weight
    return float(variance @ error.square().squeeze(1))
