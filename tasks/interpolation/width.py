"""A noisy linear function of ten numbers, a hundred examples, a class of eleven widths: does size hurt, then help?

y = beta . x + noise, x standard normal in R^10, |beta| = 1, noise of standard deviation .5. The model is trained until
it fits the noise too, if it can, and tested without noise.

    width 1      cannot fit the noise: close to the best straight line
    width 8      just can, with the one function that does: far off in between
    width 1024   can in many ways, and training finds a gentle one
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.double_descent import peak, peak_ratio, regret
from tasks.types import (
    Axis,
    Batch,
    Budget,
    Condition,
    Dose,
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
    clip,
)

ENTRIES = {
    "interpolation/width-v1": {
        "summary": "eleven widths of one class on 100 noisy values of a linear function, trained to interpolate",
        "input": "vector",
        "tags": ["synthetic", "regression", "width", "flagship"],
    }
}

DIMENSION, N_TRAIN = 10, 100
NOISE_SD = 0.5
WIDTHS = (1, 2, 4, 6, 8, 12, 16, 64, 100, 256, 1024)
LARGEST = str(WIDTHS[-1])
INTERPOLATED = 1e-3
"""A training error below this, where labels have a variance of 1.25, has the noise in it."""


class Width(Task):
    """Excess risk against width. Every width sees the same hundred examples."""

    def __init__(self, spec: TaskSpec, noise_sd: float = NOISE_SD) -> None:
        super().__init__(spec)
        self.noise_sd = noise_sd

    def turned(self, dose: Mapping[str, float]) -> Task:
        return Width(self.spec, dose["label-noise"])

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """x (N, 10) and y (N, 1), noisy where it is trained on; `fitted` is the training split again."""
        noisy = split.role in ("train", "fitted")
        generator = draw.generator("train" if noisy else split.name)
        x = torch.randn(split.size, DIMENSION, generator=generator)
        noise = self.noise_sd * noisy * torch.randn(split.size, 1, generator=generator)
        return Batch(x, x @ direction(draw) + noise)

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """`null` says 0; `least_squares` is the line that is fitted to the training examples."""
        train = self.sample(condition, self.spec.split("train"), draw)
        line = torch.linalg.lstsq(train.x, train.y).solution
        return {"null": lambda batch: torch.zeros(len(batch), 1), "least_squares": lambda batch: batch.x @ line}

    def is_answered(self, scores: Scores) -> bool:
        """Further steps on examples that are fitted ten times as well as the gate asks change nothing."""
        return scores["fitted"]["mse"] < INTERPOLATED / 10

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """Everything is read at the last step, with the noise fitted, but for `peak_ratio_early`.

        `score` is that of the largest width between the null predictor and the truth, `score_best` that of the best.
        Indices: `peak_ratio` is the risk at the peak over that of the largest width, `peak_ratio_early` the same
        where validation ends each training; `regret` is what the largest width loses to the best, over the null risk;
        `peak_at` and `interpolates_at` are parameters per example at the peak, and at the first training error below
        .001.
        """
        last = {name: replace(row, scores=row.last) for name, row in rows.items()}
        largest = self.anchored(last[LARGEST], "test")
        risks, early = risks_of(last), risks_of(rows)
        null = rows[LARGEST].anchors["test"]["null"]
        iid = self.role_mean(last, "iid")
        return Summary(
            iid=iid,
            ood=self.role_mean(last, "ood"),
            trained=self.passes_gate(last[LARGEST].scores["fitted"]["mse"]),
            scores={
                "score": clip(largest),
                "score_unclipped": largest,
                "score_best": clip(max(self.anchored(row, "test") for row in last.values())),
            },
            indices={"regret": regret(risks, null), **peaks(risks, early), **thresholds(last)},
        )


def direction(draw: Draw) -> Tensor:
    """beta (10, 1) of this world, uniform on the sphere."""
    beta = torch.randn(DIMENSION, 1, generator=draw.generator("world"))
    unit: Tensor = beta / beta.norm()
    return unit


def in_order(rows: Mapping[str, Row]) -> list[Row]:
    """The rows in the order of the widths."""
    return [rows[str(width)] for width in WIDTHS]


def risks_of(rows: Mapping[str, Row]) -> list[float]:
    """Test risks in the order of the widths."""
    return [row.scores["test"]["mse"] for row in in_order(rows)]


def peaks(last: list[float], early: list[float]) -> dict[str, float]:
    """The height of the peak of both curves; over a risk of 0 there is no ratio."""
    curves = {"peak_ratio": last, "peak_ratio_early": early}
    return {name: peak_ratio(risks) for name, risks in curves.items() if risks[-1] > 0}


def thresholds(rows: Mapping[str, Row]) -> dict[str, float]:
    """Parameters per example at the peak, if there is one, and at the first width that fits the examples."""
    ratios = [row.n_parameters / N_TRAIN for row in in_order(rows) if row.n_parameters is not None]
    place = peak(risks_of(rows))
    if not ratios:
        return {}
    fitted = [r for r, row in zip(ratios, in_order(rows), strict=True) if row.scores["fitted"]["mse"] < INTERPOLATED]
    found = {} if place is None else {"peak_at": ratios[place]}
    return {**found, "interpolates_at": fitted[0]} if fitted else found


BELKIN = Source(
    key="belkin2019reconciling",
    authors="Mikhail Belkin, Daniel Hsu, Siyuan Ma, Soumik Mandal",
    title="Reconciling modern machine-learning practice and the classical bias-variance trade-off",
    venue="Proceedings of the National Academy of Sciences 116(32)",
    year=2019,
    url="https://doi.org/10.1073/pnas.1903070116",
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
    clean = (Split("val", "val", 1_000), Split("iid", "iid", 1_000), Split("test", "ood", 3_000))
    return Width(
        TaskSpec(
            entry=entry,
            question="As a class of models gets wider, does its risk rise where it begins to fit the noise, and fall "
            "beyond?",
            problem=Problem("vector", (DIMENSION,), "values", n_outputs=1, n_train=N_TRAIN),
            splits=(Split("train", "train", N_TRAIN), *clean, Split("fitted", "fitted", N_TRAIN)),
            conditions=tuple(Condition(str(w), f"width {w}", hparams={"width": w}) for w in WIDTHS),
            budget=Budget(steps=3_000, batch_size=N_TRAIN, evaluations=20, first=100, seconds=240.0, core_seconds=10.0),
            recipe=Recipe(learning_rate=3e-3),
            metric="mse",
            higher_is_better=False,
            floor="null",
            ceiling="bayes",
            constants={split.name: {"bayes": 0.0} for split in clean},
            gate=INTERPOLATED,
            doses=(Dose("label-noise", (0.0, 0.25, 0.5, 1.0), NOISE_SD, "standard deviation of the noise on labels"),),
            axes=(Axis("regret", "the largest is the best", "a smaller one is better", ends=(0.0, 1.0)),),
            sources=(BELKIN, NAKKIRAN),
            published=(
                Published("peak over the largest, one hidden layer, pilot of two seeds", 4.3),
                Published("risk of the largest, one hidden layer, pilot of two seeds", 0.264),
                Published("peak over the largest, baseline mlp, mean of two seeds, our own sample", 6.2),
            ),
            notes=(
                "The null predictor, 0, has a risk of 1. A straight line fitted to the hundred examples has .028 in "
                "the mean: the truth is linear and the noise is loud, so that here the classical optimum wins, and "
                "regret says by how much.",
                "The gate is not on new examples: the largest width must fit its training examples, noise included, to "
                "a mean squared error of .001. A class that does not is regularized, by itself or by its recipe, and "
                "its missing peak says nothing of size.",
                "Results are read at the last step, where all that can be fitted is; a training ends before its 3,000 "
                "steps once its error is below .0001. Read where validation ends a training, the same networks have "
                "hardly a peak: the control (`peak_ratio_early`, 1.1 to 1.4 for the baseline mlp).",
                "A peak needs noise: with the dose label-noise at 0 the baseline mlp has a risk below .03 at every "
                "width from 2 on, for 1 with the task's noise (ratios of such small risks say nothing). It lies near "
                "one parameter per example: between widths 4 and 8 of the mlp, .6 and 1.7 parameters an example.",
                "Only a rise makes a peak: a class that is far off at width 1 and falls from there has none. Where a "
                "few units are a draw of luck, as in random features, a rise may be just that: their peak_ratio_early, "
                "5, is of widths below 10.",
                "Only classes with a `width` take part: that is the knob. Random features have their threshold at a "
                "width of 100, which is among the widths for their sake (peak_at 1.01, peak_ratio 4.5 and 3.6 on two "
                "seeds, our own sample); a width in between may be missed by others.",
            ),
        )
    )
