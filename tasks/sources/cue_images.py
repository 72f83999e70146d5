"""Images that show several cues at once: sprites (shape, colour, size, orientation) and letters made of small glyphs.

Every cue is drawn so that no sum of pixels gives away another one: sprites of one size cover the same area in any
shape, a colour is one channel, every letter has eight glyphs and every glyph the same ink.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from tasks.sources.sprites import convex, drawn, ellipse, place

NOISE_SD = 0.05

# --- sprites --------------------------------------------------------------------------------------------------------


def square(along: Tensor, across: Tensor) -> Tensor:
    """Corners at radius 1; area 2. A quarter turn maps it to itself, so orientations stay below 90 degrees."""
    return (along.abs() < math.sqrt(1 / 2)) & (across.abs() < math.sqrt(1 / 2))


def triangle(along: Tensor, across: Tensor) -> Tensor:
    """Equilateral, corners at radius 1, one of them along the axis; area 3 sqrt(3) / 4."""
    return convex([(1.0, 0.0), (-0.5, math.sqrt(3 / 4)), (-0.5, -math.sqrt(3 / 4))], along, across)


UNIT_AREAS = {square: 2.0, ellipse: math.pi / 2, triangle: 3 * math.sqrt(3) / 4}
COLOURS = ("red", "green", "blue")
AREAS_PX = (25.0, 49.0, 100.0)
ORIENTATIONS_DEG = (0.0, 30.0, 60.0)
SPRITE_CUES = {"shape": 3, "colour": 3, "size": 3, "orientation": 3}
"""Number of values of each cue."""

SPRITE_SIDE = 21
SPRITE_STAMP = 19


def sprites(indices: Tensor, generator: torch.Generator) -> Tensor:
    """Images (N, 3, 21, 21) of cue indices (N, 4), anywhere on 3 x 3 positions, under pixel noise."""
    shape, colour, size, orientation = indices.unbind(1)
    grey = scattered(sprite_stamps()[shape, size, orientation], SPRITE_SIDE, generator)
    channels = functional.one_hot(colour, len(COLOURS)).view(-1, len(COLOURS), 1, 1)
    return noisy(grey.unsqueeze(1) * channels, generator)


@cache
def sprite_stamps() -> Tensor:
    """Every sprite in the middle of 19 x 19 pixels, (shape, size, orientation, row, column)."""
    areas, angles = torch.tensor(AREAS_PX), torch.tensor(ORIENTATIONS_DEG)
    return torch.stack([drawn(s, (areas / unit).sqrt(), angles, SPRITE_STAMP) for s, unit in UNIT_AREAS.items()])


# --- letters of glyphs ----------------------------------------------------------------------------------------------

LETTERS = {
    "L": ("#....", "#....", "#....", "#....", "####."),
    "T": ("#####", "..#..", "..#..", "..#..", "....."),
    "O": ("..#..", ".#.#.", "#...#", ".#.#.", "..#.."),
    "X": ("#...#", ".#.#.", ".....", ".#.#.", "#...#"),
}
GLYPHS = {
    "+": (".#.", "###", ".#."),
    "x": ("#.#", ".#.", "#.#"),
    "dot": ("##.", "##.", "..."),
    "bar": ("...", "###", "..."),
}
LETTER_CUES = {"global": len(LETTERS), "local": len(GLYPHS)}
"""Number of values of each cue: which letter, made of which glyph."""

INK = 4.0
PITCH_PX = 4
LETTER_SIDE = 32


def letters(indices: Tensor, generator: torch.Generator) -> Tensor:
    """Images (N, 1, 32, 32) of cue indices (N, 2), anywhere on 14 x 14 positions, under pixel noise."""
    letter, glyph = indices.unbind(1)
    return noisy(scattered(letter_stamps()[letter, glyph], LETTER_SIDE, generator).unsqueeze(1), generator)


@cache
def letter_stamps() -> Tensor:
    """Every letter made of every glyph, 5 x 5 places of 3 x 3 pixels, a pixel apart: (letter, glyph, 19, 19)."""
    glyphs = torch.stack([bitmap(rows) for rows in GLYPHS.values()])
    cells = functional.pad(INK * glyphs / glyphs.sum((1, 2), keepdim=True), (0, 1, 0, 1))  # (glyph, 4, 4)
    made = [torch.stack([torch.kron(bitmap(rows), cell)[:-1, :-1] for cell in cells]) for rows in LETTERS.values()]
    return torch.stack(made)


def bitmap(rows: tuple[str, ...]) -> Tensor:
    """`#` as 1 and `.` as 0, (rows, columns)."""
    return torch.tensor([[float(mark == "#") for mark in row] for row in rows])


# --- both -----------------------------------------------------------------------------------------------------------


def scattered(stamps: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Images (N, side, side), each with its stamp (N, H, W) at a uniformly random place inside."""
    room = [side - length + 1 for length in stamps.shape[1:]]
    top, left = (torch.randint(r, (len(stamps),), generator=generator) for r in room)
    return place(stamps, top, left, (side, side))


def noisy(images: Tensor, generator: torch.Generator) -> Tensor:
    """The images with Gaussian noise on every pixel."""
    return images + NOISE_SD * torch.randn(images.shape, generator=generator)
