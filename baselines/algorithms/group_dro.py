"""Group DRO: the risks of the environments, weighted towards the worst one by exponentiated gradient ascent.

Sagawa, Koh, Hashimoto, Liang, Distributionally robust neural networks for group shifts, ICLR 2020, algorithm 1. The
groups are the environments, as in DomainBed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.algorithm import Algorithm, Training, environment_risks, within
from tasks.types import Batch, Problem

ENTRIES = {"group-dro": {"class": "GroupDRO", "summary": "environments weighted towards the one with the worst risk"}}


class GroupDRO(Algorithm):
    """sum_e q_e R_e, where q_e <- q_e exp(eta R_e) / Z before each step and no gradient flows through q.

    Weights belong to environments by number: one that a batch lacks adds nothing to the loss and loses none of its
    weight but by normalisation.
    """

    needs = ("environments",)
    search = {"eta": ("loguniform", 1e-3, 0.1)}

    def __init__(self, problem: Problem, eta: float = 0.01) -> None:
        super().__init__(problem)
        self.eta = within("eta", eta, 0)

    def begin(self, model: nn.Module, training: Training) -> None:
        """Equal weights; a number that no example has gets none."""
        exists = torch.bincount(torch.cat([batch.env for batch in training.train if batch.env is not None])) > 0
        self.log_weights = exists.float().log().log_softmax(0)  # as logarithms, so that no risk is too large for exp

    def loss(self, model: nn.Module, batch: Batch, step: int) -> Tensor:
        assert batch.env is not None
        risks = environment_risks(model(batch.x), batch, self.problem.output_kind)  # (E,)
        present = batch.env.unique()
        self.log_weights[present] += self.eta * risks.detach().float()
        self.log_weights = self.log_weights.log_softmax(0)
        return (self.log_weights[present].exp() * risks).sum()
