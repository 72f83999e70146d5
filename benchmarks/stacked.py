"""The fast engine: R replicas of one network are trained at once, their parameters stacked along a new first axis.

A step of a small network is mostly the work of calling it, and that is paid once for all replicas. What each replica
computes is what `benchmarks.sequential` computes, up to the rounding of sums; only where the network draws random
numbers, as dropout does, are they other ones. `benchmarks.probe` says whether a network can be stacked, and whether it
pays.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from benchmarks.batches import Batches
from benchmarks.optimization import clip_each, make_optimizer, set_rate
from benchmarks.replica import Replica
from tasks.types import Batch, Budget, Recipe

Fields = Mapping[str, Tensor]
"""The tensors of a batch, by name."""


class Detached(Exception):
    """A model has replaced one of its own tensors: it would be measured as it no longer is."""


class Stacked:
    """Trains replicas of one architecture at once. Between two chunks every replica's own model is up to date: its
    parameters and buffers are slices of the stacked ones."""

    def __init__(self, replicas: Sequence[Replica], recipe: Recipe, budget: Budget) -> None:
        self.replicas, self.recipe, self.budget = replicas, recipe, budget

    def begin(self) -> list[torch.optim.Optimizer]:
        """The one optimizer of the stacked parameters; models and data are on the device."""
        models = [replica.model for replica in self.replicas]
        self.template = copy.deepcopy(models[0]).train()  # called with the stacked tensors in place of its own
        self.parameters, self.buffers = stack_module_state(models)
        for number, model in enumerate(models):
            for name, own in [*model.named_parameters(), *model.named_buffers()]:
                own.data = {**self.parameters, **self.buffers}[name].detach()[number]
        size = self.budget.batch_size
        self.batches = [Batches(replica.training.train, size, replica.order) for replica in self.replicas]
        self.data = stack([replica.training.train[0] for replica in self.replicas])  # (R, N, ...)
        self.trained = [parameter for parameter in self.parameters.values() if parameter.requires_grad]
        self.optimizers = [make_optimizer(self.trained, self.recipe)]
        return self.optimizers

    def advance(self, step: int, count: int) -> list[float]:
        """Train all for `count` steps from `step` on; the mean training loss of each.

        Raises:
            Detached: when a model has put a tensor of its own in the place of a slice since the last chunk.
        """
        self.check_attached()
        total = torch.zeros(len(self.replicas), device=self.data["x"].device)
        for number, fields in enumerate(self.minibatches(count), start=step):
            total += self.step(number, fields)
        return (total / count).tolist()

    def check_attached(self) -> None:
        """Raises Detached where a model's own parameter or buffer is no longer a slice of the stacked one."""
        both = {**self.parameters, **self.buffers}
        for number, replica in enumerate(self.replicas):
            for name, own in [*replica.model.named_parameters(), *replica.model.named_buffers()]:
                if own.data_ptr() != both[name][number].data_ptr():
                    raise Detached(f"the model replaces its {name}")

    def step(self, number: int, fields: Fields) -> Tensor:
        """One step of all replicas on their minibatches (R, B, ...); their losses (R,)."""
        (optimizer,) = self.optimizers
        set_rate(optimizer, self.recipe, number, self.budget.steps)
        if self.replicas[0].algorithm.resets_optimizer(number):
            optimizer.state.clear()
        optimizer.zero_grad()
        losses = self.losses(fields, number)
        losses.sum().backward()  # replicas share nothing, so each gets its own gradient
        if self.recipe.clip_norm is not None:
            clip_each(self.trained, self.recipe.clip_norm)
        optimizer.step()
        return losses.detach()

    def losses(self, fields: Fields, step: int) -> Tensor:
        """The loss of every replica (R,) on its minibatch, by the algorithm that all share."""

        def loss(parameters: dict[str, Tensor], buffers: dict[str, Tensor], fields: Fields) -> Tensor:
            def model(x: Tensor) -> Tensor:
                outputs: Tensor = functional_call(self.template, (parameters, buffers), (x,))
                return outputs

            return self.replicas[0].algorithm.loss(cast(nn.Module, model), Batch(**fields), step)

        found: Tensor = vmap(loss, randomness="different")(self.parameters, self.buffers, fields)
        return found

    def minibatches(self, count: int) -> Iterator[Fields]:
        """The next minibatches of all replicas, each (R, B, ...)."""
        if self.batches[0].rows[0].is_all:
            for _ in range(count):
                yield {name: tensor.clone() for name, tensor in self.data.items()}
            return
        rows = torch.stack([batches.rows[0].take(count) for batches in self.batches], dim=1)  # (count, R, B)
        replica = torch.arange(len(self.batches), device=self.data["x"].device)[:, None]
        for row in rows.to(self.data["x"].device):
            yield {name: tensor[replica, row] for name, tensor in self.data.items()}


def stack(batches: Sequence[Batch]) -> dict[str, Tensor]:
    """Batches of equal shapes as tensors (R, N, ...), by the names of their fields."""
    return {
        name: torch.stack([getattr(batch, name) for batch in batches])
        for name in ("x", "y", "env", "weight", "group")
        if getattr(batches[0], name) is not None
    }
