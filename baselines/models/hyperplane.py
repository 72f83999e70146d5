"""One weight vector from zero, without a bias: a value w.x, or two logits whose difference it is."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tasks.types import Problem

ENTRIES = {
    "hyperplane": {
        "class": "Hyperplane",
        "summary": "one weight vector from zero without a bias, a value or two opposite logits",
        "special": True,
    }
}


class Hyperplane(nn.Module):
    """x (N, *S) -> w.x (N, 1), or the logits -w.x / 2 and w.x / 2 (N, 2): their cross-entropy is the logistic loss.

    Every optimizer starts at the same point of the same convex problem, so that what it finds is its own doing.
    """

    takes = ("vector", "signal", "image")

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        if problem.n_outputs > (2 if problem.output_kind == "classes" else 1):
            raise NotImplementedError("one hyperplane gives one value or tells two classes apart")
        self.weight = nn.Parameter(torch.zeros(1, math.prod(problem.input_shape)))
        self.is_classifier = problem.output_kind == "classes"

    def forward(self, x: Tensor) -> Tensor:
        value = x.flatten(1) @ self.weight.T  # (N, 1)
        return torch.cat([-value / 2, value / 2], dim=1) if self.is_classifier else value
