"""A cubic learned where x is around 0.5 and tested where it is around 0, with and without the known density ratio.

Train: x ~ N(0.5, 0.5^2), y = x^3 - x + 0.3 e. Test: x ~ N(0, 0.3^2). p(y|x) does not change and the ratio
w(x) = p_test(x) / p_train(x) is given, so that weighting the loss by it targets the test distribution exactly. It
pays for a model class that cannot hold the cubic, costs variance in one that can, and does nothing to a linear model
that interpolates.

    x = 0.5   weight 0.42   y = -0.38 + noise      many training points, little test mass
    x = -0.1  weight 3.24   y = +0.10 + noise      few training points, most of the test mass
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from tasks.registry import Entry
from tasks.seeds import Draw
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
    clip,
)

ENTRIES = {
    "shift/reweight-v1": {
        "summary": "a cubic under covariate shift, fitted with and without the true density ratio",
        "input": "vector",
        "tags": ["synthetic", "regression", "closed-form", "flagship"],
    }
}

NOISE_SD: Final = 0.3
GRID_HALF_WIDTH_SD: Final = 6.0  # a normal density holds all but 2e-9 of its mass there
LEAST_EXCESS: Final = 1e-12  # keeps the logarithm finite where an oracle takes part

SHIMODAIRA: Final = Source(
    key="shimodaira2000improving",
    authors="Hidetoshi Shimodaira",
    title="Improving predictive inference under covariate shift by weighting the log-likelihood function",
    venue="Journal of Statistical Planning and Inference 90(2)",
    year=2000,
    url="https://doi.org/10.1016/S0378-3758(00)00115-4",
)
BYRD_LIPTON: Final = Source(
    key="byrd2019effect",
    authors="Jonathon Byrd and Zachary C. Lipton",
    title="What is the Effect of Importance Weighting in Deep Learning?",
    venue="ICML",
    year=2019,
    url="https://proceedings.mlr.press/v97/byrd19a.html",
)


@dataclass(frozen=True)
class Normal:
    """A normal distribution of the input."""

    mean: float
    sd: float

    def density(self, x: Tensor) -> Tensor:
        """The density at x, of x's shape."""
        return (-0.5 * ((x - self.mean) / self.sd).square()).exp() / (self.sd * math.sqrt(2 * math.pi))

    def grid(self, size: int) -> Tensor:
        """`size` equidistant points over six standard deviations on either side, float64."""
        reach = GRID_HALF_WIDTH_SD * self.sd
        return torch.linspace(self.mean - reach, self.mean + reach, size, dtype=torch.float64)


TRAIN: Final = Normal(0.5, 0.5)
TEST: Final = Normal(0.0, 0.3)


@dataclass(frozen=True)
class Line:
    """slope * x + intercept."""

    slope: float
    intercept: float

    def __call__(self, x: Tensor) -> Tensor:
        return self.slope * x + self.intercept


def cubic(x: Tensor) -> Tensor:
    """The regression function x^3 - x, the same everywhere."""
    return x**3 - x


def density_ratio(x: Tensor) -> Tensor:
    """w(x) = p_test(x) / p_train(x), of x's shape; its mean over the training distribution is 1."""
    return TEST.density(x) / TRAIN.density(x)


def second_moment_of_weights() -> float:
    """E_train[w^2] in closed form, 2.3946; finite only while 2 sd_train^2 > sd_test^2."""
    width = 2 * TRAIN.sd**2 - TEST.sd**2
    return TRAIN.sd**2 / (TEST.sd * math.sqrt(width)) * math.exp((TEST.mean - TRAIN.mean) ** 2 / width)


def effective_sample_size(n: int) -> float:
    """How many unweighted test points n weighted training points are worth, n / E_train[w^2] (Kish)."""
    return n / second_moment_of_weights()


def population_line(inputs: Normal) -> Line:
    """The least-squares line to the cubic, in closed form (Stein's lemma: the slope is E[f'(x)] = E[3x^2 - 1])."""
    m, variance = inputs.mean, inputs.sd**2
    slope = 3 * m**2 + 3 * variance - 1
    mean_target = m**3 + 3 * m * variance - m
    return Line(slope, mean_target - slope * m)


def excess_risk(outputs: Tensor, target: Tensor, weight: Tensor | None) -> float:
    """Weighted mean of (outputs - target)^2 over N points, accumulated in float64; `target` carries no noise."""
    error = (outputs.double() - target.double()).square().flatten()
    weight = torch.ones_like(error) if weight is None else weight.double()
    return float((weight * error).sum() / weight.sum())


def excess_risk_of_line(line: Line, inputs: Normal, size: int = 4001) -> float:
    """E[(line(x) - f(x))^2] by quadrature."""
    x = inputs.grid(size)
    return excess_risk(line(x), cubic(x), inputs.density(x))


class Reweight(Task):
    """Excess risk under the test density, of the plain and of the importance-weighted estimator."""

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """Training and validation inputs are drawn; `iid` and `ood` are quadrature grids weighted by their density.

        Both conditions get the same points. Where the loss is weighted, so is the validation risk.
        """
        if split.role in ("iid", "ood"):
            inputs = TRAIN if split.role == "iid" else TEST
            x = inputs.grid(split.size)
            return columns(x, cubic(x), inputs.density(x))
        generator = draw.generator(split.name)
        standard, noise = torch.randn(2, split.size, generator=generator, dtype=torch.float64)
        x = TRAIN.mean + TRAIN.sd * standard
        noise_sd = NOISE_SD if split.role == "train" else 0.0
        weighted = self.spec.condition(condition).params["weighted"]
        return columns(x, cubic(x) + noise_sd * noise, density_ratio(x) if weighted else None)

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """`oracle` is the cubic, `shortcut` and `best_line` the best lines where the training and test inputs lie."""
        train_line, test_line = population_line(TRAIN), population_line(TEST)
        return {
            "oracle": lambda batch: cubic(batch.x),
            "shortcut": lambda batch: train_line(batch.x),
            "best_line": lambda batch: test_line(batch.x),
            "constant": lambda batch: torch.zeros_like(batch.x),  # the mean target, in training and in test
        }

    def evaluate(self, outputs: Tensor, batch: Batch) -> Mapping[str, float]:
        """`excess_risk` of outputs (N, 1) against noise-free targets."""
        return {"excess_risk": excess_risk(outputs, batch.y, batch.weight)}

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """The mean score, both estimators apart, and the index that says what weighting did.

        `weight_sensitivity` is log10(excess of ERM / excess of weighted ERM): positive where weighting helped, near 0
        where the model interpolates. `iid` is ERM's, and with it the gate: weighting gives up training regions on
        purpose.
        """
        summary = super().summarize(rows)
        iid = rows["erm"].scores["iid"]["excess_risk"]
        excess = {name: max(row.scores["ood"]["excess_risk"], LEAST_EXCESS) for name, row in rows.items()}
        apart = {f"score_{name}": clip(self.anchored(row, "ood")) for name, row in rows.items()}
        return replace(
            summary,
            iid=iid,
            trained=self.passes_gate(iid),
            scores={**summary.scores, **apart},
            indices={"weight_sensitivity": math.log10(excess["erm"] / excess["weighted"])},
        )


def columns(x: Tensor, y: Tensor, weight: Tensor | None) -> Batch:
    """Columns (N,) in float64 to a batch in float32: x and y (N, 1), weight (N,)."""
    return Batch(x[:, None].float(), y[:, None].float(), weight=None if weight is None else weight.float())


def build(entry: Entry) -> Task:
    n_train = 100
    return Reweight(
        TaskSpec(
            entry=entry,
            question=(
                "Does a model class need importance weights under covariate shift, and does it pay for them? "
                "Weights help what is misspecified, cost variance in what is not, and vanish in what interpolates."
            ),
            problem=Problem("vector", (1,), "values", n_outputs=1, n_train=n_train),
            splits=(
                Split("train", "train", n_train, {"mean": TRAIN.mean, "sd": TRAIN.sd, "noise_sd": NOISE_SD}),
                Split("val", "val", 1000, {"mean": TRAIN.mean, "sd": TRAIN.sd, "noise_sd": 0.0}),
                Split("iid", "iid", 4001, {"mean": TRAIN.mean, "sd": TRAIN.sd, "quadrature": True}),
                Split("ood", "ood", 4001, {"mean": TEST.mean, "sd": TEST.sd, "quadrature": True}),
            ),
            conditions=(
                Condition("erm", "plain mean of the loss", {"weighted": False}),
                Condition("weighted", "mean of w times the loss over the mean of w", {"weighted": True}),
            ),
            budget=Budget(steps=1500, batch_size=n_train, evaluations=15),
            recipe=Recipe(optimizer="adam", learning_rate=1e-2),
            metric="excess_risk",
            higher_is_better=False,
            floor="shortcut",
            ceiling="oracle",
            gate=0.437,  # every constant has at least E_train[f^2] = .4375
            sources=(SHIMODAIRA, BYRD_LIPTON),
            published=(
                Published("E_train[w^2], closed form", second_moment_of_weights()),
                Published("effective sample size of 100 weighted points", effective_sample_size(n_train)),
                Published("excess risk, train-optimal line", excess_risk_of_line(population_line(TRAIN), TEST)),
                Published("excess risk, test-optimal line", excess_risk_of_line(population_line(TEST), TEST)),
            ),
            notes=(
                "The shortcut is the line that fits where the data are, -0.25 + 0.5 x: on the test inputs its slope "
                "has the wrong sign (-0.73 x is best there).",
                "The cubic is small on the test inputs: there the constant 0 has an excess risk of .0523, a score of "
                ".74. The gate keeps constants out (.4375 or more in distribution) and lets the best line in (.375); "
                "a line fitted to 100 points may miss it.",
                "The training loss is noisy. Validation targets are noise-free draws from the training inputs, and "
                "both tests are quadratures, so that every number is an excess risk without test noise.",
                "Selection never sees test inputs. In the weighted condition the validation risk carries the same "
                "density ratio, as importance-weighted validation would; unweighted validation would pick the step "
                "that is best for the distribution that the weights are meant to leave. The in-distribution test is "
                "unweighted in both conditions and shows what weighting gives up.",
                "In distribution only the plain estimator is asked to have learned the task: the value that is shown "
                "there, and that the gate reads, is its own. Out of distribution the value is the mean of both.",
                "Weights are exact and not clipped. At 100 points the spread over draws is larger than the effect of "
                "most architectures: compare models over 20 seeds.",
            ),
        )
    )
