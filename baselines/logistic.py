"""Multinomial logistic regression with an l2 penalty, solved to its optimum on the CPU."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def logistic_regression(x: Tensor, y: Tensor, n_classes: int, ridge: float) -> tuple[Tensor, Tensor]:
    """x (N, F), y (N,) int64: weights (C, F) and biases (C,) of the logits x W' + b, float64 on the CPU.

    They minimize mean cross-entropy + ridge / 2 |W|^2 by L-BFGS from zero, so the same data give the same answer. A
    class without examples gets low logits. Columns of x should have comparable scales.
    """
    x, y = x.detach().cpu().double(), y.cpu()  # not every accelerator has float64
    weight = torch.zeros(n_classes, x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(n_classes, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weight, bias], max_iter=500, tolerance_grad=1e-7, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def objective() -> Tensor:
        solver.zero_grad()
        value = functional.cross_entropy(x @ weight.T + bias, y) + ridge / 2 * weight.square().sum()
        value.backward()
        return value

    with torch.enable_grad():  # a measurement runs without
        solver.step(objective)
    return weight.detach(), bias.detach()


def standardization(x: Tensor) -> tuple[Tensor, Tensor]:
    """x (N, F): mean and standard deviation of every column (F,); 1 for one that does not vary."""
    deviation = x.std(0, correction=0)
    return x.mean(0), torch.where(deviation > 0, deviation, 1.0)
