"""A pre-norm Transformer over tokens, stretches of a signal or patches of an image, with sinusoidal positions."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.types import Problem

ENTRIES = {
    "transformer": {
        "class": "Transformer",
        "summary": "3 blocks of width 64, 4 heads, sinusoidal positions, mean of the positions",
    },
    "transformer-large": {
        "class": "Transformer",
        "summary": "3 blocks of width 128, 8 heads, sinusoidal positions, mean of the positions",
        "hparams": {"width": 128, "heads": 8},
        "large": True,
    },
}

STRETCH = 4
GRID = 4
LONGEST_WAVE = 10_000.0


class Transformer(nn.Module):
    """Tokens (N, L), a signal (N, C, L) or an image (N, C, H, W) -> (N, C), or (N, L, C) per position.

    Vaswani et al., NeurIPS 2017, with the normalisation before each sublayer and no dropout. Positions are added as
    sines, which exist for every length. One answer per input is read from the mean over positions, all of which see
    each other; answers per position see no later input, so that a next token is not read off the string.
    A signal is cut in stretches of 4 samples (1 where every sample needs an output), an image in 4 x 4 patches, read
    row by row (Dosovitskiy et al., ICLR 2021).
    """

    takes = ("signal", "tokens", "image")
    recipe = {"learning_rate": 5e-4, "warmup_steps": 100, "clip_norm": 1.0}

    def __init__(self, problem: Problem, width: int = 64, depth: int = 3, heads: int = 4) -> None:
        super().__init__()
        self.per_position = problem.per_position
        self.embed = nn.Embedding(problem.vocabulary, width) if problem.vocabulary else patches(problem, width)
        self.blocks = nn.ModuleList([Block(width, heads, causal=problem.per_position) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.readout = nn.Linear(width, problem.n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x)
        if not isinstance(self.embed, nn.Embedding):
            h = h.flatten(2).transpose(1, 2)
        h = h + sinusoids(h.shape[1], h.shape[2], h.device)  # (N, L, width)
        for block in self.blocks:
            h = block(h)
        h = self.norm(h)
        out: Tensor = self.readout(h if self.per_position else h.mean(1))
        return out


class Block(nn.Module):
    """Self-attention and a two-layer network, each added to its input. (N, L, width) -> (N, L, width)."""

    def __init__(self, width: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        # twice the width, not four times: the blocks are small, and this layer is most of their cost
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, h: Tensor) -> Tensor:
        h = h + self.attend(self.attention_norm(h))
        out: Tensor = h + self.mlp(h)
        return out

    def attend(self, h: Tensor) -> Tensor:
        """Attention of every head over the positions, of the earlier ones alone where it is causal."""
        per_head = self.query_key_value(h).unflatten(-1, (3, self.heads, -1))  # (N, L, 3, heads, width / heads)
        query, key, value = per_head.permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        out: Tensor = self.mix(attended.transpose(1, 2).flatten(2))
        return out


def patches(problem: Problem, width: int) -> nn.Module:
    """A signal's stretches or an image's patches as vectors of `width`; sides that do not divide get zeros around.

    Raises:
        NotImplementedError: for an image with an answer per position.
    """
    if problem.input_kind == "signal":
        channels, length = problem.input_shape
        stretch = 1 if problem.per_position else STRETCH
        return nn.Conv1d(channels, width, stretch, stride=stretch, padding=margin(length, stretch))
    if problem.per_position:
        raise NotImplementedError("answers per position are for tokens and signals, not for images")
    channels, *sides = problem.input_shape
    high, wide = (math.ceil(side / GRID) for side in sides)
    padding = (margin(sides[0], high), margin(sides[1], wide))
    return nn.Conv2d(channels, width, (high, wide), stride=(high, wide), padding=padding)


def margin(side: int, patch: int) -> int:
    """Zeros to put on both ends of a side so that patches cover all of it."""
    return (-side % patch + 1) // 2


def sinusoids(length: int, width: int, device: torch.device) -> Tensor:
    """Positions as sines and cosines of `width` / 2 wavelengths from 2 pi to 20,000 pi (length, width)."""
    frequency = LONGEST_WAVE ** (-torch.arange(0, width, 2, device=device) / width)
    angle = torch.arange(length, device=device)[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)
