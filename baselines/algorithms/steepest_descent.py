"""Steepest descent in four norms: steps of one length, each in the direction that falls most among all of that length.

The norm of the step decides where a training goes that has many places to go: on separable classes a linear model
approaches the direction of maximal margin in that very norm.

Gunasekar, Lee, Soudry, Srebro, Characterizing implicit bias in terms of optimization geometry, ICML 2018, section 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

ENTRIES = {
    "normalized-gd": {
        "class": "NormalizedGD",
        "summary": "steepest descent in the Euclidean norm, steps of length .4 / sqrt(t)",
        "hparams": {"lr": 0.4},
        "special": True,
    },
    "sign-descent": {
        "class": "SignDescent",
        "summary": "steepest descent in the largest coordinate: every one moves by .07 / sqrt(t)",
        "hparams": {"lr": 0.07},
        "special": True,
    },
    "coordinate-descent": {
        "class": "CoordinateDescent",
        "summary": "steepest descent in the sum of coordinates: one of them moves, by 1.7 / sqrt(t)",
        "hparams": {"lr": 1.7},
        "special": True,
    },
    "spectral-descent": {
        "class": "SpectralDescent",
        "summary": "steepest descent in the spectral norm of every matrix, steps of .4 / sqrt(t)",
        "hparams": {"lr": 0.4},
        "special": True,
    },
}

RANK_TOLERANCE = 1e-5
"""Singular values below this share of the largest are rounding, and have no direction."""


class SteepestDescent(torch.optim.Optimizer):
    """Step t = 1, 2, ... is `lr` / sqrt(t) long in the norm of the class; `lr` is the length of the first one.

    A gradient's size plays no part, so that one that shrinks with the exponential of the margin still gives a
    direction. Where it is 0, or has underflowed to 0, nothing moves.
    """

    def __init__(self, params: Iterable[nn.Parameter], lr: float = 1.0) -> None:
        super().__init__(params, {"lr": lr, "steps": 0})

    def direction(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """The direction of length 1 in which the loss rises most; the largest entry of the gradients is 1, or 0."""
        raise NotImplementedError

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of all parameters that have a gradient; the value of the closure, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            group["steps"] += 1
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            directions = self.direction(scaled(moved)) if moved else []
            for parameter, direction in zip(moved, directions, strict=True):
                parameter.sub_(direction, alpha=group["lr"] / math.sqrt(group["steps"]))
        return loss


class NormalizedGD(SteepestDescent):
    """The Euclidean norm over all parameters: the gradient over its length."""

    def direction(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        length = torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients]).norm()
        return [gradient / length.clamp(min=1.0) for gradient in gradients]


class SignDescent(SteepestDescent):
    """The largest absolute coordinate: the gradient's signs."""

    def direction(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        return [gradient.sign() for gradient in gradients]


class CoordinateDescent(SteepestDescent):
    """The sum of absolute coordinates: the one coordinate with the largest slope."""

    def direction(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        chosen = torch.zeros_like(flat)
        place = flat.abs().argmax()
        chosen[place] = flat[place].sign()
        parts = chosen.split([gradient.numel() for gradient in gradients])
        return [part.view_as(gradient) for part, gradient in zip(parts, gradients, strict=True)]


class SpectralDescent(SteepestDescent):
    """The largest singular value of any matrix: U V' of the gradient U S V'. What is no matrix is one row.

    The direction that Muon approximates by an iteration, here exact and without momentum.
    """

    def direction(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        return [polar_factor(gradient) for gradient in gradients]


def scaled(parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    """The gradients over their largest absolute entry: their squares neither overflow nor underflow."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    largest = torch.stack([gradient.abs().max() for gradient in gradients]).max()
    return [gradient / torch.where(largest > 0, largest, 1.0) for gradient in gradients]


def polar_factor(gradient: Tensor) -> Tensor:
    """U V' of U S V', with the directions left out whose singular value is 0."""
    matrix = gradient if gradient.ndim == 2 else gradient.reshape(1, -1)
    u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
    kept = (s > RANK_TOLERANCE * s.max()).to(s.dtype)
    factor: Tensor = (u * kept) @ vh
    return factor.view_as(gradient)
