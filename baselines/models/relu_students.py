"""Independent students side by side, one an output: each is a plain sum of ReLU units of its own."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tasks.types import Problem

ENTRIES = {
    "relu-students": {
        "class": "ReluStudents",
        "summary": "every output is a sum of ten ReLU units of its own, without biases or output weights",
        "special": True,
    }
}


class ReluStudents(nn.Module):
    """x (N, k) -> sum_i relu(w_ci.x) (N, C), `width` units w_ci ~ N(0, I / k) for each output c.

    No parameter serves two outputs: a training with the same target in all is C trainings from C starting points.
    """

    takes = ("vector",)

    def __init__(self, problem: Problem, width: int = 10) -> None:
        super().__init__()
        if problem.output_kind != "values":
            raise NotImplementedError("a sum of ReLU units is a value")
        k = math.prod(problem.input_shape)
        self.weight = nn.Parameter(torch.randn(problem.n_outputs, width, k) / math.sqrt(k))

    def forward(self, x: Tensor) -> Tensor:
        units = (x @ self.weight.flatten(0, 1).T).relu()  # (N, C * width)
        return units.view(len(x), *self.weight.shape[:2]).sum(2)
