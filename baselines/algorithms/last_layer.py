"""Last-layer retraining: plain training, then a new last layer for balanced groups; was the robust feature learned?

Kirichenko, Izmailov, Wilson, Last layer re-training is sufficient for robustness to spurious correlations, ICLR 2023.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter

import torch
from torch import Tensor, nn

from baselines.algorithm import Training, balanced_rows, features_of, groups_of, within
from baselines.algorithms.erm import ERM
from baselines.contract import NotApplicable
from baselines.logistic import logistic_regression, standardization
from tasks.types import Problem

ENTRIES = {
    "dfr": {"class": "LastLayer", "summary": "plain training; measured with a last layer refitted on balanced groups"}
}

PIECE = 1024
MOST_PER_GROUP = 1000


class LastLayer(ERM):
    """Trained by the loss of `erm`; what is measured is the network with its last linear layer refitted.

    The refit is a multinomial logistic regression on standardized features, on a fixed random subset of the training
    examples in which every group has the size of the smallest, or 1,000: mean cross-entropy + ridge / 2 |W|^2. The
    paper averages fits on held-out data; here all algorithms see the same examples, and this is a diagnostic: a model
    whose refit is right in every group has learned the robust feature, whatever its own last layer made of it.
    """

    needs = ("groups", "features")
    search = {"ridge": ("loguniform", 1e-4, 1.0)}

    def __init__(self, problem: Problem, ridge: float = 0.01) -> None:
        super().__init__(problem)
        self.ridge = within("ridge", ridge, 1e-6)

    def begin(self, model: nn.Module, training: Training) -> None:
        """Draw the balanced subset.

        Raises:
            NotApplicable: where the outputs are no logits of one label, or the network has no last linear layer.
        """
        if self.problem.output_kind != "classes":
            raise NotApplicable(f"refits the logits of a label, and the outputs are {self.problem.output_kind}")
        features_of(model, training.train[0].x[:2])
        rows = balanced_rows(groups_of(training), training.generator, MOST_PER_GROUP)
        self.balanced, start = [], 0
        for batch in training.train:
            own = rows[(rows >= start) & (rows < start + len(batch))] - start
            self.balanced.append(batch.map(itemgetter(own)))
            start += len(batch)

    def deployed(self, model: nn.Module) -> Callable[[Tensor], Tensor]:
        """The network with the refitted layer."""
        features = features_of(model, self.balanced[0].x[:2])
        seen = torch.cat([features(x.clone())[0] for batch in self.balanced for x in batch.x.split(PIECE)])  # (N, F)
        mean, deviation = standardization(seen)
        label = torch.cat([batch.y for batch in self.balanced])
        weight, bias = logistic_regression((seen - mean) / deviation, label, self.problem.n_outputs, self.ridge)
        weight = weight.to(seen) / deviation
        head = weight, bias.to(seen) - weight @ mean
        return lambda x: nn.functional.linear(features(x)[0], *head)
