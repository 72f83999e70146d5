"""Random streams that come from names: the same names give the same numbers, on every machine and in any order."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch

PUBLIC_WORD = "public"


def stream_seed(*names: str | int) -> int:
    """A 63-bit seed that depends on every name and on their order; no seed is ever another seed plus one."""
    digest = hashlib.sha256("\x1f".join(str(name) for name in names).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(*names: str | int) -> torch.Generator:
    """A fresh CPU generator for the stream with these names."""
    return torch.Generator().manual_seed(stream_seed(*names))


@dataclass(frozen=True)
class Draw:
    """One world of a task: its data are a function of the task's id, the seed and the draw word, and of nothing else.

    `word` is public by default. A maintainer who draws every data set again with a secret word sees
    whether published results hold on data that nobody could have fitted.
    """

    task_id: str
    seed: int
    word: str = PUBLIC_WORD

    def generator(self, *names: str | int) -> torch.Generator:
        """The torch stream `names` of this world: `draw.generator("train")`, `draw.generator("world")`."""
        return generator(self.task_id, self.word, self.seed, *names)

    def numpy(self, *names: str | int) -> np.random.Generator:
        """The same for NumPy."""
        return np.random.default_rng(stream_seed(self.task_id, self.word, self.seed, *names))
