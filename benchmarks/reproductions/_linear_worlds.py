"""The data of the linear unit tests at the published size: worlds as batches, spurious blocks permuted or not.

Shapes: W worlds, E = 3 environments, n examples each, P = 11 parameters, the last of them the bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from benchmarks.reproductions._linear import initial, with_bias
from tasks.seeds import generator
from tasks.shift.linear_unit import random_rotation
from tasks.sources.invariance_examples import (
    DIM,
    ENVIRONMENTS,
    CauseAndEffect,
    CowsAndCamels,
    Example,
    SmallMargin,
)

EXAMPLES: dict[str, type[Example]] = {"1": CauseAndEffect, "2": CowsAndCamels, "3": SmallMargin}
N_EXAMPLES = 10_000  # of every environment, in training and in the test


@dataclass(frozen=True)
class World:
    """The random parameters of a seed, and its examples."""

    name: str
    seed: int
    n_examples: int = N_EXAMPLES

    @property
    def scrambled(self) -> bool:
        """Whether inputs are multiplied by a random rotation, one for all environments and splits."""
        return self.name.endswith("s")

    @cached_property
    def example(self) -> Example:
        """The parameters that all splits share."""
        return EXAMPLES[self.name.removeprefix("linear-unit-")[0]].draw(self.stream("world"))

    def stream(self, what: str) -> torch.Generator:
        """A random stream of this seed."""
        return generator("reproductions", self.name, self.seed, what)

    def sample(self, split: str, permuted: bool) -> tuple[Tensor, Tensor]:
        """x (E, n, P) with a last entry of 1 and y (E, n), float32; the same examples whether `permuted` or not."""
        stream, order = self.stream(split), self.stream(f"{split}, permutation")
        inputs, targets = [], []
        for env in range(ENVIRONMENTS):
            invariant, spurious, y = self.example.environment(env, self.n_examples, stream)
            if permuted:
                spurious = spurious[torch.randperm(self.n_examples, generator=order)]
            inputs.append(torch.cat([invariant, spurious], dim=1))
            targets.append(y.flatten().float())
        x = torch.stack(inputs)
        if self.scrambled:
            x = x @ random_rotation(2 * DIM, self.stream("rotation"))
        return with_bias(x), torch.stack(targets)


def starts(worlds: Sequence[World]) -> Tensor:
    """The parameters (W, P) that training starts from, the same for every method."""
    return initial(2 * DIM, [world.stream("initialisation") for world in worlds])


def by_environment(method: str, errors: Tensor) -> dict[str, list[float]]:
    """Test errors (W, E) as the lines of a method: their mean over environments, and each environment."""
    lines = {method: errors.mean(1)} | {line_of(method, env): errors[:, env] for env in range(ENVIRONMENTS)}
    return {line: values.tolist() for line, values in lines.items()}


def line_of(method: str, env: int) -> str:
    """The name of the line of one environment."""
    return f"{method}, environment {env}"


def lines_of(method: str) -> tuple[str, ...]:
    """The lines of a method's environments."""
    return tuple(line_of(method, env) for env in range(ENVIRONMENTS))
