"""Small white sprites on black, drawn from five factors: shape, scale, orientation and two positions.

After dSprites (Matthey, Higgins, Hassabis, Lerchner 2017), with shapes that no rotation below 180 degrees maps to
themselves, so that the orientations 0 to 90 degrees can always be told apart.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

FACTORS = {"shape": 3, "scale": 6, "orientation": 8, "x": 12, "y": 12}
"""Number of values of each factor. Shapes: 0 rectangle, 1 ellipse, 2 triangle."""

SIDE = 16
RADIUS_PX = (2.0, 4.0)
ORIENTATION_DEG = (0.0, 90.0)
POSITION_PX = (4.0, 12.0)

SHORT = 0.5
"""The short axis of rectangle and ellipse over the long one."""

TRIANGLE = ((1.0, 0.0), (-0.5, 0.6), (-0.5, -0.6))
"""Corners of the isosceles triangle of radius 1; its centroid is the origin."""


def grid() -> Tensor:
    """Every combination of the factors' indices, (20736, 5) int64, last factor fastest."""
    return torch.cartesian_prod(*(torch.arange(n) for n in FACTORS.values()))


def values(indices: Tensor) -> Tensor:
    """Indices (N, 5) as factor values scaled to [0, 1], float32."""
    return indices / (torch.tensor(list(FACTORS.values())) - 1)


def render(indices: Tensor) -> Tensor:
    """Images (N, 1, 16, 16) of factor indices (N, 5): the share of each pixel that the sprite covers, in [0, 1].

    A pixel's coverage is that of a half-plane at the same distance, multiplied over edges: exact for a straight
    edge along the pixel grid, and within a few thousandths of a pixel's area elsewhere but at corners.
    """
    scaled = values(indices)
    radius = stretch(scaled[:, 1], RADIUS_PX)
    angle = stretch(scaled[:, 2], ORIENTATION_DEG) * (math.pi / 180)
    centre = torch.stack([stretch(scaled[:, 3], POSITION_PX), stretch(scaled[:, 4], POSITION_PX)], dim=1)
    images = torch.empty(len(indices), SIDE, SIDE)
    for shape, coverage in enumerate((rectangle, ellipse, triangle)):
        chosen = indices[:, 0] == shape
        along, across = local_coordinates(centre[chosen], angle[chosen])
        images[chosen] = coverage(along, across, radius[chosen].view(-1, 1, 1))
    return images.unsqueeze(1)


def stretch(scaled: Tensor, ends: tuple[float, float]) -> Tensor:
    """[0, 1] to [low, high]."""
    return ends[0] + scaled * (ends[1] - ends[0])


def local_coordinates(centre: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Where each pixel's centre lies along and across the sprites' axes, in pixels, each (N, 16, 16).

    centre: (N, 2) pixels. angle: (N,) radians, counter-clockwise as seen, rows counted from the top.
    """
    pixels = torch.arange(SIDE) + 0.5
    right = pixels.view(1, 1, SIDE) - centre[:, 0].view(-1, 1, 1)
    down = pixels.view(1, SIDE, 1) - centre[:, 1].view(-1, 1, 1)
    cos, sin = torch.cos(angle).view(-1, 1, 1), torch.sin(angle).view(-1, 1, 1)
    return cos * right - sin * down, sin * right + cos * down


def inside(distance: Tensor) -> Tensor:
    """Share of a pixel inside an edge that lies `distance` pixels beyond its centre (negative: before it)."""
    return (distance + 0.5).clamp(0, 1)


def rectangle(along: Tensor, across: Tensor, radius: Tensor) -> Tensor:
    """Sides 2:1, corners at `radius`."""
    half_length = radius / math.hypot(1, SHORT)
    return inside(half_length - along.abs()) * inside(SHORT * half_length - across.abs())


def ellipse(along: Tensor, across: Tensor, radius: Tensor) -> Tensor:
    """Axes 2:1, the long half-axis is `radius`; the distance to the edge to first order."""
    a, b = radius, SHORT * radius
    level = torch.sqrt((along / a) ** 2 + (across / b) ** 2)  # 1 on the edge
    slope = torch.sqrt((along / a**2) ** 2 + (across / b**2) ** 2) / level.clamp(min=1e-6)
    return inside((1 - level) / slope.clamp(min=1e-6))


def triangle(along: Tensor, across: Tensor, radius: Tensor) -> Tensor:
    """Isosceles, the tip at `radius`."""
    coverage = torch.ones_like(along)
    for (x0, y0), (x1, y1) in zip(TRIANGLE, TRIANGLE[1:] + TRIANGLE[:1], strict=True):
        length = math.hypot(x1 - x0, y1 - y0)
        normal = ((y1 - y0) / length, (x0 - x1) / length)  # outward: the corners run counter-clockwise
        offset = normal[0] * x0 + normal[1] * y0
        coverage = coverage * inside(offset * radius - normal[0] * along - normal[1] * across)
    return coverage
