"""Sharpness-aware minimization: step along the gradient at the worst point near the weights.

Foret, Kleiner, Mobahi, Neyshabur, Sharpness-aware minimization for efficiently improving generalization, ICLR 2021,
equations 2 and 3.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.algorithm import within
from baselines.algorithms.erm import ERM
from tasks.types import Batch, Problem

ENTRIES = {"sam": {"class": "SAM", "summary": "the gradient is taken a step of length rho up the loss"}}


class SAM(ERM):
    """The gradient at w + rho g / |g|, where g is the gradient at w over all parameters and the batch the same.

    The weights are put back bit by bit. The loss that is returned is the one at w. A step costs two.
    """

    search = {"rho": ("loguniform", 0.01, 0.5)}

    def __init__(self, problem: Problem, rho: float = 0.05) -> None:
        super().__init__(problem)
        self.rho = within("rho", rho, 0)

    def backward(self, model: nn.Module, batch: Batch, step: int) -> Tensor:
        loss = super().backward(model, batch, step)
        moved = [p for p in model.parameters() if p.grad is not None]
        before = [p.detach().clone() for p in moved]
        climb(moved, self.rho)
        model.zero_grad()
        super().backward(model, batch, step)
        with torch.no_grad():
            for parameter, value in zip(moved, before, strict=True):
                parameter.copy_(value)
        return loss


@torch.no_grad()
def climb(parameters: list[nn.Parameter], length: float) -> None:
    """Move the parameters by a vector of this length along their gradients; nowhere where those are 0."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.stack([torch.linalg.vector_norm(g) for g in gradients]).norm()
    scale = torch.where(norm > 0, length / norm, 0.0)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.add_(scale * gradient)
