"""A selective state-space model: two layers of linear recurrences whose eigenvalues are read off the input."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tasks.types import Problem

ENTRIES = {
    "ssm": {"class": "Ssm", "summary": "2 selective linear recurrences of width 64, eigenvalues in [0, 1]"},
    "ssm-large": {
        "class": "Ssm",
        "summary": "2 selective linear recurrences of width 128, eigenvalues in [0, 1]",
        "hparams": {"width": 128},
        "large": True,
    },
    "ssm-signed": {
        "class": "Ssm",
        "summary": "2 selective linear recurrences of width 64, eigenvalues in [-1, 1]",
        "hparams": {"signed": True},
    },
    "ssm-signed-large": {
        "class": "Ssm",
        "summary": "2 selective linear recurrences of width 128, eigenvalues in [-1, 1]",
        "hparams": {"width": 128, "signed": True},
        "large": True,
    },
}

PATCH = 2


class Ssm(nn.Module):
    """Tokens (N, L) or a signal (N, C, L) -> (N, C), or (N, L, C) where the problem is per position.

    The recurrence of Mamba (Gu and Dao, COLM 2024) at its plainest: a diagonal transition that depends on the input,
    one state per channel, no convolution. `signed` lets eigenvalues be negative, without which no linear recurrence
    of finite precision keeps a parity (Grazzi et al., ICLR 2025). It runs in one direction; one answer is read after
    the last step. Two neighbouring samples of a signal make one step, unless every sample needs an output.
    """

    takes = ("signal", "tokens")
    recipe = {"learning_rate": 3e-3, "clip_norm": 1.0}

    def __init__(self, problem: Problem, width: int = 64, depth: int = 2, signed: bool = False) -> None:
        super().__init__()
        self.per_position = problem.per_position
        self.steps: nn.Module
        if problem.vocabulary is not None:
            self.steps = nn.Embedding(problem.vocabulary, width)
        else:
            patch = 1 if problem.per_position else PATCH
            channels, length = problem.input_shape
            self.steps = nn.Conv1d(channels, width, patch, stride=patch, padding=(-length % patch + 1) // 2)
        self.blocks = nn.Sequential(*[Block(width, signed) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.readout = nn.Linear(width, problem.n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        steps = self.steps(x)
        if isinstance(self.steps, nn.Conv1d):
            steps = steps.transpose(1, 2)
        h = self.norm(self.blocks(steps))  # (N, steps, width)
        out: Tensor = self.readout(h if self.per_position else h[:, -1])
        return out


class Block(nn.Module):
    """A gated selective recurrence, added to its input. (N, L, width) -> (N, L, width)."""

    def __init__(self, width: int, signed: bool) -> None:
        super().__init__()
        self.signed = signed
        self.norm = nn.LayerNorm(width)
        self.eigenvalue_drive_gate = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        with torch.no_grad():  # eigenvalues from .5 to .98 to begin with; signed, from 0 to .96
            self.eigenvalue_drive_gate.bias[:width] = torch.linspace(0, 4, width)

    def forward(self, h: Tensor) -> Tensor:
        eigenvalue, drive, gate = self.eigenvalue_drive_gate(self.norm(h)).chunk(3, dim=-1)
        decay = eigenvalue.sigmoid()
        if self.signed:
            decay = 2 * decay - 1
        out: Tensor = h + self.mix(recurrence(decay, drive) * nn.functional.silu(gate))
        return out


def recurrence(decay: Tensor, drive: Tensor) -> Tensor:
    """h_t = decay_t h_(t-1) + drive_t from h_0 = 0 along dimension 1, in ceil(log2 L) steps. All (N, L, width).

    Doubling (Hillis and Steele, CACM 1986): after each step every position holds the map of twice as many inputs.
    Products of eigenvalues are never divided by, so that it is stable whatever their signs and sizes.
    """
    reach, length = 1, drive.shape[1]
    while reach < length:
        drive = torch.cat([drive[:, :reach], drive[:, reach:] + decay[:, reach:] * drive[:, :-reach]], dim=1)
        decay = torch.cat([decay[:, :reach], decay[:, reach:] * decay[:, :-reach]], dim=1)
        reach *= 2
    return drive
