"""A linear model whose weights are differences of squares: where its training ends depends on where it starts."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tasks.types import Problem

ENTRIES = {
    "diagonal-network": {
        "class": "DiagonalNetwork",
        "summary": "weights u * u - v * v, all of u and v at one scale at first",
        "special": True,
    }
}


class DiagonalNetwork(nn.Module):
    """x (N, *S) -> x.(u * u - v * v) (N, 1). At first u = v = `scale`, so that every weight is 0.

    Woodworth et al., Kernel and rich regimes in overparametrized models, COLT 2020, section 4.
    """

    takes = ("vector", "signal", "image")

    def __init__(self, problem: Problem, scale: float = 0.1) -> None:
        super().__init__()
        if problem.output_kind != "values" or problem.n_outputs != 1:
            raise NotImplementedError("one linear function gives one value")
        size = math.prod(problem.input_shape)
        self.u, self.v = nn.Parameter(torch.full((size,), scale)), nn.Parameter(torch.full((size,), scale))

    def forward(self, x: Tensor) -> Tensor:
        weights = self.u.square() - self.v.square()
        return (x.flatten(1) @ weights).unsqueeze(1)
