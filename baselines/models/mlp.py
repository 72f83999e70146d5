"""Fully connected networks on the flattened input; the units are ReLU, tanh, snake, sine or Gaussian."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from tasks.types import Problem

ENTRIES = {
    "mlp": {"class": "Mlp", "summary": "2 hidden layers of 128 ReLU units"},
    "mlp-large": {
        "class": "Mlp",
        "summary": "3 hidden layers of 512 ReLU units",
        "hparams": {"width": 512, "depth": 3},
        "large": True,
    },
    "mlp-tanh": {
        "class": "Mlp",
        "summary": "2 hidden layers of 128 tanh units",
        "hparams": {"activation": "tanh"},
    },
    "mlp-tanh-large": {
        "class": "Mlp",
        "summary": "3 hidden layers of 512 tanh units",
        "hparams": {"activation": "tanh", "width": 512, "depth": 3},
        "large": True,
    },
    "mlp-snake": {
        "class": "Mlp",
        "summary": "2 hidden layers of 128 snake units, x + sin^2(3 x) / 3",
        "hparams": {"activation": "snake"},
    },
    "mlp-snake-large": {
        "class": "Mlp",
        "summary": "3 hidden layers of 512 snake units, x + sin^2(3 x) / 3",
        "hparams": {"activation": "snake", "width": 512, "depth": 3},
        "large": True,
    },
    "mlp-sine": {
        "class": "Mlp",
        "summary": "2 hidden layers of 128 sine units, sin(3 x)",
        "hparams": {"activation": "sine"},
    },
    "mlp-gaussian": {
        "class": "Mlp",
        "summary": "2 hidden layers of 128 Gaussian units, exp(-(3 x)^2 / 2)",
        "hparams": {"activation": "gaussian"},
    },
}

Activation = Literal["relu", "tanh", "snake", "sine", "gaussian"]


class Snake(nn.Module):
    """x + sin^2(a x) / a: the identity plus a ripple of period pi / a (Ziyin, Hartwig, Ueda, NeurIPS 2020, eq. 3)."""

    def __init__(self, frequency: float = 3.0) -> None:
        super().__init__()
        self.frequency = frequency

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.sin(self.frequency * x).square() / self.frequency


class Sine(nn.Module):
    """sin(a x), the unit of SIREN (Sitzmann, Martel, Bergman, Lindell, Wetzstein, NeurIPS 2020).

    torch's default weights, uniform within 1 / sqrt(fan_in), times 3 are uniform within 3 / sqrt(fan_in); SIREN wants
    sqrt(6) = 2.4 in place of 3, so that the sine's argument has a deviation near 1 in every layer.
    """

    def __init__(self, frequency: float = 3.0) -> None:
        super().__init__()
        self.frequency = frequency

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.frequency * x)


class Gaussian(nn.Module):
    """exp(-(a x)^2 / 2): a bump of width 1 / a (Ramasinghe, Lucey, ECCV 2022)."""

    def __init__(self, sharpness: float = 3.0) -> None:
        super().__init__()
        self.sharpness = sharpness

    def forward(self, x: Tensor) -> Tensor:
        return torch.exp(-(self.sharpness * x).square() / 2)


ACTIVATIONS: dict[Activation, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "snake": Snake,
    "sine": Sine,
    "gaussian": Gaussian,
}


class Mlp(nn.Module):
    """x (N, *S) -> `depth` hidden layers of `width` units -> (N, C), in torch's default initialisation."""

    takes = ("vector", "signal", "image")

    def __init__(self, problem: Problem, width: int = 128, depth: int = 2, activation: Activation = "relu") -> None:
        super().__init__()
        sizes = [math.prod(problem.input_shape)] + [width] * depth
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(sizes):
            layers += [nn.Linear(fan_in, fan_out), ACTIVATIONS[activation]()]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], problem.n_outputs))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x.flatten(1))  # (N, C)
        return out
