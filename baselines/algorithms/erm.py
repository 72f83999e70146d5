"""Empirical risk minimization: the mean loss over the batch, weighted where the data carry weights.

Vapnik, Principles of risk minimization for learning theory, NeurIPS 1991.
"""

from __future__ import annotations

from torch import Tensor, nn

from baselines.algorithm import Algorithm
from tasks.metrics import losses, mean_loss
from tasks.types import Batch

ENTRIES = {"erm": {"class": "ERM", "summary": "mean training loss (importance-weighted where the data carry weights)"}}


class ERM(Algorithm):
    """The same loss for every example."""

    stackable = True

    def loss(self, model: nn.Module, batch: Batch, step: int) -> Tensor:
        outputs, kind = model(batch.x), self.problem.output_kind
        if batch.weight is None:
            return mean_loss(outputs, batch.y, kind)
        per_example = losses(outputs, batch.y, kind)  # (B,)
        return (batch.weight * per_example).sum() / batch.weight.sum()
