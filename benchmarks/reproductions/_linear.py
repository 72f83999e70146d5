"""ERM, IRMv1, IGA and ANDMask for linear models, many worlds side by side, from gradients and Hessian products.

Everything that the methods need of the risk R_e of an environment is its gradient g_e and the product of its Hessian
H_e with a vector: the output is linear in the parameters v, so that the derivatives with respect to a scale a and an
offset b of the output (a f + b, at a = 1 and b = 0) are v . g_e and the bias's entry of g_e.

Methods and formulas: Aubin et al., Linear unit-tests for invariance discovery, 2020, and their released code. Shapes: W
worlds, E environments, n examples each, P parameters, the last of them the bias.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

HessianTimes = Callable[[Tensor], Tensor]
"""Vectors (W, E, P), or (W, 1, P) that all environments share, to H_e u_e (W, E, P)."""


class Risks(Protocol):
    """The risks of all environments of all worlds."""

    def derivatives(self, v: Tensor) -> tuple[Tensor, HessianTimes]:
        """At parameters v (W, P): the gradients (W, E, P), and the Hessians as functions of vectors."""
        ...


@dataclass(frozen=True)
class SquaredLoss:
    """mean (f - y)^2, of which everything follows from the second moments of the examples.

    inputs: mean of x x' (W, E, P, P) with a last entry of 1 in x; cross: mean of x y (W, E, P); target: mean of y^2
    (W, E).
    """

    inputs: Tensor
    cross: Tensor
    target: Tensor

    @classmethod
    def of(cls, x: Tensor, y: Tensor) -> SquaredLoss:
        """The moments of examples x (W, E, n, P) with targets y (W, E, n)."""
        n = x.shape[-2]
        return cls(x.mT @ x / n, (x.mT @ y.unsqueeze(-1)).squeeze(-1) / n, y.square().mean(-1))

    def derivatives(self, v: Tensor) -> tuple[Tensor, HessianTimes]:
        def hessian_times(u: Tensor) -> Tensor:
            return 2 * (self.inputs @ u.unsqueeze(-1)).squeeze(-1)

        return hessian_times(v.unsqueeze(1)) - 2 * self.cross, hessian_times

    def error(self, v: Tensor) -> Tensor:
        """The mean squared error in every environment (W, E)."""
        u = v.unsqueeze(1)  # (W, 1, P)
        quadratic = (u * (self.inputs @ u.unsqueeze(-1)).squeeze(-1)).sum(-1)
        return quadratic - 2 * (u * self.cross).sum(-1) + self.target


@dataclass(frozen=True)
class LogisticLoss:
    """mean of log(1 + exp(-s f)) with the label's sign s, from all examples x (W, E, n, P) with labels y (W, E, n)."""

    x: Tensor
    y: Tensor

    def outputs(self, v: Tensor) -> Tensor:
        """Logits (W, E, n)."""
        return (self.x @ v[:, None, :, None]).squeeze(-1)

    def mean_over_examples(self, weight: Tensor) -> Tensor:
        """Mean of weight (W, E, n) times x: (W, E, P)."""
        return (weight.unsqueeze(-2) @ self.x).squeeze(-2) / self.x.shape[-2]

    def derivatives(self, v: Tensor) -> tuple[Tensor, HessianTimes]:
        probability = self.outputs(v).sigmoid_()

        def hessian_times(u: Tensor) -> Tensor:
            along = (self.x @ u.unsqueeze(-1)).squeeze(-1)
            return self.mean_over_examples(probability * (1 - probability) * along)

        return self.mean_over_examples(probability - self.y), hessian_times

    def error(self, v: Tensor) -> Tensor:
        """The share of logits whose sign is not the label's, in every environment (W, E)."""
        return ((self.outputs(v) > 0) != (self.y > 0.5)).double().mean(-1)


@dataclass(frozen=True)
class Setting:
    """The hyper-parameters of a method: `strength` is lam of IRMv1, pen of IGA, tau of ANDMask."""

    learning_rate: float
    weight_decay: float
    strength: float = 0.0


Direction = Callable[[Tensor, Tensor, HessianTimes, float], Tensor]


def erm(v: Tensor, gradients: Tensor, hessian_times: HessianTimes, strength: float) -> Tensor:
    """The gradient (W, P) of mean_e R_e."""
    return gradients.mean(1)


def irmv1(v: Tensor, gradients: Tensor, hessian_times: HessianTimes, strength: float) -> Tensor:
    """The gradient of (1 - lam) mean_e R_e + lam sum_e [(dR_e/da)^2 + (dR_e/db)^2]."""
    by_scale = (v.unsqueeze(1) * gradients).sum(-1, keepdim=True)  # dR_e/da (W, E, 1); its gradient is g_e + H_e v
    by_offset = gradients[..., -1:]  # dR_e/db; its gradient is the last column of H_e
    inner = by_scale * v.unsqueeze(1)
    inner[..., -1:] += by_offset
    penalty = 2 * (by_scale * gradients + hessian_times(inner))
    return (1 - strength) * gradients.mean(1) + strength * penalty.sum(1)


def iga(v: Tensor, gradients: Tensor, hessian_times: HessianTimes, strength: float) -> Tensor:
    """The gradient of mean_e R_e + pen sum_e |g_e - mean_e g_e|^2. The mean's own Hessian drops out of the sum."""
    mean = gradients.mean(1)
    return mean + 2 * strength * hessian_times(gradients - mean.unsqueeze(1)).sum(1)


def andmask(v: Tensor, gradients: Tensor, hessian_times: HessianTimes, strength: float) -> Tensor:
    """The mean gradient where |sum_e sign g_e| > E tau, else 0; weight gradients have unit norm in an environment."""
    weights, bias = gradients[..., :-1], gradients[..., -1:]
    unit = torch.cat([weights / weights.norm(dim=-1, keepdim=True), bias], dim=-1)
    agree = unit.sign().sum(1).abs() > unit.shape[1] * strength
    return agree * unit.mean(1)


DIRECTIONS: Mapping[str, Direction] = {
    "ERM": erm,
    "IRMv1": irmv1,
    "ANDMask": andmask,
    "IGA": iga,
    "Oracle": erm,  # on data whose spurious block is permuted
}


def train(method: str, risks: Risks, start: Tensor, setting: Setting, steps: int) -> Tensor:
    """Parameters (W, P) after `steps` full-batch updates from `start`.

    Adam and plain gradient descent move every parameter by itself, so that the worlds share one optimizer. Weight
    decay is added to the gradient.
    """
    v, direction = start.clone(), DIRECTIONS[method]
    optimizer: torch.optim.Optimizer
    if method == "ANDMask":
        optimizer = torch.optim.SGD([v], lr=setting.learning_rate, weight_decay=setting.weight_decay)
    else:
        optimizer = torch.optim.Adam([v], lr=setting.learning_rate, weight_decay=setting.weight_decay, fused=True)
    with torch.no_grad():
        for _ in range(steps):
            v.grad = direction(v, *risks.derivatives(v), setting.strength)
            optimizer.step()
    return v


def with_bias(x: Tensor) -> Tensor:
    """Inputs (..., d) with a last entry of 1 (..., d + 1)."""
    return torch.cat([x, torch.ones_like(x[..., :1])], dim=-1)


def initial(n_inputs: int, generators: Sequence[torch.Generator]) -> Tensor:
    """torch's initialisation of a linear layer with one output, uniform within n_inputs^-1/2: (W, n_inputs + 1)."""
    bound = n_inputs**-0.5
    return torch.stack([bound * (2 * torch.rand(n_inputs + 1, generator=generator) - 1) for generator in generators])
