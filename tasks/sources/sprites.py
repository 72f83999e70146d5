"""Small white sprites on black, drawn from five factors: shape, scale, orientation and two positions.

After dSprites (Matthey, Higgins, Hassabis and Lerchner 2017), with one change: no rotation below 180 degrees maps a
shape to itself, so that orientations from 0 to 90 degrees can always be told apart (a square's cannot).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor

FACTORS = {"shape": 3, "scale": 6, "orientation": 8, "x": 12, "y": 12}
"""Number of values of each factor. Shapes: 0 rectangle, 1 ellipse, 2 triangle. Positions count pixels."""

SIDE = 24
STAMP = 13
RADIUS_PX = (3.0, 6.0)
ORIENTATION_DEG = (0.0, 90.0)
SUBPIXELS = 8

TRIANGLE = ((1.0, 0.0), (-0.5, 0.6), (-0.5, -0.6))
"""Corners at radius 1, counter-clockwise; the centroid is the origin."""


def grid() -> Tensor:
    """Every combination of the factors' indices, (20736, 5) int64, the last factor fastest."""
    return torch.cartesian_prod(*(torch.arange(n) for n in FACTORS.values()))


def values(indices: Tensor) -> Tensor:
    """Indices (N, 5) as factor values scaled to [0, 1], float32."""
    return indices / (torch.tensor(list(FACTORS.values())) - 1)


def render(indices: Tensor) -> Tensor:
    """Images (N, 1, 24, 24) of factor indices (N, 5): the share of each pixel that the sprite covers, in [0, 1].

    The centre lies on the middle of pixel (6 + x, 6 + y), columns from the left, rows from the top, so that a step
    in position shifts the image by exactly one pixel.
    """
    shape, scale, orientation, x, y = indices.unbind(1)
    return place(stamps()[shape, scale, orientation], y, x, (SIDE, SIDE)).unsqueeze(1)


def place(stamps: Tensor, top: Tensor, left: Tensor, size: tuple[int, int]) -> Tensor:
    """Black images (N, *size), each with its stamp (N, H, W) set in, the upper left corner at (top, left), (N,)."""
    height, width = stamps.shape[1:]
    rows = top.view(-1, 1, 1) + torch.arange(height).view(1, -1, 1)
    columns = left.view(-1, 1, 1) + torch.arange(width).view(1, 1, -1)
    images = torch.zeros(len(stamps), *size)
    images[torch.arange(len(stamps)).view(-1, 1, 1), rows, columns] = stamps
    return images


@cache
def stamps() -> Tensor:
    """Every sprite in the middle of 13 x 13 pixels, (shape, scale, orientation, row, column)."""
    radius = torch.linspace(*RADIUS_PX, FACTORS["scale"])
    angle = torch.linspace(*ORIENTATION_DEG, FACTORS["orientation"])
    return torch.stack([drawn(inside, radius, angle, STAMP) for inside in (rectangle, ellipse, triangle)])


def drawn(inside: Callable[[Tensor, Tensor], Tensor], radius_px: Tensor, angle_deg: Tensor, side: int) -> Tensor:
    """A shape of S radii at A angles in the middle of side x side pixels: coverage (S, A, side, side), in [0, 1].

    `inside` tells of points in units of the radius, along the shape's axis and across it, whether they are covered;
    it is asked at 8 x 8 points a pixel.
    """
    points = (torch.arange(side * SUBPIXELS) + 0.5) / SUBPIXELS - side / 2
    down, right = torch.meshgrid(points, points, indexing="ij")
    radius, angle = radius_px.view(-1, 1, 1, 1), torch.deg2rad(angle_deg).view(-1, 1, 1)
    along = (angle.cos() * right - angle.sin() * down) / radius  # counter-clockwise, rows count downwards
    across = (angle.sin() * right + angle.cos() * down) / radius
    covered = inside(along, across).float().unflatten(3, (side, SUBPIXELS)).unflatten(2, (side, SUBPIXELS))
    coverage: Tensor = covered.mean(dim=(3, 5))
    return coverage


def rectangle(along: Tensor, across: Tensor) -> Tensor:
    """Sides 2 : 1, corners at radius 1; area 1.6."""
    half_length = 2 / math.sqrt(5)
    return (along.abs() < half_length) & (across.abs() < half_length / 2)


def ellipse(along: Tensor, across: Tensor) -> Tensor:
    """Half-axes 1 and 1/2; area pi/2."""
    return along.square() + (2 * across).square() < 1


def triangle(along: Tensor, across: Tensor) -> Tensor:
    """Isosceles, the tip at radius 1; area 0.9."""
    return convex(TRIANGLE, along, across)


def convex(corners: Sequence[tuple[float, float]], along: Tensor, across: Tensor) -> Tensor:
    """The polygon with these corners, counter-clockwise."""
    inside = torch.ones_like(along, dtype=torch.bool)
    for (x0, y0), (x1, y1) in pairwise([*corners, corners[0]]):
        inside &= (x1 - x0) * (across - y0) > (y1 - y0) * (along - x0)  # left of each side
    return inside
