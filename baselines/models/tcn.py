"""A temporal convolutional network: causal dilated convolutions that see the last 61 tokens or samples."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from tasks.types import Problem

ENTRIES = {
    "tcn": {"class": "Tcn", "summary": "4 residual blocks of causal dilated convolutions, width 64, reach 61"},
    "tcn-large": {
        "class": "Tcn",
        "summary": "4 residual blocks of causal dilated convolutions, width 128, reach 61",
        "hparams": {"width": 128},
        "large": True,
    },
}

KERNEL = 3


class Tcn(nn.Module):
    """Tokens (N, L) or a signal (N, C, L) -> (N, C), or (N, L, C) where the problem is per position.

    Bai, Kolter and Koltun, arXiv 1803.01271, 2018: residual blocks of two convolutions, dilated 1, 2, 4, 8; without
    their dropout and weight normalisation, which a network of this depth does not need. An output depends on its own
    and the 60 inputs before it, and on where they stand relative to it; one answer is read at the last position.
    """

    takes = ("signal", "tokens")
    recipe = {"learning_rate": 1e-3, "clip_norm": 1.0}

    def __init__(self, problem: Problem, width: int = 64, depth: int = 4) -> None:
        super().__init__()
        self.per_position = problem.per_position
        self.embed: nn.Module
        if problem.vocabulary is not None:
            self.embed = nn.Embedding(problem.vocabulary, width)
        else:
            self.embed = nn.Conv1d(problem.input_shape[0], width, 1)
        self.blocks = nn.Sequential(*[Block(width, dilation=2**i) for i in range(depth)])
        self.readout = nn.Linear(width, problem.n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x)
        if isinstance(self.embed, nn.Embedding):
            h = h.transpose(1, 2)
        h = self.blocks(h).transpose(1, 2)  # (N, L, width)
        out: Tensor = self.readout(h if self.per_position else h[:, -1])
        return out


class Block(nn.Module):
    """Two causal convolutions, added to their input. (N, width, L) -> (N, width, L)."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.past = (KERNEL - 1) * dilation
        self.first = nn.Conv1d(width, width, KERNEL, dilation=dilation)
        self.second = nn.Conv1d(width, width, KERNEL, dilation=dilation)

    def forward(self, h: Tensor) -> Tensor:
        inner = self.first(functional.pad(h, (self.past, 0))).relu()
        inner = self.second(functional.pad(inner, (self.past, 0))).relu()
        out: Tensor = (h + inner).relu()
        return out
