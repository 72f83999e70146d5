"""Inter-domain mixup: the network learns between the examples of one environment and those of another.

Zhang, Cisse, Dauphin, Lopez-Paz, mixup: beyond empirical risk minimization, ICLR 2018; across environments: Wang, Li,
Kot, Heterogeneous domain generalization via domain mixup, ICASSP 2020.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from baselines.algorithm import Algorithm, Training, within
from baselines.contract import NotApplicable
from tasks.metrics import losses
from tasks.types import Batch, Problem

ENTRIES = {
    "mixup": {"class": "Mixup", "summary": "mixtures of two examples from two environments, and of their losses"}
}


class Mixup(Algorithm):
    """u l(f(m), y_i) + (1 - u) l(f(m), y_j) at m = u x_i + (1 - u) x_j, with one u ~ Beta(alpha, alpha) for each pair.

    The environments of a batch are put in a random cycle and each is paired with the next, example by example as far as
    the smaller one reaches; all pairs count the same. A batch of one environment is mixed with itself: plain risk.
    """

    needs = ("environments",)
    search = {"alpha": ("loguniform", 0.1, 10.0)}

    def __init__(self, problem: Problem, alpha: float = 0.2) -> None:
        super().__init__(problem)
        self.alpha = within("alpha", alpha, 1e-3)

    def begin(self, model: nn.Module, training: Training) -> None:
        """A NumPy stream seeded by the training's own, as torch's Beta takes no generator.

        Raises:
            NotApplicable: for tokens.
        """
        if self.problem.input_kind == "tokens":
            raise NotApplicable("mixes inputs, and there is nothing between two tokens")
        self.random = np.random.default_rng(int(torch.randint(2**62, (), generator=training.generator)))

    def loss(self, model: nn.Module, batch: Batch, step: int) -> Tensor:
        assert batch.env is not None
        first, second, share, weight = self.pairs(batch.env)
        share, weight = share.to(batch.x), weight.to(batch.x)
        of_x = share.view(-1, *[1] * (batch.x.ndim - 1))
        outputs = model(of_x * batch.x[first] + (1 - of_x) * batch.x[second])
        loss_first, loss_second = (losses(outputs, batch.y[rows], self.problem.output_kind) for rows in (first, second))
        return (weight * (share * loss_first + (1 - share) * loss_second)).sum()

    def pairs(self, env: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """env (B,): for each mixture (M,) its first and second row, the share of the first, its weight (sum 1)."""
        own = [(env == number).nonzero().flatten() for number in env.unique()]
        cycle = self.random.permutation(len(own))
        sizes = [min(len(own[i]), len(own[j])) for i, j in zip(cycle, np.roll(cycle, -1), strict=True)]
        repeats = torch.tensor(sizes)
        first = torch.cat([own[i][:n] for i, n in zip(cycle, sizes, strict=True)])
        second = torch.cat([own[j][:n] for j, n in zip(np.roll(cycle, -1), sizes, strict=True)])
        drawn = torch.tensor([self.random.beta(self.alpha, self.alpha) for _ in cycle], dtype=torch.float64)
        weight = (1 / (len(own) * repeats.double())).repeat_interleave(repeats)
        return first, second, drawn.repeat_interleave(repeats), weight
