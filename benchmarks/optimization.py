"""How parameters move, by the recipe: optimizer, schedule of the learning rate, clipping."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from tasks.types import Recipe

EPSILON = 1e-6  # as in torch.nn.utils.clip_grad_norm_


def make_optimizer(parameters: Iterable[Tensor], recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer, in torch's fused form where the parameters are real numbers.

    Raises:
        ValueError: for a name that no optimizer has.
    """
    every = list(parameters)
    shared: dict[str, Any] = {
        "lr": recipe.learning_rate,
        "weight_decay": recipe.weight_decay,
        "fused": all(p.is_floating_point() for p in every),
    }
    match recipe.optimizer:
        case "adam":
            return torch.optim.Adam(every, **shared)
        case "adamw":
            return torch.optim.AdamW(every, **shared)
        case "sgd":
            return torch.optim.SGD(every, momentum=recipe.momentum, **shared)
        case other:
            raise ValueError(f"no optimizer {other!r}; there are adam, adamw, sgd")


def set_rate(optimizer: torch.optim.Optimizer, recipe: Recipe, step: int, steps: int) -> None:
    """The learning rate for step `step` (from 0) of `steps`, where it is not constant."""
    if recipe.warmup_steps or recipe.schedule != "constant":
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * schedule(recipe, step, steps)


def schedule(recipe: Recipe, step: int, steps: int) -> float:
    """The factor on the learning rate before step `step` (from 0) of `steps`: warm-up, then constant or cosine."""
    warmup = min(1.0, (step + 1) / recipe.warmup_steps) if recipe.warmup_steps else 1.0
    return warmup * (0.5 * (1 + math.cos(math.pi * step / steps)) if recipe.schedule == "cosine" else 1.0)


def clip_each(parameters: Sequence[Tensor], most: float) -> None:
    """Clip the gradient of every replica by its own global norm; parameters are (R, ...), one slice a replica."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients])  # (parameters, R)
    factor = (most / (norms.norm(dim=0) + EPSILON)).clamp(max=1.0)  # (R,)
    for gradient in gradients:
        gradient.mul_(factor.view(-1, *[1] * (gradient.ndim - 1)))
