"""Empirical risk minimization: the mean loss over the batch, weighted where the data carry weights."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from tasks.metrics import losses, mean_loss
from tasks.types import Batch, Problem

ENTRIES = {"erm": {"class": "ERM", "summary": "mean training loss (importance-weighted where the data carry weights)"}}


class ERM:
    """Vapnik, Principles of risk minimization for learning theory, NeurIPS 1991."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def loss(self, predict: Callable[[Tensor], Tensor], batch: Batch) -> Tensor:
        """The scalar to minimize."""
        outputs, kind = predict(batch.x), self.problem.output_kind
        if batch.weight is None:
            return mean_loss(outputs, batch.y, kind)
        per_example = losses(outputs, batch.y, kind)  # (B,)
        return (batch.weight * per_example).sum() / batch.weight.sum()
