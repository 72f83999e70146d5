"""Fishr: the gradients of single examples shall vary alike in all environments.

Rame, Dancette, Cord, Fishr: invariant gradient variances for out-of-distribution generalization, ICML 2022.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.algorithm import Training, WarmedPenalty, features_of, means_by, within
from tasks.metrics import losses
from tasks.types import Batch, Problem

ENTRIES = {
    "fishr": {"class": "Fishr", "summary": "mean risk + penalty on differing variances of the examples' gradients"}
}


class Fishr(WarmedPenalty):
    """mean_e R_e + penalty * mean_e mean_k (v_e - mean_e v_e)_k^2, the penalty from the end of the warm-up on.

    v_e sums, over the steps so far, the variance over an environment's examples of the gradients of the last linear
    layer's weights and biases, discounted by `ema` a step. That is the moving average ema * old + (1 - ema) * new over
    (1 - ema), as in the authors' program: the newest variance, the one that the gradient flows through, then counts in
    full whatever `ema` is. v_e is some 1 / (1 - ema) times a variance, and the penalty is in units of its square.
    """

    needs = ("environments", "features")
    search = {
        "penalty": ("loguniform", 10.0, 10_000.0),
        "warmup": ("uniform", 0.0, 1.0),
        "ema": ("uniform", 0.9, 0.99),
    }
    weight_before = 0.0

    def __init__(self, problem: Problem, penalty: float = 1000.0, warmup: float = 0.3, ema: float = 0.95) -> None:
        super().__init__(problem, penalty, warmup)
        self.ema = within("ema", ema, 0, 1)

    def begin(self, model: nn.Module, training: Training) -> None:
        super().begin(model, training)
        self.features = features_of(model, training.train[0].x[:2])
        self.past: dict[int, Tensor] = {}  # by the number of the environment: a batch may lack one

    def loss(self, model: nn.Module, batch: Batch, step: int) -> Tensor:
        assert batch.env is not None
        features, outputs = self.features(batch.x)  # (B, F), (B, C)
        per_example = losses(outputs, batch.y, self.problem.output_kind)
        (errors,) = torch.autograd.grad(per_example.sum(), outputs, create_graph=True)  # (B, C)
        if self.features.head.bias is not None:
            features = torch.cat([features, torch.ones_like(features[:, :1])], dim=1)
        summed = []
        for number in batch.env.unique().tolist():
            own = batch.env == number
            summed.append(self.ema * self.past.get(number, 0.0) + gradient_variance(features[own], errors[own]))
            self.past[number] = summed[-1].detach()
        variances = torch.stack(summed)  # (E, C, F)
        difference = (variances - variances.mean(0)).square().mean()
        return means_by(batch.env, per_example).mean() + self.weight(step) * difference


def gradient_variance(features: Tensor, errors: Tensor) -> Tensor:
    """features (N, F), errors (N, C) dl/doutput: variance over examples of a linear layer's gradients (C, F).

    An example's gradient is the outer product of its two rows; the mean of its square less the square of its mean.
    """
    return errors.square().T @ features.square() / len(errors) - (errors.T @ features / len(errors)).square()
