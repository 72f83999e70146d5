"""One hidden layer of squares without biases: the smallest network that can add modulo p exactly."""

from __future__ import annotations

import math

from torch import Tensor, nn

from tasks.types import Problem

ENTRIES = {
    "quadratic-network": {
        "class": "QuadraticNetwork",
        "summary": "one hidden layer of 256 squared units, no biases",
        "special": True,
    }
}


class QuadraticNetwork(nn.Module):
    """x (N, *S) -> V (W x)^2 (N, C), weights normal with variance 1 over the number of inputs of their layer.

    Gromov, Grokking modular arithmetic, 2023, equation 2.
    """

    takes = ("vector", "signal", "image")

    def __init__(self, problem: Problem, width: int = 256) -> None:
        super().__init__()
        size = math.prod(problem.input_shape)
        self.hidden, self.out = nn.Linear(size, width, bias=False), nn.Linear(width, problem.n_outputs, bias=False)
        for layer in (self.hidden, self.out):
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.out(self.hidden(x.flatten(1)).square())
        return outputs
