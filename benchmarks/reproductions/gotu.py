"""Generalization on the unseen: the exact anchors of the Boolean tasks, random features at least norm, and an MLP.

The paper prints no table. What it derives is exact and is measured here from the task's own reference predictors; what
it shows in figures (random features go to the interpolator of least degree, an MLP leaks a little) is a leak between 0
(that interpolator) and 1 (the target).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from benchmarks.reproductions._expected import Line, Published, Unpublished, closed_form
from benchmarks.reproductions._suite import suite_scores
from tasks.registry import load
from tasks.seeds import Draw, generator
from tasks.types import Predict, Task, load_data

ENTRIES = {
    "gotu": {
        "paper": "Abbe, Bengio, Lotfi and Rizk 2023 (abbe2023unseen)",
        "where": "definition of the minimum-degree interpolator; its figures have no table",
        "protocol": "reference predictors, 8,192 random ReLU features at least norm, and the baseline mlp on unseen-f2 "
        "and its siblings",
        "tier": "quick",
        "seeds": 5,
        "chunk": 1,
    }
}

MEASURES = {"on the unseen part": "unseen", "on the cube": "cube"}
MINIMUM_DEGREE = {"f1": (19.25, 9.625), "f2": (16.0, 4.0), "f3": (64.0, 8.0), "f4": (4.0, 1.0)}
NEAREST = {"f2": 0.5, "length": 260 / 1024}
NETWORKS = ("f2", "f3", "f4")
FEATURES = 8_192


def closed_forms() -> dict[str, Line]:
    """Mean squared errors and leaks of predictors that are known exactly."""
    found: dict[str, Line] = {
        f"unseen-{target}, minimum degree, MSE {where}": closed_form(value, 1e-3)
        for target, values in MINIMUM_DEGREE.items()
        for where, value in zip(MEASURES, values, strict=True)
    }
    found["unseen-f2, nearest neighbour, MSE on the unseen part"] = closed_form(4.0, 1e-3)
    return found | {f"unseen-{t}, nearest neighbour, leak": closed_form(leak) for t, leak in NEAREST.items()}


LINES: Mapping[str, Mapping[str, Line]] = {
    "gotu": {
        **closed_forms(),
        "unseen-f2, random features at least norm, leak": Published(0.11, n=1, last_digit=0.01, source="pilot"),
        **{f"unseen-{target}, mlp, leak": Unpublished(floor=0.0, oracle=1.0) for target in NETWORKS},
    }
}


def measure(name: str, seeds: Sequence[int]) -> dict[str, list[float]]:
    """Every line, one value a seed. The exact ones do not depend on it."""
    found: dict[str, list[float]] = {line: [] for line in LINES[name]}
    for seed in seeds:
        for line, value in (exact() | random_features(seed) | networks(seed)).items():
            found[line].append(value)
    return found


def exact() -> dict[str, float]:
    """What the task's reference predictors score in the task's own measure."""
    found: dict[str, float] = {}
    for target in MINIMUM_DEGREE:
        scores = reference_scores(load(f"simplicity/unseen-{target}-v1"), "minimum_degree")
        for where, split in MEASURES.items():
            found[f"unseen-{target}, minimum degree, MSE {where}"] = scores[split]["mse"]
    for target in NEAREST:
        scores = reference_scores(load(f"simplicity/unseen-{target}-v1"), "nearest_neighbour")
        found[f"unseen-{target}, nearest neighbour, leak"] = scores["cube"]["leak"]
        if target == "f2":
            found["unseen-f2, nearest neighbour, MSE on the unseen part"] = scores["unseen"]["mse"]
    return found


def reference_scores(task: Task, name: str) -> Mapping[str, Mapping[str, float]]:
    """A reference predictor in place of a model."""
    draw = Draw(task.spec.id, 0)
    data = load_data(task, "default", draw)
    predictor = task.references("default", draw)[name]
    batches = {id(batch.x): batch for batch in data.values()}
    return task.measure("default", lambda x: predictor(batches[id(x)]), data)


def random_features(seed: int) -> dict[str, float]:
    """The leak of random ReLU features, weights and biases of one variance, whose readout has the least norm."""
    task = load("simplicity/unseen-f2-v1")
    data = load_data(task, "default", Draw(task.spec.id, 0))
    predict = least_norm(data["train"].x, data["train"].y, generator("reproductions", "gotu", seed))
    leak = task.measure("default", predict, data)["cube"]["leak"]
    return {"unseen-f2, random features at least norm, leak": leak}


def least_norm(x: torch.Tensor, y: torch.Tensor, stream: torch.Generator) -> Predict:
    """The interpolator (N, d) -> (N, 1) of least norm in 8,192 frozen features relu(w . x + b)."""
    weight = torch.randn(x.shape[1], FEATURES, generator=stream, dtype=torch.float64)
    bias = torch.randn(FEATURES, generator=stream, dtype=torch.float64)

    def features(inputs: torch.Tensor) -> torch.Tensor:
        return (inputs.double() @ weight + bias).relu()

    seen = features(x)  # (N, F), F > N: the readout lies in the span of the rows
    dual = torch.linalg.solve(seen @ seen.T, y.double())
    readout = seen.T @ dual
    return lambda inputs: (features(inputs) @ readout).float()


def networks(seed: int) -> dict[str, float]:
    """The leak of the baseline `mlp` in trials of the suite."""
    return {
        f"unseen-{target}, mlp, leak": suite_scores(f"simplicity/unseen-{target}-v1", "mlp", seed).selected["cube"][
            "leak"
        ]
        for target in NETWORKS
    }
