"""Importance weighting with estimated weights: a discriminator tells test inputs from training inputs.

Bickel, Brückner, Scheffer, Discriminative learning under covariate shift, JMLR 2009.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from baselines.algorithm import Training, within
from baselines.algorithms.erm import ERM
from baselines.contract import NotApplicable
from baselines.logistic import logistic_regression, standardization
from tasks.types import Batch, Problem

ENTRIES = {
    "iw-erm": {"class": "ImportanceWeighting", "summary": "training loss weighted by an estimate of p_test / p_train"}
}

MOST = 2000
LARGEST_WEIGHT = 20.0


class ImportanceWeighting(ERM):
    """sum w l / sum w over the batch, with w(x) = p_test(x) / p_train(x); weights that the data carry are known.

    The discriminator is a logistic regression on the standardized, flattened input and its squares, which is exact
    between Gaussians of independent coordinates. It is fitted to up to 2,000 inputs of either kind, with `ridge` on its
    weights: the more, the closer to 1 all of them are. Where it is sure, a few examples would count for all of them, so
    a weight is at most 20 (truncated importance sampling: Ionides, 2008).
    """

    needs = ("target_inputs",)
    search = {"ridge": ("loguniform", 1e-4, 1.0)}

    def __init__(self, problem: Problem, ridge: float = 0.01) -> None:
        super().__init__(problem)
        self.ridge = within("ridge", ridge, 1e-6)

    def begin(self, model: nn.Module, training: Training) -> None:
        """Fit the discriminator.

        Raises:
            NotApplicable: for tokens.
        """
        if self.problem.input_kind == "tokens":
            raise NotApplicable("tells inputs apart by their values, and tokens have none")
        assert training.target_inputs is not None
        train = some(torch.cat([batch.x for batch in training.train]), training.generator)
        target = some(training.target_inputs, training.generator)
        pooled = torch.cat([train, target])
        self.mean, self.deviation = standardization(pooled.flatten(1))
        is_target = (torch.arange(len(pooled), device=pooled.device) >= len(train)).long()
        weight, bias = logistic_regression(self.terms(pooled), is_target, 2, self.ridge)
        self.slope = (weight[1] - weight[0]).to(train)
        self.offset = float(bias[1] - bias[0]) + math.log(len(train) / len(target))  # not how many there were of each

    def terms(self, x: Tensor) -> Tensor:
        """Inputs (B, *S) to what the discriminator is linear in (B, 2 d)."""
        standardized = (x.flatten(1) - self.mean) / self.deviation
        return torch.cat([standardized, standardized.square()], dim=1)

    def weights(self, x: Tensor) -> Tensor:
        """The estimate of p_test / p_train at inputs (B, *S), in [0, 20] (B,)."""
        return (self.terms(x) @ self.slope + self.offset).clamp(max=math.log(LARGEST_WEIGHT)).exp()

    def loss(self, model: nn.Module, batch: Batch, step: int) -> Tensor:
        known = batch.weight is not None
        return super().loss(model, batch if known else replace(batch, weight=self.weights(batch.x)), step)


def some(x: Tensor, generator: torch.Generator) -> Tensor:
    """x (N, *S): at most 2,000 of them, drawn at random."""
    return x[torch.randperm(len(x), generator=generator)[:MOST].to(x.device)]
