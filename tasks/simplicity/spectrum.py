"""A sum of ten sines on an interval: in which order do the frequencies enter a model as it trains?

f(t) = sin(2 pi t + p_1) + sin(4 pi t + p_2) + ... + sin(20 pi t + p_10) for t in [0, 1), with phases of each world's
own. All ten matter alike, so the loss does not say where to begin. x and y are t and f in standard units.

    t = .25, all phases 0   f = 1 + 0 - 1 + 0 + 1 + 0 - 1 + 0 + 1 + 0 = 1   x = -.87, y = .45
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean

import torch
from torch import Tensor

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.learning_order import Curve, first_step, learning_order
from tasks.types import (
    Axis,
    Batch,
    Budget,
    Data,
    Predict,
    Problem,
    Row,
    Scores,
    Source,
    Split,
    Summary,
    Task,
    TaskSpec,
)

ENTRIES = {
    "simplicity/spectrum-v1": {
        "summary": "a sum of sines with frequencies 1 to 10; the order in which they are learned",
        "input": "vector",
        "tags": ["synthetic", "regression", "time-resolved", "descriptive"],
    }
}

N_POINTS = 128
FREQUENCIES = range(1, 11)
AMPLITUDE = math.sqrt(2 / len(FREQUENCIES))
"""Of each sine, where their sum has variance 1."""
LEARNED = 0.8
AMPLITUDES = tuple(f"amplitude_{k}" for k in FREQUENCIES)


class Spectrum(Task):
    """Grids of 128 points; `offset` moves them by a part of their spacing, so that no two splits share a point."""

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """x (N, 1) is t = (j + offset) / N and y (N, 1) is f(t), both with mean 0 and variance 1 over the interval."""
        offset = split.params["offset"]
        assert isinstance(offset, float)
        t = (torch.arange(split.size, dtype=torch.float64) + offset) / split.size
        x = math.sqrt(12) * (t - 0.5)
        return Batch(x.float().unsqueeze(1), target(t, draw).float().unsqueeze(1))

    def measure(self, condition: str, predict: Predict, data: Data) -> Scores:
        """mse and r2 everywhere; on the in-distribution test also the amplitude of the output at each frequency."""
        scores = super().measure(condition, predict, data)
        measured = amplitudes(predict(data["iid"].x)[:, 0])
        return {**scores, "iid": {**scores["iid"], **dict(zip(AMPLITUDES, measured.tolist(), strict=True))}}

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """Indices: `learned_frequencies` at the chosen step; `order` and `unlearned_area` over the training."""
        row = rows["default"]
        iid = self.role_mean(rows, "iid")
        learned = sum(row.scores["iid"][name] >= LEARNED for name in AMPLITUDES)
        return Summary(
            iid=iid,
            ood=None,
            trained=self.passes_gate(iid),
            scores={},
            indices={"learned_frequencies": float(learned), **over_time(row.curve)},
        )


def target(t: Tensor, draw: Draw) -> Tensor:
    """f(t) over its standard deviation (N,), with this world's phases."""
    phases = 2 * math.pi * torch.rand(len(FREQUENCIES), generator=draw.generator("world"), dtype=torch.float64)
    k = torch.tensor(FREQUENCIES, dtype=torch.float64)
    return AMPLITUDE * torch.sin(2 * math.pi * k * t.unsqueeze(1) + phases).sum(1)


def amplitudes(values: Tensor) -> Tensor:
    """Amplitude (10,) of each frequency in values (N,) on an even grid over a period, in units of the target's.

    Exact for frequencies below N / 2, wherever the grid begins.
    """
    spectrum: Tensor = torch.fft.rfft(values.double()).abs() * 2 / len(values) / AMPLITUDE
    return spectrum[FREQUENCIES[0] : FREQUENCIES[-1] + 1]


def over_time(curve: Curve) -> dict[str, float]:
    """`order` and `unlearned_area`, as far as the curve defines them; of a single point neither.

    order: Spearman's correlation of the frequency with the step at which its amplitude first was .8.
    unlearned_area: 1 - amplitude, not below 0, averaged over frequencies and training; 1 for a model without any.
    """
    if len(curve) < 2:
        return {}

    def time_of(name: str) -> float:
        return first_step(curve, lambda scores: scores["iid"][name] >= LEARNED)

    order = learning_order([time_of(name) for name in AMPLITUDES])
    missing = fmean(max(0.0, 1 - scores["iid"][name]) for _, scores in curve for name in AMPLITUDES)
    return {"unlearned_area": missing} | ({} if order is None else {"order": order})


RAHAMAN = Source(
    key="rahaman2019spectral",
    authors="Nasim Rahaman, Aristide Baratin, Devansh Arpit, Felix Draxler, Min Lin, Fred A. Hamprecht, "
    "Yoshua Bengio, Aaron Courville",
    title="On the Spectral Bias of Neural Networks",
    venue="ICML",
    year=2019,
    url="https://proceedings.mlr.press/v97/rahaman19a.html",
)


def build(entry: Entry) -> Task:
    return Spectrum(
        TaskSpec(
            entry=entry,
            question="Which frequencies of a function does a model learn first?",
            problem=Problem("vector", (1,), "values", n_outputs=1, n_train=N_POINTS),
            splits=(
                Split("train", "train", N_POINTS, {"offset": 0.0}),
                Split("val", "val", N_POINTS, {"offset": 1 / 3}),
                Split("iid", "iid", N_POINTS, {"offset": 2 / 3}),
            ),
            budget=Budget(steps=4_000, batch_size=N_POINTS, evaluations=100, seconds=240.0, core_seconds=2.8),
            metric="r2",
            gate=0.55,
            axes=(
                Axis("order", "high frequencies first", "low frequencies first", ends=(-1.0, 1.0)),
                Axis("unlearned_area", "every frequency at once", "hardly any within the budget"),
            ),
            sources=(RAHAMAN,),
            notes=(
                "Every step sees all 128 points. Amplitudes are read between them, 2/3 of a spacing on: there are at "
                "least 12.8 points to a period, so the grid fixes every frequency, and a model that only remembers "
                "its points shows too.",
                "A frequency counts as learned from the first measured step at which its amplitude is .8. Those never "
                "learned come last, with one mean rank. Without two different times, or a curve, there is no order.",
                "Of ten frequencies only the first 4, 5, 6 or 7 learned, strictly in turn, are an order of .89, .94, "
                ".97 and .99. The area tells a slow climb from a quick one; what happens within 40 steps is not "
                "resolved.",
                "A straight line explains .05 of the variance on average over phases, and .52 when all of them "
                "happen to help; the gate asks for more than that: as much as five or six of the ten sines explain.",
                "The phase is not looked at, as in the paper: an amplitude may be right at a wrong phase early on.",
                "The paper has frequencies 5, 10, ..., 50 on 200 points and a ReLU network of 6 layers of 256 units "
                "trained for up to 60,000 steps; here 1 to 10, in standard units, so that a small network gets through "
                "most of them in seconds. It gives figures, no numbers.",
            ),
        )
    )
