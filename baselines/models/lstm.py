"""A long short-term memory network that reads tokens or a signal in order and answers from its last state."""

from __future__ import annotations

from torch import Tensor, nn

from tasks.types import Problem

ENTRIES = {
    "lstm": {"class": "Lstm", "summary": "one layer of 64 LSTM units, read out after the last step"},
    "lstm-large": {
        "class": "Lstm",
        "summary": "one layer of 128 LSTM units, read out after the last step",
        "hparams": {"width": 128},
        "large": True,
    },
}

PATCH = 2


class Lstm(nn.Module):
    """Tokens (N, L) or a signal (N, C, L) -> (N, C), or (N, L, C) where the problem is per position.

    Hochreiter and Schmidhuber, Neural Computation 1997. It runs in one direction and is read out from states, not
    from all steps flattened: an output depends on no later input, and strings of any length have an answer. Two
    neighbouring samples of a signal make one step, which halves the cost, unless every sample needs an output.
    """

    takes = ("signal", "tokens")
    recipe = {"learning_rate": 3e-3, "clip_norm": 1.0}

    def __init__(self, problem: Problem, width: int = 64) -> None:
        super().__init__()
        self.per_position = problem.per_position
        self.steps: nn.Module
        if problem.vocabulary is not None:
            self.steps = nn.Embedding(problem.vocabulary, width)
        else:
            patch = 1 if problem.per_position else PATCH
            channels, length = problem.input_shape
            self.steps = nn.Conv1d(channels, width, patch, stride=patch, padding=(-length % patch + 1) // 2)
        self.recurrence = nn.LSTM(width, width, batch_first=True)
        self.readout = nn.Linear(width, problem.n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        steps = self.steps(x)
        if isinstance(self.steps, nn.Conv1d):
            steps = steps.transpose(1, 2)
        states, _ = self.recurrence(steps)  # (N, steps, width)
        out: Tensor = self.readout(states if self.per_position else states[:, -1])
        return out
