"""Regular languages at lengths that were not trained on: who carries a counter from 20 tokens to 200.

The paper trains for a million steps on lengths 1 to 40, averages over lengths 41 to 500 and prints the best of ten
runs; its recurrent networks solve these languages in every run. Here: 6,000 steps on lengths 1 to 20, mean over six
lengths from 41 to 200, and the mean over seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from benchmarks.reproductions._expected import Line, Published
from benchmarks.reproductions._suite import suite_scores
from tasks.registry import load

ENTRIES = {
    "length-parity": {
        "paper": "Deletang et al. 2023 (deletang2023chomsky)",
        "where": "Table 2, parity check",
        "protocol": "shift/length-parity, the baselines lstm and transformer, the suite's recipe and budget",
        "tier": "full",
        "seeds": 3,
        "chunk": 1,
    },
    "length-cycle": {
        "paper": "Deletang et al. 2023 (deletang2023chomsky)",
        "where": "Table 2, cycle navigation",
        "protocol": "shift/length-cycle, the baselines lstm and transformer, the suite's recipe and budget",
        "tier": "full",
        "seeds": 3,
        "chunk": 1,
    },
    "length-sum": {
        "paper": "Deletang et al. 2023 (deletang2023chomsky)",
        "where": "Table 2, modular arithmetic without brackets, the nearest task",
        "protocol": "shift/length-sum, the baselines lstm and transformer, the suite's recipe and budget",
        "tier": "full",
        "seeds": 3,
        "chunk": 1,
    },
}

MODELS = {"LSTM": "lstm", "Transformer": "transformer"}
BEST_OF_FIFTY = (
    "Printed is the best of ten runs of the best of five positional encodings, after a million steps on lengths to 40; "
    "ours is a mean over runs of one encoding after 6,000 steps on lengths to 20. Compare the order of the classes."
)
SHORT_TRAINING = (
    "A million steps there, 6,000 here: the cycle moves by one place a token and is the slowest of the three to learn."
)
OTHER_TASK = "The printed task has differences and products too; its content-blind floor is .202, that of sums .2."


def printed(accuracy: float, explanation: str = "") -> Published:
    """The best of ten runs, printed in percent with one decimal."""
    return Published(accuracy, n=10, last_digit=0.001, explanation=explanation)


LINES: Mapping[str, Mapping[str, Line]] = {
    "length-parity": {"LSTM": printed(1.0), "Transformer": printed(0.520, BEST_OF_FIFTY)},
    "length-cycle": {"LSTM": printed(1.0, SHORT_TRAINING), "Transformer": printed(0.619, BEST_OF_FIFTY)},
    "length-sum": {"LSTM": printed(1.0), "Transformer": printed(0.242, f"{OTHER_TASK} {BEST_OF_FIFTY}")},
}


def measure(name: str, seeds: Sequence[int]) -> dict[str, list[float]]:
    """Accuracy in [0, 1], averaged over the task's test lengths, one a seed."""
    task = load(f"shift/{name}-v1")
    lengths = [split.name for split in task.spec.with_role("ood")]
    found: dict[str, list[float]] = {line: [] for line in LINES[name]}
    for seed in seeds:
        for line, model in MODELS.items():
            scores = suite_scores(task.spec.id, model, seed).selected
            found[line].append(fmean(scores[length]["accuracy"] for length in lengths))
    return found
