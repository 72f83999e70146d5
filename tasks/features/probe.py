"""Four latents matter and four do not, mixed into 32 inputs: which of them do a model's leading features hold?

z and u are uniform on [-1, 1]^4. Inputs are x = V tanh(W (z, u)), with 64 hidden units between. A model learns
sin(2 a_t.z) for 1, 2, 4 or 16 directions a_t at once, and u never matters. Then its features, the inputs of its last
linear layer, are asked for z and for u.

    all of x       tells z and u alike, and so does every wide network, trained or not
    six directions of the features, those of most variance, hold what the model made of x
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean

import torch
from torch import Tensor

from tasks import metrics
from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.types import (
    Axis,
    Batch,
    Budget,
    Condition,
    Data,
    Predict,
    Predictor,
    Problem,
    Recipe,
    Row,
    Scores,
    Source,
    Split,
    Summary,
    Task,
    TaskSpec,
    Trained,
)

ENTRIES = {
    "features/probe-v1": {
        "summary": "sines of 4 of 8 latents behind 32 inputs; which latents the leading features hold",
        "input": "vector",
        "tags": ["synthetic", "regression", "features"],
    }
}

N_LATENTS, N_HIDDEN, N_INPUTS = 4, 64, 32
TASKS = (1, 2, 4, 16)
COMPONENTS = N_LATENTS + 2
RIDGE = 1e-3
WHICH = ("relevant", "irrelevant")


class Probe(Task):
    """The mixing is drawn per seed, the same in all conditions; so are the directions, of which the first T are used.

    `latent` (N, 8) are z and u.
    """

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """x (N, 32) and y (N, T)."""
        latent = 2 * torch.rand(split.size, 2 * N_LATENTS, generator=draw.generator(condition, split.name)) - 1
        n_tasks = self.spec.at(condition).problem.n_outputs
        return Batch(mixed(latent, draw), targets(latent, draw)[:, :n_tasks], latent=latent)

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """`oracle` knows the latents."""
        n_tasks = self.spec.at(condition).problem.n_outputs

        def oracle(batch: Batch) -> Tensor:
            assert batch.latent is not None
            return targets(batch.latent, draw)[:, :n_tasks]

        return {"oracle": oracle}

    def measure(self, condition: str, predict: Predict, data: Data) -> Scores:
        """mse and r2; on the in-distribution test also how much of the latents a line finds in the features.

        `relevant` and `irrelevant` read six principal components, `relevant_full` and `irrelevant_full` all of them. A
        plain function has its outputs for features.
        """
        scores = super().measure(condition, predict, data)
        features = predict.features if isinstance(predict, Trained) else predict
        fit, test = data["probes"], data["iid"]
        held = held_latents(features(fit.x), fit, features(test.x), test)
        return {**scores, "iid": {**scores["iid"], **held}}

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """Index `selectivity`: of z minus of u in six components, averaged over conditions; and both by condition."""
        iid = self.role_mean(rows, "iid")
        found = {name: row.scores["iid"] for name, row in rows.items()}
        return Summary(
            iid=iid,
            ood=None,
            trained=self.passes_gate(iid),
            scores={},
            indices={
                "selectivity": fmean(values["relevant"] - values["irrelevant"] for values in found.values()),
                **{f"{which}_{name}": values[which] for name, values in found.items() for which in WHICH},
                **{f"{which}_full": fmean(v[f"{which}_full"] for v in found.values()) for which in WHICH},
            },
        )


def mixed(latent: Tensor, draw: Draw) -> Tensor:
    """V tanh(W (z, u)), latents (N, 8) to inputs (N, 32)."""
    generator = draw.generator("world", "mixing")
    w = 1.5 / math.sqrt(2 * N_LATENTS) * torch.randn(2 * N_LATENTS, N_HIDDEN, generator=generator)
    v = torch.randn(N_HIDDEN, N_INPUTS, generator=generator) / math.sqrt(N_HIDDEN)
    x: Tensor = (latent @ w).tanh() @ v
    return x


def targets(latent: Tensor, draw: Draw) -> Tensor:
    """sin(2 a_t.z) for 16 directions, latents (N, 8) to (N, 16)."""
    directions = torch.randn(N_LATENTS, max(TASKS), generator=draw.generator("world", "targets"))
    return (2 * latent[:, :N_LATENTS] @ directions).sin()


def held_latents(fit_features: Tensor, fit: Batch, test_features: Tensor, test: Batch) -> dict[str, float]:
    """R2 of ridge regression from features (N, F) to z and u, from six principal components and from all."""
    assert fit.latent is not None and test.latent is not None
    mean = fit_features.double().mean(0)
    seen, new = fit_features.double() - mean, test_features.double() - mean
    basis = torch.linalg.svd(seen, full_matrices=False).Vh.T  # (F, components), those of most variance first
    found = {}
    for suffix, count in (("", COMPONENTS), ("_full", basis.shape[1])):
        guess = ridge(seen @ basis[:, :count], fit.latent.double(), new @ basis[:, :count])
        for which, latents in zip(WHICH, (slice(0, N_LATENTS), slice(N_LATENTS, None)), strict=True):
            found[f"{which}{suffix}"] = metrics.r2(guess[:, latents], test.latent[:, latents])
    return found


def ridge(x: Tensor, y: Tensor, new: Tensor) -> Tensor:
    """Predictions at new points (M, C) of ridge regression on centred x (N, k), in units of the largest variance."""
    penalty = RIDGE * x.square().sum(0).max().clamp(min=1e-12) * torch.eye(x.shape[1], dtype=x.dtype)
    mean = y.mean(0)
    coefficients = torch.linalg.solve(x.T @ x + penalty, x.T @ (y - mean))
    guess: Tensor = mean + new @ coefficients
    return guess


NOTES = (
    "Features are the inputs of the last linear layer; for `linear` they are x itself. A class without such a layer, "
    "and an estimator, is skipped. Ridge regression (1e-3 of the largest variance) on 1,000 fresh examples reads z "
    "and u, and its R2 on 2,000 others is averaged over the four coordinates.",
    "Probes of full width say nothing: x has both kinds of latents in nearly linear form, so that random features "
    "hold .98 of either and a trained network still .82 of what never mattered. What a model made of x is in the "
    "directions of most variance. There are six: the four latents, and two for the bends of a sine.",
    "One target depends on one direction a.z, and holds one latent of four, an R2 of 1/4 if that were all; with more "
    "targets there is more to hold, and less room for u.",
    "Our own figures, seed 0, z and u in six components at 1, 2, 4, 16 targets: `mlp` .45, .48, .89, .95 and .04, "
    ".07, .01, .00; random features .72 and .75 at all of them; x itself .71 and .76. Pilots with 2 x 128 units: .64, "
    ".80, .72, .96 and .34, .08, .01, .00. At one and two targets it depends on the directions that a seed draws.",
    "It describes and has no score: a model that keeps what it does not need is ready for other targets.",
)

ALAIN = Source(
    key="alain2017understanding",
    authors="Guillaume Alain, Yoshua Bengio",
    title="Understanding intermediate layers using linear classifier probes",
    venue="ICLR workshop",
    year=2017,
    url="https://arxiv.org/abs/1610.01644",
)
HERMANN = Source(
    key="hermann2020shapes",
    authors="Katherine L. Hermann, Andrew K. Lampinen",
    title="What shapes feature representations? Exploring datasets, architectures, and training",
    venue="NeurIPS",
    year=2020,
    url="https://arxiv.org/abs/2006.12433",
)


def build(entry: Entry) -> Task:
    return Probe(
        TaskSpec(
            entry=entry,
            question="Do a model's leading features hold the latents that its targets depend on, and no others?",
            problem=Problem("vector", (N_INPUTS,), "values", n_outputs=TASKS[0], n_train=4_000),
            splits=(
                Split("train", "train", 4_000),
                Split("val", "val", 1_000),
                Split("iid", "iid", 2_000),
                Split("probes", "probe", 1_000),
            ),
            conditions=tuple(
                Condition(f"t{n}", f"{n} target{'s' * (n > 1)} at once", problem={"n_outputs": n}) for n in TASKS
            ),
            budget=Budget(steps=2_500, batch_size=64, evaluations=5, seconds=240.0, core_seconds=10.0),
            recipe=Recipe(optimizer="adamw", learning_rate=2e-3, weight_decay=0.1),
            metric="r2",
            gate=0.4,
            axes=(Axis("selectivity", "holds relevant and irrelevant latents alike", "holds the relevant ones alone"),),
            sources=(ALAIN, HERMANN),
            notes=NOTES,
        )
    )
