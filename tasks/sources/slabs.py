"""Coordinates that tell the label by their sign, or by which of k alternating slabs of the axis they lie in."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

MARGIN = 0.1
"""Half the gap between neighbouring slabs, and the least |x| of a linear coordinate; every coordinate is in [-1, 1]."""


@dataclass(frozen=True)
class Slabs:
    """Slabs of one width, 2 * MARGIN apart, whose labels alternate; the central one is negative.

    Ring j is the pair of slabs j steps from the centre, ring 0 the central slab, so that k slabs make (k + 1) / 2
    rings. `rings[c][j]` is the probability of ring j given class c: even rings belong to class 0, odd ones to class 1.
    """

    rings: tuple[tuple[float, ...], tuple[float, ...]]

    @property
    def count(self) -> int:
        """The number of slabs, k."""
        return 2 * len(self.rings[0]) - 1

    @property
    def width(self) -> float:
        """Width of a slab: what the gaps leave of [-1, 1], evenly."""
        return 2 * (1 - (self.count - 1) * MARGIN) / self.count

    @property
    def pitch(self) -> float:
        """Distance from the middle of one slab to the next."""
        return self.width + 2 * MARGIN

    def second_moment(self, label: int) -> float:
        """E[x^2 | label]: a uniform slab of width w about j p has (j p)^2 + w^2 / 12."""
        middle = sum(share * (ring * self.pitch) ** 2 for ring, share in enumerate(self.rings[label]))
        return middle + self.width**2 / 12

    def sample(self, y: Tensor, n_coordinates: int, generator: torch.Generator) -> Tensor:
        """Independent coordinates (N, n_coordinates) of examples with labels y (N,)."""
        shape = (len(y), n_coordinates)
        bounds = torch.tensor(self.rings, dtype=torch.float64).cumsum(1).float()[y, :-1]  # (N, rings - 1)
        chosen = torch.rand(shape, generator=generator)
        ring = torch.zeros(shape)
        for bound in bounds.unbind(1):
            ring += chosen >= bound[:, None]
        within = self.width * (torch.rand(shape, generator=generator) - 0.5)
        return random_signs(shape, generator) * (ring * self.pitch + within)

    def label(self, x: Tensor) -> Tensor:
        """The class of each coordinate, in the shape of x: whether the nearest ring is odd."""
        return (x.abs() / self.pitch).round().long() % 2


# Both classes have the same mean squared ring, .75 * 0 + .25 * 4 = 1 and .5 * 0 + .5 * 4 = 7/8 * 1 + 1/8 * 9 = 2,
# and with it the same variance: no second moment tells the label.
FIVE_SLABS = Slabs(rings=((3 / 4, 0, 1 / 4), (0, 1, 0)))
SEVEN_SLABS = Slabs(rings=((1 / 2, 0, 1 / 2, 0), (0, 7 / 8, 0, 1 / 8)))


@dataclass(frozen=True)
class Line:
    """The sign is the label and |x| uniform in [MARGIN, 1], but for a share of rows with x uniform within the margin.

    Exactly round(N * noise) rows are such, whatever their labels.
    """

    noise: float = 0.0

    @property
    def bayes(self) -> float:
        """The best accuracy that this coordinate alone allows: a noise row is guessed."""
        return 1 - self.noise / 2

    def sample(self, y: Tensor, n_coordinates: int, generator: torch.Generator) -> Tensor:
        """Coordinates (N, n_coordinates), all of a noise row within the margin."""
        shape = (len(y), n_coordinates)
        x = (2 * y[:, None] - 1) * (MARGIN + (1 - MARGIN) * torch.rand(shape, generator=generator))
        noisy = torch.randperm(len(y), generator=generator)[: round(len(y) * self.noise)]
        x[noisy] = MARGIN * (2 * torch.rand((len(noisy), n_coordinates), generator=generator) - 1)
        return x

    def label(self, x: Tensor) -> Tensor:
        """The class of each coordinate, in the shape of x: whether it is positive."""
        return (x > 0).long()


def random_signs(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """+1 or -1, evenly."""
    return torch.randint(2, shape, generator=generator) * 2.0 - 1


def random_rotation(dimension: int, generator: torch.Generator) -> Tensor:
    """A uniformly distributed orthogonal matrix (d, d)."""
    q, r = torch.linalg.qr(torch.randn(dimension, dimension, dtype=torch.float64, generator=generator))
    rotation: Tensor = q * r.diagonal().sign()  # QR alone fixes the signs of q in a way of its own
    return rotation.float()
