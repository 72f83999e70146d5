"""Spectral decoupling: a penalty on the size of the logits, so that a feature learned early does not starve the others.

Pezeshki, Kaba, Bengio, Courville, Precup, Lajoie, Gradient starvation: a learning proclivity in neural networks,
NeurIPS 2021.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.algorithm import Algorithm, Training, within
from baselines.contract import NotApplicable
from tasks.metrics import losses
from tasks.types import Batch, Problem

ENTRIES = {"sd": {"class": "SpectralDecoupling", "summary": "mean training loss + penalty x mean squared logit"}}


class SpectralDecoupling(Algorithm):
    """mean over examples of cross-entropy + penalty * mean_c logit_c^2, weighted where the data carry weights."""

    stackable = True
    search = {"penalty": ("loguniform", 1e-5, 0.1)}

    def __init__(self, problem: Problem, penalty: float = 0.1) -> None:
        super().__init__(problem)
        self.penalty = within("penalty", penalty, 0)

    def begin(self, model: nn.Module, training: Training) -> None:
        """Raises NotApplicable where the outputs are no logits of one label."""
        if self.problem.output_kind != "classes":
            raise NotApplicable(f"penalizes the logits of a label, and the outputs are {self.problem.output_kind}")

    def loss(self, model: nn.Module, batch: Batch, step: int) -> Tensor:
        outputs = model(batch.x)  # (B, C)
        per_example = losses(outputs, batch.y, self.problem.output_kind) + self.penalty * outputs.square().mean(1)
        weight = torch.ones_like(per_example) if batch.weight is None else batch.weight
        loss: Tensor = (weight * per_example).sum() / weight.sum()
        return loss
