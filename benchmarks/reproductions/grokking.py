"""Addition modulo 31: a network that adds exactly, the steps until the rest of the table is known, and the control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.reproductions._expected import Line, Published
from benchmarks.reproductions._suite import Measured, suite_scores
from benchmarks.training import chunks
from tasks.metrics import accuracy
from tasks.registry import load
from tasks.seeds import generator
from tasks.sources.modular_addition import analytic_network, pairs

ENTRIES = {
    "modular-addition": {
        "paper": "Gromov 2023 (gromov2023grokking)",
        "where": "the analytic network of section 3, at p = 31 and 97",
        "protocol": "accuracy on the whole table, frequencies and phases drawn once a seed",
        "tier": "quick",
        "seeds": 10,
        "chunk": 5,
    },
    "grokking": {
        "paper": "Gromov 2023 (gromov2023grokking)",
        "where": "no table: pilots at p = 31, one run each, measured every 50 steps",
        "protocol": "trials of grokking/modadd-optimizers and its control; steps at which unseen pairs are right",
        "tier": "quick",
        "seeds": 5,
        "chunk": 1,
    },
}

ACCURACIES = {31: {32: 0.87, 64: 0.993, 128: 1.0, 256: 1.0}, 97: {32: 0.61, 64: 0.95, 128: 0.9998, 256: 1.0}}
"""Of the analytic network, by p and by width."""
STEPS = {0.4: 1_000, 0.5: 550, 0.6: 250, 0.8: 100}
CONTROL = "accuracy on unseen pairs after 2,500 steps without weight decay"

LINES: Mapping[str, Mapping[str, Line]] = {
    "modular-addition": {
        f"p = {p}, {width} units, accuracy": Published(
            value, n=1, last_digit=0.01 if width < 64 else 0.001, source="pilot"
        )
        for p, by_width in ACCURACIES.items()
        for width, value in by_width.items()
    },
    "grokking": {
        **{
            f"steps to .95 of unseen pairs, {share:g} of the table": Published(
                steps, n=1, last_digit=50, source="pilot"
            )
            for share, steps in STEPS.items()
        },
        CONTROL: Published(0.03, n=1, last_digit=0.01, source="pilot"),
    },
}


def measure(name: str, seeds: Sequence[int]) -> dict[str, list[float]]:
    """Every line, one value a seed."""
    per_seed = [analytic(seed) if name == "modular-addition" else trained(seed) for seed in seeds]
    return {line: [found[line] for found in per_seed] for line in LINES[name]}


def analytic(seed: int) -> dict[str, float]:
    """The accuracy of the analytic network on the whole table."""
    found = {}
    for p, by_width in ACCURACIES.items():
        x, label = pairs(p)
        for width in by_width:
            hidden, out = analytic_network(p, width, generator("reproductions", "modular", p, width, seed))
            found[f"p = {p}, {width} units, accuracy"] = accuracy((x @ hidden.T).square() @ out.T, label)
    return found


def trained(seed: int) -> dict[str, float]:
    """When the network of squares knows the unseen pairs, and what it knows without weight decay."""
    found = {
        f"steps to .95 of unseen pairs, {share:g} of the table": solved_at(
            suite_scores("grokking/modadd-optimizers-v1", "quadratic-network", seed, condition=f"share-{share:g}")
        )
        for share in STEPS
    }
    control = suite_scores("grokking/modadd-control-v1", "quadratic-network", seed, condition="share-0.5")
    return {**found, CONTROL: control.last["unseen"]["accuracy"]}


def solved_at(measured: Measured) -> float:
    """The step of the last measurement, at which a training ends that has solved the table."""
    task = load("grokking/modadd-optimizers-v1")
    assert task.is_answered(measured.last), "the table is not solved"
    return float(sum(chunks(task.spec.budget)[: len(measured.every)]))
