"""One linear map from the flattened input: linear regression, or multinomial logistic regression."""

from __future__ import annotations

import math

from torch import Tensor, nn

from tasks.types import Problem

ENTRIES = {"linear": {"class": "Linear", "summary": "one linear layer on the flattened input"}}


class Linear(nn.Module):
    """x (N, *S) -> x W + b (N, C), from zero weights.

    The loss is convex, so the optimizer decides how fast the solution is reached, not which one it is, wherever
    there are more examples than inputs. The recipe is therefore the model's own: large steps that anneal to 0.
    """

    takes = ("vector", "signal", "image")
    recipe = {"optimizer": "adam", "learning_rate": 1e-2}

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.layer = nn.Linear(math.prod(problem.input_shape), problem.n_outputs)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x.flatten(1))  # (N, C)
        return out
