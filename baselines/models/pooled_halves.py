"""One function of every number, averaged over each half of the input: a model made by hand for sums over halves."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tasks.types import Problem

ENTRIES = {
    "pooled-halves": {
        "class": "PooledHalves",
        "summary": "16 ReLU channels of each number, averaged over each half of the input, then linear",
        "special": True,
    }
}


class PooledHalves(nn.Module):
    """x (N, d) -> a convolution of kernel 1 with `width` channels -> means over both halves (N, 2 width) -> (N, C).

    It cannot tell the places in one half apart. Where the answer is a difference of sums over the halves that is
    right, and saves most of the data that a dense network needs; where it is not, no amount of data helps.
    """

    takes = ("vector",)

    def __init__(self, problem: Problem, width: int = 16) -> None:
        super().__init__()
        self.middle = problem.input_shape[0] // 2
        self.pointwise = nn.Linear(1, width)
        self.readout = nn.Linear(2 * width, problem.n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        h = self.pointwise(x.unsqueeze(2)).relu()  # (N, d, width)
        halves = [h[:, : self.middle].mean(1), h[:, self.middle :].mean(1)]
        out: Tensor = self.readout(torch.cat(halves, dim=1))
        return out
