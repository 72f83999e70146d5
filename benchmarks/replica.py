"""One model in training: what it is trained with, how it is measured, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn

from baselines.algorithm import Algorithm, Training
from tasks.types import Predict, Scores


class Diverged(Exception):
    """The training loss or an output is not finite; the message says when."""


@dataclass(frozen=True)
class Point:
    """One measurement: after `step` optimizer steps, the mean training `loss` of the chunk, and the scores."""

    step: int
    loss: float | None
    scores: Scores


@dataclass
class Replica:
    """One model in training: its algorithm and what that may know, the order of its batches, how it is measured.

    Several training batches are never mixed in one step; each step draws one of them. `error` is what ended its
    training early: its model broke the contract or diverged. `answered` says of scores that nothing more is asked.
    """

    model: nn.Module
    algorithm: Algorithm
    training: Training
    order: torch.Generator
    measure: Callable[[Predict], Scores]
    points: list[Point] = field(default_factory=list)
    tell: Callable[[Point], None] | None = None
    error: Exception | None = None
    answered: Callable[[Scores], bool] = lambda scores: False

    @property
    def has_ended(self) -> bool:
        """Whether it trains no further."""
        return self.error is not None or bool(self.points and self.answered(self.points[-1].scores))

    def add(self, point: Point) -> None:
        """One more measurement; whoever listens is told."""
        self.points.append(point)
        if self.tell is not None:
            self.tell(point)
