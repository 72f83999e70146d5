"""Strings of fair signs, products of some of them, and which signs a model's outputs depend on.

(+1, -1, -1, +1)   the product of places 0, 1, 2 is +1; with place 1 flipped it is -1, with place 3 flipped still +1
"""

from __future__ import annotations

import torch
from torch import Tensor

from tasks.types import Batch, Predictor, class_logits


def fair_signs(size: int, n: int, generator: torch.Generator) -> Tensor:
    """Independent fair signs (size, n), float32."""
    return 2.0 * torch.randint(2, (size, n), generator=generator, dtype=torch.int8) - 1


def product(x: Tensor, places: Tensor) -> Tensor:
    """The product of the signs x (N, n) at some places (k,): +1 or -1, (N,)."""
    return x[:, places].prod(1)


def of_places(places: Tensor | None) -> Predictor:
    """The product of some places as a predictor; equal logits where they are not known."""

    def predict(batch: Batch) -> Tensor:
        if places is None:
            return torch.zeros(len(batch), 2)
        return class_logits(product(batch.x, places) > 0, 2)

    return predict


def with_flips(x: Tensor) -> Tensor:
    """Each string of x (M, n) followed by its n neighbours, sign after sign flipped: (M (n + 1), n)."""
    n = x.shape[1]
    turns = torch.cat([torch.ones(1, n), 1 - 2 * torch.eye(n)])  # (n + 1, n)
    return (x[:, None] * turns).flatten(0, 1)


def influences(values: Tensor, n: int) -> Tensor:
    """The mean squared change of a function when a sign is flipped, for each of n signs: (n,) float64.

    values: (M (n + 1),), the function on the rows of `with_flips`.
    """
    by_string = values.double().view(-1, n + 1)
    return (by_string[:, 1:] - by_string[:, :1]).square().mean(0)


def relevance(influence: Tensor, relevant: Tensor) -> float:
    """a / (a + b) of the mean influence a of the relevant signs and b of the others, in [0, 1].

    influence: (n,). relevant: (n,) bool. 1/2 where a function prefers neither, as where it depends on nothing; 2/3
    where a relevant sign matters twice as much as another; 1 where the others do not matter.
    """
    a, b = float(influence[relevant].mean()), float(influence[~relevant].mean())
    return a / (a + b) if a + b > 0 else 0.5
