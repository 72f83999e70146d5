"""Two plain answers to unequal groups: give every group the same weight, or throw the surplus away.

Idrissi, Arjovsky, Pezeshki, Lopez-Paz, Simple data balancing achieves competitive worst-group-accuracy, CLeaR 2022.
"""

from __future__ import annotations

from operator import itemgetter

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

PIECE = 1024


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

    The batches are those of every algorithm, and tell no example's index, so an example is known by its content: by a
    hash of the bits of x, y and group. Of equal examples each counts by the share of them that was kept, which over the
    data is the same loss. A batch without a member of the subset has the loss 0.
    """

    needs = ("groups",)

    def begin(self, model: nn.Module, training: Training) -> None:
        columns = max(bits(batch.map(itemgetter(slice(1)))).shape[1] for batch in training.train)
        odd = 2 * torch.randint(-(2**62), 2**62, (columns,), generator=training.generator) + 1
        groups = groups_of(training)
        self.multipliers = odd.to(groups.device)
        kept = balanced_rows(groups, training.generator)
        known = torch.cat([self.hashes(batch) for batch in training.train])
        self.known, place, copies = known.unique(return_inverse=True, return_counts=True)
        self.shares = torch.bincount(place[kept], minlength=len(copies)) / copies

    def hashes(self, batch: Batch) -> Tensor:
        """A number for the content of each example (N,): whole numbers, which wrap around and so add up exactly."""
        pieces = [batch.map(itemgetter(slice(start, start + PIECE))) for start in range(0, len(batch), PIECE)]
        return torch.cat([(b * self.multipliers[: b.shape[1]]).sum(1) for b in map(bits, pieces)])

    def loss(self, model: nn.Module, batch: Batch, step: int) -> Tensor:
        shares = self.shares[torch.searchsorted(self.known, self.hashes(batch))]  # (B,)
        per_example = losses(model(batch.x), batch.y, self.problem.output_kind)
        total = shares.sum()
        loss: Tensor = (shares * per_example).sum() / torch.where(total > 0, total, 1.0)
        return loss


def bits(batch: Batch) -> Tensor:
    """x, y and group of each example as whole numbers (N, K)."""
    assert batch.group is not None
    whole = [
        t.view(torch.int32 if t.element_size() == 4 else torch.int64) if t.is_floating_point() else t
        for t in (batch.x, batch.y, batch.group)
    ]
    return torch.cat([t.reshape(len(t), -1).long() for t in whole], dim=1)
