"""A hundred inputs, half loud and half faint, fitted by small steps: risk falls, rises, falls and rises in time.

y = beta . x + noise. Fifty inputs have standard deviation 1, fifty have .1 and coefficients ten times as large, so that
both halves carry the same variance; the noise has standard deviation 1.5. Gradient descent learns the loud half first
and its noise soon after, while the faint half, a hundred times slower, is still to come:

    step     1      5      27     626    never ends
    risk   1.64   1.55   1.96   1.50   2.27           in the mean over draws, the step .5 over the largest eigenvalue
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.double_descent import prominence
from tasks.sources.minimum_norm import gradient_descent
from tasks.types import (
    Axis,
    Batch,
    Budget,
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
    "interpolation/epochs-v1": {
        "summary": "loud and faint inputs with a noisy linear target, the risk at 40 times of one training",
        "input": "vector",
        "tags": ["synthetic", "regression", "time-resolved", "descriptive", "closed-form"],
    }
}

HALF, N_TRAIN = 50, 200
FAINT = 0.1
NOISE_SD = 1.5
NULL_RISK = 2.0
CLOSED_FORM_STEP = 0.2
"""Of gradient descent on half the mean squared error: about half of 1 over the largest eigenvalue of x'x/n."""


class Epochs(Task):
    """Excess risk over time: the target without noise is what tests ask."""

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """x (N, 100), y (N, 1), noisy where it is trained on; `fitted` is the training split again."""
        noisy = split.role in ("train", "fitted")
        generator = draw.generator("train" if noisy else split.name)
        x = scales() * torch.randn(split.size, 2 * HALF, generator=generator)
        noise = NOISE_SD * noisy * torch.randn(split.size, 1, generator=generator)
        return Batch(x, x @ coefficients() + noise)

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """`null` says 0; `gd_early`, `gd_hump`, `gd_late` and `least_squares` are gradient descent, in closed form."""
        train = self.sample(condition, self.spec.split("train"), draw)
        x, y = train.x.double(), train.y.double()
        times = {"gd_early": 5, "gd_hump": 27, "gd_late": 626, "least_squares": math.inf}
        fits = {name: gradient_descent(x, y, CLOSED_FORM_STEP, t).float() for name, t in times.items()}
        fits["null"] = torch.zeros(2 * HALF, 1)
        return {name: partial(linear, fit) for name, fit in fits.items()}

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """Indices, in units of the null predictor's risk.

        `hump`: how far risk falls again after it has risen; `overtraining`: what the last step loses to the best one.
        """
        (row,) = rows.values()
        iid = self.role_mean(rows, "iid")
        risks = [scores["iid"]["mse"] / NULL_RISK for _, scores in row.curve]
        indices = {"hump": prominence(risks), "overtraining": risks[-1] - min(risks)} if risks else {}
        return Summary(iid=iid, ood=None, trained=self.passes_gate(iid), scores={}, indices=indices)


def linear(fit: Tensor, batch: Batch) -> Tensor:
    """Values (N, 1) of the linear function with these coefficients (100, 1)."""
    return batch.x @ fit


def scales() -> Tensor:
    """The standard deviation of each input (100,)."""
    return torch.tensor([1.0, FAINT]).repeat_interleave(HALF)


def coefficients() -> Tensor:
    """beta (100, 1): with the scales, every input contributes a variance of 1/50."""
    return 1 / (scales() * math.sqrt(HALF)).unsqueeze(1)


HECKEL = Source(
    key="heckel2021early",
    authors="Reinhard Heckel, Fatih Furkan Yilmaz",
    title="Early Stopping in Deep Networks: Double Descent and How to Eliminate it",
    venue="ICLR",
    year=2021,
    url="https://openreview.net/forum?id=tlV90jvZbw",
)
NAKKIRAN = Source(
    key="nakkiran2020deep",
    authors="Preetum Nakkiran, Gal Kaplun, Yamini Bansal, Tristan Yang, Boaz Barak, Ilya Sutskever",
    title="Deep Double Descent: Where Bigger Models and More Data Hurt",
    venue="ICLR",
    year=2020,
    url="https://openreview.net/forum?id=B1g5sA4twr",
)


def build(entry: Entry) -> Task:
    return Epochs(
        TaskSpec(
            entry=entry,
            question="Does longer training help, hurt, help again and hurt again?",
            problem=Problem("vector", (2 * HALF,), "values", n_outputs=1, n_train=N_TRAIN),
            splits=(
                Split("train", "train", N_TRAIN),
                Split("val", "val", 1_000),
                Split("iid", "iid", 3_000),
                Split("fitted", "fitted", N_TRAIN),
            ),
            budget=Budget(steps=2_500, batch_size=N_TRAIN, evaluations=40, first=1, seconds=120.0, core_seconds=2.0),
            recipe=Recipe(optimizer="sgd", learning_rate=0.03),
            metric="mse",
            higher_is_better=False,
            gate=1.9,
            axes=(
                Axis("hump", "falls, and perhaps rises", "falls, rises and falls again", ends=(0.0, 0.25)),
                Axis("overtraining", "the last step is the best", "an early step is better", ends=(0.0, 0.5)),
            ),
            sources=(HECKEL, NAKKIRAN),
            published=(
                Published("risk of gradient descent after 5 steps, mean of ten draws, pilot", 1.55),
                Published("risk of gradient descent after 27 steps, mean of ten draws, pilot", 1.96),
                Published("risk of gradient descent after 626 steps, mean of ten draws, pilot", 1.50),
                Published("risk of least squares, 1.5^2 x 100 / 99, closed form", NOISE_SD**2 * 100 / 99),
            ),
            notes=(
                "All risks are excess risks, read along one training at 40 steps, geometrically from the first. The "
                "null predictor has 2, half of it for each half of the inputs. A step that validation chooses would "
                "hide what the task asks; the card's in-distribution value is of that step all the same.",
                "The linear network has the hump of the closed form: .1 of the null risk by its own Adam on two seeds. "
                "ReLU networks with hidden layers have hardly any: they fit all the noise with the loud inputs before "
                "the faint ones count (0 and .06). Tanh networks lie in between (.01 and .17). Our own sample.",
                "`hump` is the smaller of a rise and the fall after it, so that a curve that only falls, or falls and "
                "rises, has none. A training that is unstable for some steps shows a hump that is none of the data: "
                "the plain gradient steps of .03 are small enough for a ReLU network of the default size, .1 is not.",
                "Estimators have no steps, and no index.",
                "The anchors gd_early, gd_hump and gd_late are gradient descent from 0 on the examples of the seed, "
                "after 5, 27 and 626 steps of .2, and least_squares after infinitely many.",
            ),
        )
    )
