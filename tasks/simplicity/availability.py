"""Two Gaussian features of one label, one scaled up: is a feature weighed by what it predicts, or by its size?

The core feature alone is right in 90 % of cases, the shortcut in 85 %; both are linear and unequal in size, and in one
condition the core is bent through a random network. Wherever the two vote differently the linear discriminant (LDA)
follows the shortcut on 20 % of a grid, whatever the sizes. A condition and a class, and where they vote differently:

    shortcut sqrt(10) x, core x / sqrt(10)   5 nearest neighbours follow the shortcut on 63 %
    shortcut x / sqrt(10), core sqrt(10) x   on 11 %
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor

from tasks.metrics import hits
from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.types import (
    Axis,
    Batch,
    Budget,
    Condition,
    Predictor,
    Problem,
    Published,
    Recipe,
    Row,
    Scores,
    Source,
    Split,
    Summary,
    Task,
    TaskSpec,
    class_logits,
)

ENTRIES = {
    "simplicity/availability-v1": {
        "summary": "a less predictive and a more predictive feature, over the ratio of their sizes",
        "input": "vector",
        "tags": ["synthetic", "classification", "shortcut", "ladder", "closed-form"],
    }
}

DIMENSION = 100
SHORTCUT, CORE = 0, 1
CORRELATION = 0.6
MEANS = torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor([0.85, 0.9], dtype=torch.float64))
"""Latents have variance 1 and means +-MEANS by class, so that a feature alone is right in 85 and 90 %."""

COVARIANCE = torch.tensor([[1, CORRELATION], [CORRELATION, 1]], dtype=torch.float64)
DISCRIMINANT = torch.linalg.solve(COVARIANCE, MEANS)
"""The Bayes rule is the sign of DISCRIMINANT . z, with an accuracy of .907."""

GRID = 60
GRID_REACH = 3 * float(MEANS[CORE])
NEST_GAIN = 1.5


@dataclass(frozen=True)
class Embedding:
    """The ratio of the sizes of shortcut and core in the input, and the depth of the random network on the core."""

    amplification: float
    nesting: int = 0


EMBEDDINGS = {
    "size-0.1": Embedding(0.1),
    "size-0.3": Embedding(0.3),
    "size-1": Embedding(1.0),
    "size-3": Embedding(3.0),
    "size-10": Embedding(10.0),
    "nested-2": Embedding(1.0, nesting=2),
}
SMALLEST, LARGEST = "size-0.1", "size-10"


class Availability(Task):
    """Reliance is the share of grid points of disagreement where the decision is the shortcut's; bias that minus LDA's.

    The same latents are embedded in every condition, so that a class that is indifferent to size is the same in all.
    """

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """x (N, 100) and, in `latent` (N, 2), shortcut and core. On the grid y is what LDA says."""
        if split.role == "ood":
            z = points_of_disagreement()
            y = lda_decision(z)
        else:
            generator = draw.generator(split.name)
            y = torch.randint(2, (split.size,), generator=generator)
            noise = torch.randn(split.size, 2, dtype=torch.float64, generator=generator)
            z = (2 * y[:, None] - 1) * MEANS + noise @ torch.linalg.cholesky(COVARIANCE).T
        return Batch(embed(z, EMBEDDINGS[condition], draw).float(), y, latent=z.float())

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """`lda`, and readers of one latent: `shortcut` and `core`."""

        def reader(latent: int) -> Predictor:
            return lambda batch: class_logits(latents(batch)[:, latent] > 0, 2)

        return {
            "lda": lambda batch: class_logits(lda_decision(latents(batch)), 2),
            "shortcut": reader(SHORTCUT),
            "core": reader(CORE),
        }

    def evaluate(self, outputs: Tensor, batch: Batch) -> Mapping[str, float]:
        """Adds `reliance`, the share of decisions that are the shortcut's."""
        shortcut_vote = (latents(batch)[:, SHORTCUT] > 0).long()
        return {**super().evaluate(outputs, batch), "reliance": float(hits(outputs, shortcut_vote).mean())}

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """`score` is the mean over conditions of 1 - |bias| / (1 - LDA's reliance): 1 for LDA, 0 for the shortcut.

        Indices: `availability`, the reliance where the shortcut is ten times as large as the core minus that where
        it is a tenth; `availability_early`, the same at the first measured step; `bias_*` by condition.
        All are of the last measured step: accuracy in distribution is flat long before the reliance is.
        """
        calibrated = lda_reliance()
        bias = {name: reliance(measurements(row)[-1]) - calibrated for name, row in rows.items()}
        small, large = (measurements(rows[name]) for name in (SMALLEST, LARGEST))
        indices = {"availability": reliance(large[-1]) - reliance(small[-1])}
        if min(len(small), len(large)) > 1:
            indices["availability_early"] = reliance(large[0]) - reliance(small[0])
        indices |= {f"bias_{name}": value for name, value in bias.items()}
        score = fmean(1 - abs(value) / (1 - calibrated) for value in bias.values())
        iid = self.role_mean(rows, "iid")
        return Summary(iid, self.role_mean(rows, "ood"), self.passes_gate(iid), {"score": score}, indices)


def latents(batch: Batch) -> Tensor:
    """Shortcut and core (N, 2)."""
    assert batch.latent is not None
    return batch.latent


def lda_decision(z: Tensor) -> Tensor:
    """The Bayes rule on latents (N, 2): classes (N,)."""
    return (z.double().mv(DISCRIMINANT) > 0).long()


def points_of_disagreement() -> Tensor:
    """Latents (N, 2) of an even grid, three core means to each side, where shortcut and core vote differently."""
    side = torch.linspace(-GRID_REACH, GRID_REACH, GRID, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side)
    return grid[grid.prod(1) < 0]


def lda_reliance() -> float:
    """The share of the points of disagreement where LDA follows the shortcut."""
    z = points_of_disagreement()
    return float((lda_decision(z) == (z[:, SHORTCUT] > 0)).double().mean())


def measurements(row: Row) -> list[Scores]:
    """The scores at every measured step, or the only ones."""
    return [scores for _, scores in row.curve] or [row.scores]


def reliance(scores: Scores) -> float:
    """The measured reliance."""
    return scores["disagreement"]["reliance"]


def embed(z: Tensor, embedding: Embedding, draw: Draw) -> Tensor:
    """Latents (N, 2) to inputs (N, 100): the shortcut along one random direction, the core in what is orthogonal to it.

    Their sizes are sqrt(amplification) and its inverse, so that neither is far from 1.
    """
    generator = draw.generator("world")
    basis = torch.linalg.qr(torch.randn(DIMENSION, DIMENSION, dtype=torch.float64, generator=generator)).Q
    size = math.sqrt(embedding.amplification)
    core = nested(z[:, CORE], embedding.nesting, generator) / size  # (N, 99)
    return torch.cat([size * z[:, :1], core], dim=1).mm(basis.T)


def nested(z: Tensor, depth: int, generator: torch.Generator) -> Tensor:
    """The core (N,) along a random direction (N, 99), through `depth` random tanh layers; its power is kept."""
    width = DIMENSION - 1
    direction = torch.nn.functional.normalize(torch.randn(width, dtype=torch.float64, generator=generator), dim=0)
    # the first layer reads a vector of length |z|, a later one of length sqrt(width) or so
    scales = [NEST_GAIN / (math.sqrt(width) if layer else 1) for layer in range(depth)]
    layers = [s * torch.randn(width, width, dtype=torch.float64, generator=generator) for s in scales]

    def curve(values: Tensor) -> Tensor:
        out = values[:, None] * direction
        for weights in layers:
            out = torch.tanh(out @ weights)
        return out

    quantiles = torch.linspace(0, 1, 1_002, dtype=torch.float64)[1:-1]
    typical = torch.distributions.Normal(MEANS[CORE], 1.0).icdf(quantiles)  # of one class: the curve is odd
    power = typical.square().mean() / curve(typical).square().sum(1).mean()
    scaled: Tensor = power.sqrt() * curve(z)
    return scaled


HERMANN_MOBAHI = Source(
    key="hermann2024foundations",
    authors="Katherine L. Hermann, Hossein Mobahi, Thomas Fel, Michael C. Mozer",
    title="On the Foundations of Shortcut Learning",
    venue="ICLR",
    year=2024,
    url="https://arxiv.org/abs/2310.16228",
)

NOTES = (
    "Shortcut: the less predictive feature. Ceiling: LDA, the Bayes rule, which weighs the two by what they predict "
    "given each other and is the same at every size.",
    "A linear classifier gives 0: classes are Gaussian with one covariance, so the logistic optimum is LDA in any "
    "invertible linear embedding, and a sample's optimum is the same at every size. Its bias is then the sampling "
    "error of 3,200 examples, and its `availability` a test of convergence, which a ratio of 64 would not pass.",
    "The score forgives too little use of the shortcut more than too much: a reader of the core alone, bias -.2, "
    "scores .75. It is made of the sizes one by one, so opposite biases do not cancel.",
    "In the original, linear models are unbiased, and ReLU and tanh networks follow the more available feature, more "
    "with depth. Here linear models and ReLU networks follow it while they train, since the smaller feature is learned "
    "later (`availability_early`, .4 and .2). After 1,000 steps of Adam at 1e-3 an `availability` of about .03 is left "
    "to a ReLU network, of .003 to a linear model (at 1e-2). At 1e-4 it is .92, .75 and .20 for 1, 2 and 4 layers of "
    "128 units, the contrary of the published effect of depth: deeper ones learn faster. Neighbours keep .5 for good.",
    "sqrt(a) and 1 / sqrt(a) are the sizes at amplification a. Predictivities, the nested network, the orthonormal "
    "embedding and the definition of reliance are ours; correlation, dimension, number of examples, the grid of three "
    "means and LDA as the standard follow the original.",
    "The grid reaches far beyond the data, where the two latents mostly agree: it asks for extrapolation.",
)


def build(entry: Entry) -> Task:
    spec = TaskSpec(
        entry=entry,
        question="Does a model weigh two features by what they predict, or by how large they are in the input?",
        problem=Problem("vector", (DIMENSION,), "classes", n_outputs=2, n_train=3_200),
        splits=(
            Split("train", "train", 3_200),
            Split("val", "val", 2_000),
            Split("iid", "iid", 4_000),
            Split("disagreement", "ood", len(points_of_disagreement())),
        ),
        conditions=tuple(
            Condition(
                name,
                f"shortcut {each.amplification:g} times as large as the core"
                + (f", which passes {each.nesting} random tanh layers" if each.nesting else ""),
                {"amplification": each.amplification, "nesting": each.nesting},
            )
            for name, each in EMBEDDINGS.items()
        ),
        budget=Budget(steps=1_000, batch_size=128, seconds=120.0, core_seconds=6.1),
        recipe=Recipe(learning_rate=1e-3, schedule="cosine"),
        metric="accuracy",
        floor="shortcut",
        ceiling="lda",
        axes=(Axis("availability", "the smaller feature decides", "the larger feature decides", (-1.0, 1.0)),),
        gate=0.8,
        sources=(HERMANN_MOBAHI,),
        published=(
            Published(
                "bias of a network in one cell of the grid of predictivity and availability",
                0.53,
                source="Hermann et al. 2024, caption of Figure 2; another definition of reliance, compare the sign",
            ),
        ),
        notes=NOTES,
    )
    return Availability(spec)
