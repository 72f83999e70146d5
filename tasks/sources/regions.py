"""Decision regions on a grid: how many of their pieces are closed off, and what is connected with what.

Shapes: H x W cells of a plane, S of either side of a square.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

Mask = NDArray[np.bool_]

GAP = 2
"""Cells by which a region is widened before its pieces are told apart: a finer neck than a cell joins them still."""
SMALLEST = 6
"""Cells of a piece that counts."""
EVERY_NEIGHBOUR = np.ones((3, 3), dtype=bool)


def square_grid(side: int, reach: float) -> Tensor:
    """The points (S * S, 2) of a grid over [-reach, reach]^2, row by row."""
    axis = torch.linspace(-reach, reach, side)
    return torch.cartesian_prod(axis, axis)


def pieces(region: Mask, gap: int = GAP) -> NDArray[Any]:
    """Connected pieces of a region (H, W), numbered from 1; 0 outside it. Diagonal neighbours are connected."""
    widened = ndimage.binary_dilation(region, EVERY_NEIGHBOUR, iterations=gap) if gap else region
    labels: NDArray[Any] = ndimage.label(widened, EVERY_NEIGHBOUR)[0]
    return labels * region


def bounded(region: Mask, gap: int = GAP) -> list[Mask]:
    """The pieces (H, W) of a region that do not reach the edge of the grid, of at least 6 cells."""
    labels = pieces(region, gap)
    edge = {*labels[0], *labels[-1], *labels[:, 0], *labels[:, -1]}
    found = [labels == number for number in range(1, int(labels.max()) + 1) if number not in edge]
    return [piece for piece in found if int(piece.sum()) >= SMALLEST]
