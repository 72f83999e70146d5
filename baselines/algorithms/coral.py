"""CORAL: the features of all environments shall have the same mean and the same covariance.

Sun, Saenko, Deep CORAL: correlation alignment for deep domain adaptation, ECCV workshops 2016, equations 1 to 3; the
means were added by Gulrajani, Lopez-Paz, In search of lost domain generalization, ICLR 2021.
"""

from __future__ import annotations

import math
from itertools import combinations

import torch
from torch import Tensor, nn

from baselines.algorithm import Algorithm, Training, environment_risks, features_of, within
from baselines.contract import NotApplicable
from tasks.types import Batch, Problem

ENTRIES = {"coral": {"class": "CORAL", "summary": "mean risk + penalty on differing means and covariances of features"}}


class CORAL(Algorithm):
    """mean_e R_e + penalty * mean over pairs (i, j) of [mean_k (mu_i - mu_j)_k^2 + mean_kl (C_i - C_j)_kl^2].

    mu and C are the mean and covariance of the inputs of the last linear layer, in one environment of the batch.
    """

    needs = ("environments", "features")
    search = {"penalty": ("loguniform", 0.1, 10.0)}

    def __init__(self, problem: Problem, penalty: float = 1.0) -> None:
        super().__init__(problem)
        self.penalty = within("penalty", penalty, 0)

    def begin(self, model: nn.Module, training: Training) -> None:
        """Find the features.

        Raises:
            NotApplicable: when there are none, or only the head is trained: nothing can be aligned then.
        """
        self.features = features_of(model, training.train[0].x[:2])
        head = {id(parameter) for parameter in self.features.head.parameters()}
        if not any(p.requires_grad and id(p) not in head for p in model.parameters()):
            raise NotApplicable("aligns features, and those of this network are not trained")

    def loss(self, model: nn.Module, batch: Batch, step: int) -> Tensor:
        assert batch.env is not None
        features, outputs = self.features(batch.x)  # (B, F), (B, C)
        own = [features[batch.env == number] for number in batch.env.unique()]
        risks = environment_risks(outputs, batch, self.problem.output_kind)
        return risks.mean() + self.penalty * misalignment(own)


def misalignment(features: list[Tensor]) -> Tensor:
    """Features (N_e, F) of each environment: the mean over pairs of squared differences of means and covariances.

    An environment with fewer than two examples has no covariance and is in no pair; without a pair it is 0.
    """
    own = [(f.mean(0), (f - f.mean(0)) / math.sqrt(len(f) - 1)) for f in features if len(f) > 1]
    pairs = [
        (mean_i - mean_j).square().mean() + distance(root_i, root_j) / mean_i.numel() ** 2
        for (mean_i, root_i), (mean_j, root_j) in combinations(own, 2)
    ]
    return torch.stack(pairs).mean() if pairs else features[0].new_zeros(())


def distance(a: Tensor, b: Tensor) -> Tensor:
    """a (N, F), b (M, F): |a'a - b'b|^2 without a matrix of F x F, as a convolutional network has many features."""
    return (a @ a.T).square().sum() + (b @ b.T).square().sum() - 2 * (a @ b.T).square().sum()
