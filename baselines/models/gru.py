"""A gated recurrent network that reads tokens, or patches of a signal, and answers from its last state."""

from __future__ import annotations

from torch import Tensor, nn

from tasks.types import Problem

ENTRIES = {
    "gru": {"class": "Gru", "summary": "one layer of 64 gated recurrent units, read out at the last step"},
    "gru-large": {
        "class": "Gru",
        "summary": "one layer of 128 gated recurrent units, read out at the last step",
        "hparams": {"width": 128},
        "large": True,
    },
}

PATCH = 4


class Gru(nn.Module):
    """Tokens (N, L) or a signal (N, C, L) -> (N, C), or (N, L, C) where the problem is per position.

    Cho et al., EMNLP 2014. One direction, so that an output depends on no later input, and the last state alone is
    read, so that any length has an answer. A signal is read in patches of 4 samples, which quarters the cost,
    unless every sample needs an output.
    """

    takes = ("signal", "tokens")
    recipe = {"learning_rate": 3e-3, "clip_norm": 1.0}

    def __init__(self, problem: Problem, width: int = 64) -> None:
        super().__init__()
        self.per_position = problem.per_position
        self.steps = steps(problem, width)
        self.recurrence = nn.GRU(width, width, batch_first=True)
        self.readout = nn.Linear(width, problem.n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.recurrence(self.steps(x))  # (N, steps, width)
        out: Tensor = self.readout(states if self.per_position else states[:, -1])
        return out
