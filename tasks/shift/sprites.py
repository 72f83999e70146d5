"""Rendered sprites: five factors are read from an image, for new combinations, values in between and values beyond.

A model that has found how an image is made from its factors reads them anywhere on the grid. The three conditions hold
out the same share of the grid, in three places: combinations of values that were all seen (`composition`), values
inside the range that was seen (`interpolation`), values beyond it (`extrapolation`).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.sprites import FACTORS, SIDE, grid, render, values
from tasks.types import (
    Batch,
    Budget,
    Condition,
    Predictor,
    Problem,
    Published,
    Recipe,
    Row,
    Source,
    Split,
    Summary,
    Task,
    TaskSpec,
)

ENTRIES = {
    "shift/sprites-v1": {
        "summary": "shape, scale, orientation and position of sprites, beyond the combinations and values of training",
        "input": "image",
        "tags": ["synthetic", "regression"],
    }
}

SHIFTED = ("scale", "x", "y")
"""The factors whose values are held out: (2/3)^3 = 30 % of the grid is left for training, as in the source."""


class Sprites(Task):
    """One image per cell of the grid of factors (20,736 cells), five values to predict; no cell is drawn twice.

    y: (N, 5), the factors scaled to [0, 1]; shape too is a value, as in the source. `latent`: their indices (N, 5).
    """

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """The cells from `params["first"]` on, of a random order of the cells that training may or may not see."""
        seen = seen_in_training(condition, draw)
        region = str(split.params["region"])
        cells = grid()[seen if region == "seen" else ~seen]
        order = torch.randperm(len(cells), generator=draw.generator("cells", condition, region))
        first = int(str(split.params["first"]))
        indices = cells[order[first : first + split.size]]
        return Batch(render(indices), values(indices), latent=indices)

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """`oracle` knows the factors; `saturated` too, but never answers outside the range that training showed."""
        trained = values(grid()[seen_in_training(condition, draw)])
        low, high = trained.amin(0), trained.amax(0)
        return {
            "oracle": lambda batch: batch.y,
            "saturated": lambda batch: batch.y.clamp(low, high),
        }

    def evaluate(self, outputs: Tensor, batch: Batch) -> Mapping[str, float]:
        """`r2_<factor>` = 1 - MSE / variance over the whole grid, and `r2`, their mean."""
        squared = (outputs - batch.y).double().square().mean(0)  # (5,)
        by_factor = 1 - squared / grid_variance()
        named = {f"r2_{name}": float(value) for name, value in zip(FACTORS, by_factor, strict=True)}
        return {"r2": float(by_factor.mean()), "mse": float(squared.mean()), **named}

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """The default score, and the anchored value of each condition under its name."""
        summary = super().summarize(rows)
        by_condition = {name: self.anchored(row, "ood") for name, row in rows.items()}
        return Summary(summary.iid, summary.ood, summary.trained, {**summary.scores, **by_condition})


def seen_in_training(condition: str, draw: Draw) -> Tensor:
    """Which cells of the grid training may see, (20736,) bool: 6,144 of them."""
    columns = [list(FACTORS).index(name) for name in SHIFTED]
    sizes = [FACTORS[name] for name in SHIFTED]
    cells = grid()[:, columns]
    if condition == "composition":
        seen = random_combinations(sizes, draw)
        return seen[cells.unbind(1)]
    third = torch.tensor(sizes) // 3
    first = third if condition == "interpolation" else 2 * third
    held_out = (cells >= first) & (cells < first + third)
    return ~held_out.any(1)


def random_combinations(sizes: list[int], draw: Draw) -> Tensor:
    """(2/3)^k of the combinations of k factors at random, as a mask of the factors' sizes."""
    n = torch.Size(sizes).numel()
    kept = n * 2 ** len(sizes) // 3 ** len(sizes)
    seen = torch.zeros(n, dtype=torch.bool)
    seen[torch.randperm(n, generator=draw.generator("world"))[:kept]] = True
    return seen.view(sizes)


def grid_variance() -> Tensor:
    """Variance of each scaled factor over the whole grid, (5,): (n + 1) / (12 (n - 1)) for n equally spaced values."""
    return torch.tensor([(n + 1) / (12 * (n - 1)) for n in FACTORS.values()], dtype=torch.float64)


SCHOTT = Source(
    key="schott2022visual",
    authors="Lukas Schott and Julius von Kügelgen and Frederik Träuble and Peter Gehler and Chris Russell "
    "and Matthias Bethge and Bernhard Schölkopf and Francesco Locatello and Wieland Brendel",
    title="Visual Representation Learning Does Not Generalize Strongly Within the Same Domain",
    venue="International Conference on Learning Representations",
    year=2022,
    url="https://arxiv.org/abs/2107.08221",
)
DSPRITES = Source(
    key="matthey2017dsprites",
    authors="Loic Matthey and Irina Higgins and Demis Hassabis and Alexander Lerchner",
    title="dSprites: Disentanglement testing Sprites dataset",
    venue="GitHub",
    year=2017,
    url="https://github.com/google-deepmind/dsprites-dataset",
)


def build(entry: Entry) -> Task:
    splits = (
        Split("train", "train", 4_000, {"region": "seen", "first": 0}),
        Split("val", "val", 500, {"region": "seen", "first": 4_000}),
        Split("iid", "iid", 1_000, {"region": "seen", "first": 4_500}),
        Split("ood", "ood", 2_000, {"region": "held-out", "first": 0}),
    )
    return Sprites(
        TaskSpec(
            entry=entry,
            question="Has the model found how an image is made from its factors, or only what it has seen of them?",
            problem=Problem("image", (1, SIDE, SIDE), "values", n_outputs=len(FACTORS), n_train=4_000),
            splits=splits,
            conditions=(
                Condition("composition", "random combinations of scale, x and y are held out"),
                Condition("interpolation", "the middle third of the values of scale, x and y is held out"),
                Condition("extrapolation", "the largest third of the values of scale, x and y is held out"),
            ),
            budget=Budget(steps=3_000, batch_size=64),
            recipe=Recipe(learning_rate=2e-3, schedule="cosine"),
            metric="r2",
            floor="constant",
            ceiling="oracle",
            constants={split.name: {"constant": 0.0} for split in splits if split.role != "train"},
            gate=0.7,
            sources=(SCHOTT, DSPRITES),
            published=(
                Published("R2, extrapolation on dSprites, PCL", 0.667, source=SCHOTT.key),
                Published("R2, extrapolation on dSprites, DenseNet121", 0.644, source=SCHOTT.key),
            ),
            notes=(
                "R2 is 1 - MSE / variance over the whole grid, so that splits are comparable: 0 is the squared error "
                "of the best constant on the whole grid, not on the split. It has no lower bound: a network that "
                "explodes outside its data is far below 0.",
                "A held-out image has at least one of scale, x and y out of the training values (out of the training "
                "combinations in `composition`). Shape and orientation are always within: their R2 tells whether "
                "what is in distribution is still read when something else is not.",
                "Shapes are a rectangle, an ellipse and a triangle; dSprites has a square, which 90 degrees map to "
                "itself, so that its orientation cannot be read. Here orientation is 0 to 90 degrees and no shape "
                "has a symmetry below 180 degrees: every factor is a function of the image.",
                "Extrapolation leaves the right and lower margin black in training: weights from these pixels keep "
                "their initial values unless they decay, so networks differ from seed to seed there.",
                "`saturated` is the oracle cut to the range of training values: what a perfect reader scores that "
                "cannot answer beyond them.",
                "The source renders 64 x 64 and trains on 221,184 images; here 24 x 24 and 4,000 images.",
            ),
        )
    )
