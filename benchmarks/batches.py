"""Which examples a step sees: minibatches from shuffled epochs, the same for every algorithm and engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from tasks.types import Batch

CHOICES = 256  # of one of several training batches, drawn at a time


class Rows:
    """Endless minibatches of row numbers of `n` examples. A batch may span two epochs; a small set comes as a whole."""

    def __init__(self, n: int, batch_size: int, order: torch.Generator) -> None:
        self.n, self.batch_size, self.order = n, batch_size, order
        self.pending = torch.empty(0, dtype=torch.int64)

    @property
    def is_all(self) -> bool:
        """Whether every minibatch is the whole set."""
        return self.n <= self.batch_size

    def take(self, count: int) -> Tensor:
        """The next minibatches (count, B) of a set that is larger than one."""
        wanted, parts = count * self.batch_size, [self.pending]
        while (short := wanted - sum(map(len, parts))) > 0:
            parts += [torch.randperm(self.n, generator=self.order) for _ in range(-(-short // self.n))]
        drawn = torch.cat(parts)
        self.pending = drawn[wanted:].clone()
        return drawn[:wanted].view(count, self.batch_size)


class Batches:
    """Endless minibatches of training data. Several training batches are never mixed: of them one is drawn for every
    step, in proportion to its size."""

    def __init__(self, train: Sequence[Batch], batch_size: int, order: torch.Generator) -> None:
        self.train = [replace(batch, latent=None) for batch in train]  # latents are for oracles
        self.order = order
        self.rows = [Rows(len(batch), batch_size, order) for batch in train]
        self.choices: list[int] = []

    def take(self, count: int) -> Iterator[Batch]:
        """The next minibatches. Nothing of the training data can be changed through them."""
        if len(self.train) == 1:
            yield from self.of(0, count)
            return
        for _ in range(count):
            yield next(self.of(self.choose(), 1))

    def __iter__(self) -> Iterator[Batch]:
        while True:
            yield from self.take(1)

    def of(self, number: int, count: int) -> Iterator[Batch]:
        """The next minibatches of one training batch."""
        batch, rows = self.train[number], self.rows[number]
        if rows.is_all:
            for _ in range(count):
                yield batch.map(torch.clone)
            return
        for row in rows.take(count).to(batch.x.device):
            yield batch.map(lambda tensor, row=row: tensor[row])  # type: ignore[misc]

    def choose(self) -> int:
        """The number of the training batch of the next step."""
        if not self.choices:
            sizes = torch.tensor([float(len(batch)) for batch in self.train])
            self.choices = torch.multinomial(sizes, CHOICES, replacement=True, generator=self.order).tolist()
        return self.choices.pop(0)

    def state(self) -> dict[str, Any]:
        """Where the stream stands, as tensors and numbers."""
        return {
            "order": self.order.get_state(),
            "pending": [rows.pending for rows in self.rows],
            "choices": list(self.choices),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where another stream of the same data stood."""
        self.order.set_state(state["order"])
        self.choices = list(state["choices"])
        for rows, pending in zip(self.rows, state["pending"], strict=True):
            rows.pending = pending
