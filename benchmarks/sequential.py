"""The plain engine: replicas are trained one after the other, each with its own optimizer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from benchmarks.batches import Batches
from benchmarks.optimization import make_optimizer, set_rate
from benchmarks.replica import Replica
from tasks.types import Budget, Recipe


class Sequential:
    """Trains replicas that share nothing: each has its own data, order and optimizer."""

    def __init__(self, replicas: Sequence[Replica], recipe: Recipe, budget: Budget) -> None:
        self.replicas, self.recipe, self.budget = replicas, recipe, budget

    def begin(self) -> list[torch.optim.Optimizer]:
        """The optimizers of the replicas, whose models and data are on the device."""
        size = self.budget.batch_size
        self.batches = [Batches(replica.training.train, size, replica.order) for replica in self.replicas]
        self.optimizers = [self.optimizer(replica) for replica in self.replicas]
        return self.optimizers

    def optimizer(self, replica: Replica) -> torch.optim.Optimizer:
        """The algorithm's own optimizer, or the recipe's."""
        own = replica.algorithm.make_optimizer(list(replica.model.parameters()), self.recipe.learning_rate)
        return make_optimizer(replica.model.parameters(), self.recipe) if own is None else own

    def advance(self, step: int, count: int) -> list[float]:
        """Train each for `count` steps from `step` on; the mean training loss of each, NaN for one that has ended."""
        losses = []
        for number, replica in enumerate(self.replicas):
            loss = math.nan
            try:
                if not replica.has_ended:
                    loss = self.run(number, step, count)
            except Exception as error:
                replica.error = error
            losses.append(loss)
        return losses

    def run(self, number: int, first: int, count: int) -> float:
        """The mean loss of one replica over `count` steps. Nothing in the loop waits for the device."""
        replica, batches, optimizer = self.replicas[number], self.batches[number], self.optimizers[number]
        model, algorithm = replica.model.train(), replica.algorithm
        clip, steps = self.recipe.clip_norm, self.budget.steps
        total = torch.zeros((), device=replica.training.train[0].x.device)
        for step, batch in enumerate(batches.take(count), start=first):
            set_rate(optimizer, self.recipe, step, steps)
            if algorithm.resets_optimizer(step):
                optimizer.state.clear()
            optimizer.zero_grad()
            loss = algorithm.backward(model, batch, step)
            if clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            total += loss.detach()
        return float(total) / count
