"""The exact loss of a sum of ReLU units against k orthogonal ones under Gaussian inputs, without any sample.

E relu(w.x) relu(v.x) = |w| |v| / (2 pi) (sin t + (pi - t) cos t) with t the angle between w and v (Cho and Saul, 2009).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

NEARLY_ONE = 1 - 1e-12
"""The arc cosine has no finite slope at 1."""


def mean_products(w: Tensor, v: Tensor) -> Tensor:
    """E relu(w_i.x) relu(v_j.x) for x ~ N(0, I): w (..., m, k), v (..., n, k) to (..., m, n). Rows are not 0."""
    length = w.norm(dim=-1, keepdim=True) * v.norm(dim=-1).unsqueeze(-2)
    cosine = (w @ v.mT / length).clamp(-NEARLY_ONE, NEARLY_ONE)
    angle = torch.arccos(cosine)
    products: Tensor = length / (2 * math.pi) * (torch.sin(angle) + (math.pi - angle) * cosine)
    return products


def population_loss(w: Tensor) -> Tensor:
    """E (sum_i relu(w_i.x) - sum_j relu(x_j))^2 / 2 of students w (..., m, k): (...)."""
    teacher = torch.eye(w.shape[-1], dtype=w.dtype).expand(*w.shape[:-2], -1, -1)
    products = (mean_products(w, w), mean_products(w, teacher), mean_products(teacher, teacher))
    own, cross, theirs = (each.sum((-2, -1)) for each in products)
    return own / 2 - cross + theirs / 2
