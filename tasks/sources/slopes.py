"""The mean slope of a function along every input, from its values alone: a stencil of points, evaluated like any split.

So a forest, a kernel and a network are measured in the same way. Of a linear function the slopes are its weights.
"""

from __future__ import annotations

import torch
from torch import Tensor


def stencil(points: Tensor, step: float) -> Tensor:
    """Points (N, d) moved by `step` forwards and backwards along each input: (N * 2 * d, d)."""
    n, d = points.shape
    moves = step * torch.cat([torch.eye(d), -torch.eye(d)])  # (2 d, d)
    return (points[:, None, :] + moves).view(n * 2 * d, d)


def slopes(values: Tensor, n_points: int, step: float) -> Tensor:
    """Values (N * 2 * d,) on the stencil of N points to the central differences at each (N, d), float64."""
    forwards, backwards = values.double().view(n_points, 2, -1).unbind(1)
    return (forwards - backwards) / (2 * step)


def mean_slopes(values: Tensor, n_points: int, step: float) -> Tensor:
    """Values (N * 2 * d,) on the stencil of N points to the mean over points of the central differences (d,)."""
    forwards, backwards = values.double().view(n_points, 2, -1).mean(0)  # (d,), (d,)
    slopes: Tensor = (forwards - backwards) / (2 * step)
    return slopes
