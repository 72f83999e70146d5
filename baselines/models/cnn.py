"""Convolutional networks, one- or two-dimensional as the input is, that keep a small grid of positions."""

from __future__ import annotations

import math

from torch import Tensor, nn

from tasks.types import Problem

ENTRIES = {
    "cnn": {
        "class": "Cnn",
        "summary": "convolutions of stride 2 (16, 32, 64 channels) down to a grid of 4, then linear",
    },
    "cnn-large": {
        "class": "Cnn",
        "summary": "convolutions of stride 2 (32, 64, 128 channels) down to a grid of 4, then linear",
        "hparams": {"width": 32},
        "large": True,
    },
}

GRID = 4
WIDEST = 4


class Cnn(nn.Module):
    """x (N, C, L) or (N, C, H, W) -> logits or values (N, C).

    A convolution of width 5 (of stride 2 on images, where full resolution costs most of the time), then ones of
    width 3 and stride 2 until no side is longer than 4; channels double with every halving, twice. The remaining
    grid is flattened, not averaged: where something is can be read out, as tasks that ask for positions need.
    """

    takes = ("signal", "image")

    def __init__(self, problem: Problem, width: int = 16) -> None:
        super().__init__()
        channels, *sides = problem.input_shape
        convolution = nn.Conv1d if len(sides) == 1 else nn.Conv2d
        stride = len(sides)
        layers: list[nn.Module] = [convolution(channels, width, 5, stride=stride, padding=2), nn.ReLU()]
        sides = [-(-side // stride) for side in sides]
        widest = width * WIDEST
        while max(sides) > GRID:
            fan_in, width = width, min(2 * width, widest)
            layers += [convolution(fan_in, width, 3, stride=2, padding=1), nn.ReLU()]
            sides = [-(-side // 2) for side in sides]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(width * math.prod(sides), problem.n_outputs))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)  # (N, C)
        return out
