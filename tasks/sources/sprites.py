"""Small white sprites on black, drawn from five factors: shape, scale, orientation and two positions.

After dSprites (Matthey, Higgins, Hassabis and Lerchner 2017), with one change: no rotation below 180 degrees maps a
shape to itself, so that orientations from 0 to 90 degrees can always be told apart (a square's cannot).
"""

from __future__ import annotations

import math
from functools import cache

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
    stamp = torch.arange(STAMP)
    rows = y.view(-1, 1, 1) + stamp.view(1, STAMP, 1)
    columns = x.view(-1, 1, 1) + stamp.view(1, 1, STAMP)
    images = torch.zeros(len(indices), SIDE, SIDE)
    images[torch.arange(len(indices)).view(-1, 1, 1), rows, columns] = stamps()[shape, scale, orientation]
    return images.unsqueeze(1)


@cache
def stamps() -> Tensor:
    """Every sprite in the middle of 13 x 13 pixels, (shape, scale, orientation, row, column); 8 x 8 points a pixel."""
    points = (torch.arange(STAMP * SUBPIXELS) + 0.5) / SUBPIXELS - STAMP / 2
    down, right = torch.meshgrid(points, points, indexing="ij")
    radius = torch.linspace(*RADIUS_PX, FACTORS["scale"]).view(-1, 1, 1, 1)
    angle = torch.deg2rad(torch.linspace(*ORIENTATION_DEG, FACTORS["orientation"])).view(-1, 1, 1)
    along = (angle.cos() * right - angle.sin() * down) / radius  # counter-clockwise, rows count downwards
    across = (angle.sin() * right + angle.cos() * down) / radius
    inside = torch.stack([rectangle(along, across), ellipse(along, across), triangle(along, across)]).float()
    pixels = inside.reshape(*inside.shape[:3], STAMP, SUBPIXELS, STAMP, SUBPIXELS)
    coverage: Tensor = pixels.mean(dim=(4, 6))
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
    inside = torch.ones_like(along, dtype=torch.bool)
    for (x0, y0), (x1, y1) in zip(TRIANGLE, TRIANGLE[1:] + TRIANGLE[:1], strict=True):
        inside &= (x1 - x0) * (across - y0) > (y1 - y0) * (along - x0)  # left of each side
    return inside
