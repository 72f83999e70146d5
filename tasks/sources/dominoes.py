"""Blocks of 16 x 16 grey pixels that show one of two classes: disc or cross, a short or a long wave, same or different.

Both classes of a block have the same ink (area of disc and cross, pixels per column of a wave, cells of a pattern), so
that brightness does not tell them apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from tasks.sources.sprites import drawn, place

SIDE = 16

Block = Callable[[Tensor, torch.Generator], Tensor]
"""Classes (N,) to images (N, 16, 16), in [0, 1]."""

# --- a disc (class 1) or a cross (class 0) --------------------------------------------------------------------------

STAMP = 12
CROSS_HALF_WIDTH = 1 / 3  # in units of half a cross, which is 6 pixels
DISC_RADIUS = math.sqrt(20 / (9 * math.pi))
"""The area 8 w - 4 w^2 of a cross whose bars are 2 w wide, w = 1/3, is that of the disc: 80 pixels."""


def disc_or_cross(y: Tensor, generator: torch.Generator) -> Tensor:
    """Up to two pixels off the centre in both directions."""
    room = (SIDE - STAMP + 1,)
    top, left = (torch.randint(*room, (len(y),), generator=generator) for _ in range(2))
    return place(disc_and_cross()[y], top, left, (SIDE, SIDE))


@cache
def disc_and_cross() -> Tensor:
    """(2, 12, 12): the cross, then the disc, a quarter of a percent brighter for what sampling takes of its area."""
    radius, upright = torch.tensor([STAMP / 2]), torch.tensor([0.0])
    shapes = torch.stack([drawn(inside, radius, upright, STAMP)[0, 0] for inside in (cross, disc)])
    return shapes * (shapes[0].sum() / shapes.sum((1, 2), keepdim=True))


def disc(along: Tensor, across: Tensor) -> Tensor:
    """Area 20/9."""
    return along.square() + across.square() < DISC_RADIUS**2


def cross(along: Tensor, across: Tensor) -> Tensor:
    """Two bars of length 2 over each other; area 20/9."""
    horizontal = (along.abs() < 1) & (across.abs() < CROSS_HALF_WIDTH)
    vertical = (across.abs() < 1) & (along.abs() < CROSS_HALF_WIDTH)
    return horizontal | vertical


# --- a wave of one period (class 0) or two (class 1) ----------------------------------------------------------------

AMPLITUDE_PX = 5.0
OFF_CENTRE_PX = 2.0
HALF_THICKNESS_PX = 1.5


def wave(y: Tensor, generator: torch.Generator) -> Tensor:
    """A sine from the left to the right edge, at any phase, moved up or down; the line covers two pixels per column.

    In any one column its height has the same distribution whatever the number of periods, and so has every pixel.
    """
    periods = (y + 1).unsqueeze(1)
    phase = torch.rand(len(y), 1, generator=generator)
    middle = (SIDE - 1) / 2 + OFF_CENTRE_PX * (2 * torch.rand(len(y), 1, generator=generator) - 1)
    turns = periods * torch.arange(SIDE) / SIDE + phase
    line = middle + AMPLITUDE_PX * (2 * math.pi * turns).sin()  # (N, 16), in rows from the top
    distance = (torch.arange(SIDE).view(-1, 1) - line.unsqueeze(1)).abs()  # (N, row, column)
    return (HALF_THICKNESS_PX - distance).clamp(0, 1)


# --- two patterns, the same (class 1) or without a common cell (class 0) --------------------------------------------

CELLS = 3
FILLED = 4
CELL_PX = 2
ROAM_PX = 2
FIRST_ROW = 4


def same_or_different(y: Tensor, generator: torch.Generator) -> Tensor:
    """Two patterns of 3 x 3 cells, 4 of them filled, side by side; each up to two pixels off, for itself.

    Different patterns share no filled cell. Each alone is uniform over all 126 patterns in both classes.
    """
    order = torch.rand(len(y), CELLS**2, generator=generator).argsort(1)
    first, other = (
        torch.zeros(order.shape).scatter(1, cells, 1.0) for cells in (order[:, :FILLED], order[:, -FILLED:])
    )
    second = torch.where(y.unsqueeze(1) == 1, first, other)
    return torch.cat([pattern(cells, generator) for cells in (first, second)], dim=2)


def pattern(cells: Tensor, generator: torch.Generator) -> Tensor:
    """Cells (N, 9) as half a block (N, 16, 8)."""
    grid = cells.unflatten(1, (CELLS, CELLS))
    stamps = grid.repeat_interleave(CELL_PX, 1).repeat_interleave(CELL_PX, 2)
    down, right = (torch.randint(ROAM_PX + 1, (len(cells),), generator=generator) for _ in range(2))
    return place(stamps, FIRST_ROW + down, right, (SIDE, SIDE // 2))
