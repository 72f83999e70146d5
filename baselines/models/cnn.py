"""Convolutional networks, one- or two-dimensional as the input is, that keep a small grid of positions."""

from __future__ import annotations

import math

from torch import Tensor, nn

from tasks.types import Problem

ENTRIES = {
    "cnn": {
        "class": "Cnn",
        "summary": "three or more convolutions (16, 32, 64 channels), a grid of at most 4, then linear",
    },
    "cnn-large": {
        "class": "Cnn",
        "summary": "three or more convolutions (32, 64, 128 channels), a grid of at most 4, then linear",
        "hparams": {"width": 32},
        "large": True,
    },
}

DEPTH = 3
GRID = 4


class Cnn(nn.Module):
    """x (N, C, L) or (N, C, H, W) -> logits or values (N, C).

    A convolution of kernel 5, then of kernel 3, each with stride 2 while a side is longer than 4, with `width`,
    2 `width` and from then on 4 `width` channels. Signals are first convolved at full resolution, which is cheap
    for them. The remaining grid is flattened, not averaged: where something is can be read out, as tasks that ask
    for positions need.
    """

    takes = ("signal", "image")

    def __init__(self, problem: Problem, width: int = 16) -> None:
        super().__init__()
        fan_in, *sides = problem.input_shape
        signal = len(sides) == 1
        convolution = nn.Conv1d if signal else nn.Conv2d
        layers: list[nn.Module] = []
        depth = 0
        while depth < DEPTH or max(sides) > GRID:
            kernel = 5 if depth == 0 else 3
            stride = 2 if max(sides) > GRID and not (signal and depth == 0) else 1
            fan_out = width * min(2**depth, 4)
            layers += [convolution(fan_in, fan_out, kernel, stride=stride, padding=kernel // 2), nn.ReLU()]
            sides = [math.ceil(side / stride) for side in sides]
            fan_in = fan_out
            depth += 1
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(fan_in * math.prod(sides), problem.n_outputs))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)  # (N, C)
        return out
