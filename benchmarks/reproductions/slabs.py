"""Slab data: the area under the ROC curve when the simple coordinate, or all the others, are shuffled among test rows.

The paper stops at a training loss of .01 with SGD .1; here the suite's recipe is used, SGD .1 with momentum .9 for the
steps of the task. LMS-5 has the paper's 50 coordinates and 50,000 examples, the other two have ten coordinates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.reproductions._expected import Line, Published, closed_form
from benchmarks.reproductions._suite import suite_scores
from tasks.metrics import accuracy
from tasks.registry import load
from tasks.seeds import Draw

ENTRIES = {
    "lms5": {
        "paper": "Shah, Tamuly, Raghunathan, Jain and Netrapalli 2020 (shah2020pitfalls)",
        "where": "Table 4 and Figure 3b",
        "protocol": "simplicity/slabs-lms5, ReLU networks of the paper's sizes, the suite's recipe",
        "tier": "quick",
        "seeds": 5,
        "chunk": 1,
    },
    "ms57": {
        "paper": "Shah, Tamuly, Raghunathan, Jain and Netrapalli 2020 (shah2020pitfalls)",
        "where": "Table 4",
        "protocol": "simplicity/slabs-ms57 (ten coordinates, the paper has 50), the suite's recipe",
        "tier": "quick",
        "seeds": 10,
        "chunk": 1,
    },
    "noisy-lms7": {
        "paper": "Shah, Tamuly, Raghunathan, Jain and Netrapalli 2020 (shah2020pitfalls)",
        "where": "closed form, and pilots with 20 coordinates and 10,000 examples",
        "protocol": "simplicity/slabs-noisy-lms7 (ten coordinates, the paper has 50), the suite's recipe",
        "tier": "quick",
        "seeds": 10,
        "chunk": 1,
    },
}

SHUFFLED = {"simple shuffled": "simple-randomized", "complex shuffled": "complex-randomized"}
NETWORKS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "lms5": {
        "1 x 100 ReLU": {"width": 100, "depth": 1},
        "2 x 100 ReLU": {"width": 100, "depth": 2},
        "1 x 2000 ReLU": {"width": 2000, "depth": 1},
    },
    "ms57": {"1 x 100 ReLU": {"width": 100, "depth": 1}, "2 x 100 ReLU": {"width": 100, "depth": 2}},
    "noisy-lms7": {"1 x 200 ReLU": {"width": 200, "depth": 1}},
}
BAYES = "the linear coordinate alone, accuracy"


def printed(value: float, sd: float | None = None, source: str = "") -> Published:
    """A value with two decimals; how many runs are behind it is not said."""
    return Published(value, sd, last_digit=0.01, source=source)


LINES: Mapping[str, Mapping[str, Line]] = {
    "lms5": {
        "1 x 100 ReLU, simple shuffled, AUC": printed(0.50, source="Table 4"),
        "1 x 100 ReLU, complex shuffled, AUC": printed(1.00, source="Table 4"),
        "2 x 100 ReLU, simple shuffled, AUC": printed(0.49, source="Table 4"),
        "2 x 100 ReLU, complex shuffled, AUC": printed(1.00, source="Table 4"),
        "1 x 2000 ReLU, simple shuffled, AUC": printed(0.50, 0.01, "Figure 3b"),
        "1 x 2000 ReLU, complex shuffled, AUC": printed(1.00, 0.00, "Figure 3b"),
    },
    "ms57": {
        "1 x 100 ReLU, simple shuffled, AUC": printed(0.50),
        "1 x 100 ReLU, complex shuffled, AUC": printed(1.00),
        "2 x 100 ReLU, simple shuffled, AUC": printed(0.50),
        "2 x 100 ReLU, complex shuffled, AUC": printed(1.00),
    },
    "noisy-lms7": {
        BAYES: closed_form(0.95),
        "1 x 200 ReLU, accuracy": Published(0.949, last_digit=0.001, source="pilot"),
        "1 x 200 ReLU, simple shuffled, AUC": Published(0.512, last_digit=0.001, source="pilot"),
        "1 x 200 ReLU, complex shuffled, AUC": Published(0.995, last_digit=0.001, source="pilot"),
    },
}


def measure(name: str, seeds: Sequence[int]) -> dict[str, list[float]]:
    """Every line, one value a seed."""
    found: dict[str, list[float]] = {line: [] for line in LINES[name]}
    for seed in seeds:
        for network, hparams in NETWORKS[name].items():
            scores = suite_scores(f"simplicity/slabs-{name}-v1", "mlp", seed, hparams=hparams).selected
            for shuffled, split in SHUFFLED.items():
                found[f"{network}, {shuffled}, AUC"].append(scores[split]["auc"])
            if f"{network}, accuracy" in found:
                found[f"{network}, accuracy"].append(scores["iid"]["accuracy"])
        if BAYES in found:
            found[BAYES].append(linear_coordinate_alone(name, seed))
    return found


def linear_coordinate_alone(name: str, seed: int) -> float:
    """Accuracy of the sign of the linear coordinate on the training examples."""
    task = load(f"simplicity/slabs-{name}-v1")
    draw = Draw(task.spec.id, seed)
    (batch,) = (task.sample("default", split, draw) for split in task.spec.with_role("train"))
    return accuracy(task.references("default", draw)["simple_alone"](batch), batch.y)
