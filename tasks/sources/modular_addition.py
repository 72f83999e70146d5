"""Addition modulo p: all pairs, a network of squares that adds exactly, and how a function's logits are made.

Gromov, Grokking modular arithmetic, 2023, section 3. p is odd.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import one_hot


def pairs(p: int) -> tuple[Tensor, Tensor]:
    """All pairs in the order of a p + b: two one-hot codes side by side (p * p, 2 p), and a + b modulo p (p * p,)."""
    a, b = torch.cartesian_prod(torch.arange(p), torch.arange(p)).T
    return torch.cat([one_hot(a, p), one_hot(b, p)], dim=1).float(), (a + b) % p


def analytic_network(p: int, width: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Weights W (width, 2 p) and V (p, width) of x -> V (W x)^2, whose largest output is a + b modulo p.

    Unit k has a frequency s and two phases f, g, all random: cos(2 pi s a / p + f) + cos(2 pi s b / p + g) is squared
    and weighted by cos(2 pi s c / p + f + g). Of the mean over units only cos(2 pi s (a + b - c) / p) is left, the
    other terms cancel like 1 / sqrt(width).
    """
    frequency = torch.randint(1, (p - 1) // 2 + 1, (width, 1), generator=generator)
    f, g = 2 * math.pi * torch.rand(2, width, 1, generator=generator)
    angle = 2 * math.pi * frequency * torch.arange(p) / p  # (width, p)
    hidden = torch.cat([torch.cos(angle + f), torch.cos(angle + g)], dim=1)
    return hidden, torch.cos(angle + f + g).T / width


def by_distance(outputs: Tensor, p: int) -> tuple[Tensor, float]:
    """Outputs (p * p, p) on all pairs to their mean at each a + b - c modulo p (p,), and its share of their variance.

    The share is 1 for a function of a + b - c alone, and about 1 / p^2 for noise.
    """
    values = outputs.double() - outputs.double().mean(1, keepdim=True)
    a_plus_b = pairs(p)[1]
    distance = (a_plus_b[:, None] - torch.arange(p)) % p  # (p * p, p)
    profile = torch.zeros(p, dtype=torch.float64).index_add(0, distance.flatten(), values.flatten()) / p**2
    total = values.square().mean()
    return profile, float(profile.square().mean() / total) if total > 0 else 0.0


def top_share(profile: Tensor, n: int) -> float:
    """The share of the n strongest frequencies in the power of a profile (p,) of mean 0; 0 where it has none."""
    power = torch.fft.rfft(profile)[1:].abs().square()
    return float(power.sort(descending=True).values[:n].sum() / power.sum()) if power.sum() > 0 else 0.0
