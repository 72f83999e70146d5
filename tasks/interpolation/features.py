"""A noisy sum of two hundred numbers, forty examples, and the first p numbers to fit it with: double descent, exactly.

y = (x_1 + ... + x_200) / sqrt(200) + noise, x standard normal, noise of standard deviation .5. For least squares at
least norm the expected risk is a formula in p, infinite at p = 40:

    p = 10     0.95 + 1.20 x 10/29          = 1.36     fewer numbers than examples
    p = 36     0.82 + 1.07 x 36/3           = 13.66    nearly as many: the noise is fitted at any price
    p = 200    0 + 1 x (1 - 40/200) + .25 x 40/159 = .863    and the largest fit is the only one better than none
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.double_descent import peak_ratio, regret
from tasks.sources.learning_curves import mean_log_ratio
from tasks.sources.minimum_norm import least_norm, risk_on_features
from tasks.types import (
    Axis,
    Batch,
    Budget,
    Condition,
    Data,
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
    "interpolation/features-v1": {
        "summary": "a noisy sum of 200 inputs fitted to 40 examples with the first 10 to 200 of them",
        "input": "vector",
        "tags": ["synthetic", "regression", "closed-form", "flagship"],
    }
}

N_INPUTS, N_TRAIN = 200, 40
NOISE_SD = 0.5
FEATURES = (10, 20, 30, 36, 44, 60, 100, 200)
LARGEST = str(FEATURES[-1])
FITTED = 1e-4
LEAST_RISK = 1e-12  # keeps a logarithm finite where an oracle takes part


class Features(Task):
    """Excess risk against the number of inputs that are seen. Every condition has the same forty examples."""

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """The first p of 200 inputs x (N, p), y (N, 1) with noise where it is trained on; `fitted` is `train` again."""
        noisy = split.role in ("train", "fitted")
        generator = draw.generator("train" if noisy else split.name)
        x = torch.randn(split.size, N_INPUTS, generator=generator)
        noise = NOISE_SD * noisy * torch.randn(split.size, 1, generator=generator)
        return Batch(x[:, : int(condition)].contiguous(), x.sum(1, keepdim=True) / math.sqrt(N_INPUTS) + noise)

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """`null` says 0, `oracle` adds up what it sees, `least_norm` is fitted to the training examples."""
        train = self.sample(condition, self.spec.split("train"), draw)
        fitted = least_norm(train.x, train.y).float()
        return {
            "null": lambda batch: torch.zeros(len(batch), 1),
            "oracle": lambda batch: batch.x.sum(1, keepdim=True) / math.sqrt(N_INPUTS),
            "least_norm": lambda batch: batch.x @ fitted,
        }

    def anchors(self, condition: str, data: Data, draw: Draw) -> Scores:
        """Those of every task, and the expected risk of least squares in closed form."""
        anchors = super().anchors(condition, data, draw)
        expected = expected_risk(int(condition))
        return {**anchors, "test": {**anchors["test"], "expected_least_norm": expected}}

    def is_answered(self, scores: Scores) -> bool:
        """Further steps on examples that are fitted this well change nothing."""
        return scores["fitted"]["mse"] < FITTED

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """Everything is read at the last step, with the examples fitted.

        `score` is that with all 200 inputs, between the null predictor and the sum of what is seen. Indices:
        `peak_height`, log10 of the risk at the peak over that with all inputs, 0 without a peak; `regret`, what all
        inputs lose to the best number of them; `from_least_norm`, the mean over p of log10(risk / risk of the fit of
        least norm to the same examples).
        """
        last = {name: replace(row, scores=row.last) for name, row in rows.items()}
        ordered = [last[str(p)] for p in FEATURES]
        risks = [max(row.scores["test"]["mse"], LEAST_RISK) for row in ordered]
        largest = self.anchored(last[LARGEST], "test")
        return Summary(
            iid=self.role_mean(last, "iid"),
            ood=self.role_mean(last, "ood"),
            trained=self.passes_gate(last[LARGEST].scores["fitted"]["mse"]),
            scores={"score": clip(largest), "score_unclipped": largest},
            indices={
                "peak_height": math.log10(peak_ratio(risks)),
                "regret": regret(risks, null=1.0),
                "from_least_norm": mean_log_ratio(risks, [row.anchors["test"]["least_norm"] for row in ordered]),
            },
        )


def expected_risk(n_features: int) -> float:
    """The risk of least squares at least norm on so many inputs, in the mean over training sets."""
    return risk_on_features(N_TRAIN, N_INPUTS, n_features, NOISE_SD)


EXPECTED_PEAK = math.log10(peak_ratio([expected_risk(p) for p in FEATURES]))

BELKIN = Source(
    key="belkin2020two",
    authors="Mikhail Belkin, Daniel Hsu, Ji Xu",
    title="Two Models of Double Descent for Weak Features",
    venue="SIAM Journal on Mathematics of Data Science 2(4)",
    year=2020,
    url="https://doi.org/10.1137/20M1336072",
)
HASTIE = Source(
    key="hastie2022surprises",
    authors="Trevor Hastie, Andrea Montanari, Saharon Rosset, Ryan J. Tibshirani",
    title="Surprises in High-Dimensional Ridgeless Least Squares Interpolation",
    venue="The Annals of Statistics 50(2)",
    year=2022,
    url="https://doi.org/10.1214/21-AOS2133",
)


def build(entry: Entry) -> Task:
    clean = (Split("val", "val", 1_000), Split("iid", "iid", 1_000), Split("test", "ood", 3_000))
    return Features(
        TaskSpec(
            entry=entry,
            question="What does a class that fits its examples make of more and more inputs: the peak of least "
            "squares, or no peak?",
            problem=Problem("vector", (N_INPUTS,), "values", n_outputs=1, n_train=N_TRAIN),
            splits=(Split("train", "train", N_TRAIN), *clean, Split("fitted", "fitted", N_TRAIN)),
            conditions=tuple(
                Condition(str(p), f"the first {p} inputs", problem={"input_shape": (p,)}) for p in FEATURES
            ),
            budget=Budget(steps=3_000, batch_size=N_TRAIN, evaluations=20, first=100, seconds=240.0, core_seconds=0.8),
            recipe=Recipe(learning_rate=3e-3),
            metric="mse",
            higher_is_better=False,
            floor="null",
            ceiling="oracle",
            gate=0.5,
            axes=(Axis("peak_height", "no peak", "the peak of least squares", ends=(0.0, EXPECTED_PEAK)),),
            sources=(BELKIN, HASTIE),
            published=tuple(
                Published(f"expected risk at least norm, p = {p}, closed form", round(expected_risk(p), 4))
                for p in FEATURES
            ),
            notes=(
                "The floor predicts 0 and has a risk of 1, the variance of the target; the ceiling adds up what it "
                "sees with the true weights. Seen with ten inputs it has .95 itself.",
                "Risks are excess risks: the noise of a test label, .25, is not in them. The formula is a mean over "
                "training sets; near the threshold single ones scatter around it, so that the anchor `least_norm`, "
                "fitted to the examples of the seed, is what a model is compared with.",
                "Only with all inputs is fitting the noise better than saying 0. A penalty, or an early end, is better "
                "at every number of inputs: that is what `from_least_norm` below 0 shows.",
                "The gate is on the training examples: with all inputs their mean squared error must be at most .5, "
                "which a constant does not reach and the truth does (.25). Nearest neighbours, which average, stay "
                "above it.",
                "A linear network trained by gradient descent from 0 would end in the solution of least norm; the "
                "baseline `linear` has an intercept and is trained by Adam, and ends close to it. Near the threshold "
                "it is not there after 3,000 steps.",
                "Our own sample, two seeds: `linear` has a peak_height of .79 and 1.18 and is .02 and .04 from the fit "
                "of least norm; mlp has none and is at -.23 and -.42, kernel-ridge has .06 and is at -.35 and -.47.",
                "A network with hidden layers fits forty examples from ten inputs already. Inputs are then not the "
                "size that matters, and the peak is not theirs: the twin `interpolation/width` turns that knob.",
            ),
        )
    )
