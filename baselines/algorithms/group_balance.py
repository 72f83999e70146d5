"""Two plain answers to unequal groups: give every group the same weight, or throw the surplus away.

Idrissi, Arjovsky, Pezeshki, Lopez-Paz, Simple data balancing achieves competitive worst-group-accuracy, CLeaR 2022.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from baselines.algorithm import Algorithm, Training, balanced_rows, groups_of
from tasks.metrics import losses
from tasks.types import Batch

ENTRIES = {
    "group-reweight": {"class": "GroupReweight", "summary": "all groups count the same, by weights"},
    "group-subsample": {
        "class": "GroupSubsample",
        "summary": "all groups count the same, the surplus of large ones is unused",
    },
}


class GroupReweight(Algorithm):
    """mean over the batch of w l with w = N / (G n_g), which over the data is the mean of the G groups' risks.

    These are weights, not probabilities of sampling, so that the minibatches are those of every algorithm. They are not
    normalised within a batch: a batch that lacks a small group would count as much as one that has it.
    """

    needs = ("groups",)

    def begin(self, model: nn.Module, training: Training) -> None:
        groups = groups_of(training)
        self.counts = torch.bincount(groups)  # (largest number + 1,)
        self.mean_size = len(groups) / len(groups.unique())

    def loss(self, model: nn.Module, batch: Batch, step: int) -> Tensor:
        assert batch.group is not None
        per_example = losses(model(batch.x), batch.y, self.problem.output_kind)
        return self.mean_size * (per_example / self.counts[batch.group]).mean()


class GroupSubsample(Algorithm):
    """The mean loss over those examples of the batch that are in a fixed random subset, with n_min of every group.

    The minibatches are those of every algorithm; a batch without a member of the subset has the loss 0.
    """

    needs = ("groups",)
    stackable = True

    def prepared(self, training: Training) -> Training:
        """The data with a weight of 1 in the subset and 0 outside."""
        groups = groups_of(training)
        weight = torch.zeros(len(groups), device=groups.device)
        weight[balanced_rows(groups, training.generator)] = 1.0
        parts = weight.split([len(batch) for batch in training.train])
        return replace(training, train=[replace(b, weight=w) for b, w in zip(training.train, parts, strict=True)])

    def loss(self, model: nn.Module, batch: Batch, step: int) -> Tensor:
        assert batch.weight is not None
        per_example = losses(model(batch.x), batch.y, self.problem.output_kind)
        return (batch.weight * per_example).sum() / batch.weight.sum().clamp(min=1)
