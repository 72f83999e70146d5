"""Examples 2 and 3 of the linear unit tests at the published size: a logistic model, 10,000 full-batch updates.

Results are published for Example 2. For the others ours stand between the shortcut's error and the oracle's, which
follow from the law of the examples. The spread is printed as in Example 1: the sd over worlds in each environment,
averaged over environments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from benchmarks.reproductions._expected import Line, Published, Unpublished
from benchmarks.reproductions._linear import LogisticLoss, Setting, train
from benchmarks.reproductions._linear_worlds import World, by_environment, line_of, lines_of, starts

ENTRIES = {
    "linear-unit-2": {
        "paper": "Aubin, Slowik, Arjovsky, Bottou and Lopez-Paz 2020 (aubin2020linear)",
        "where": "results of the released code, Example2, default configuration",
        "protocol": "logistic model, 3 x 10,000 examples, 10,000 full-batch updates, the selected hyper-parameters, "
        "test error of the last",
        "tier": "full",
        "seeds": 10,
        "chunk": 1,
    },
    "linear-unit-2s": {
        "paper": "Aubin, Slowik, Arjovsky, Bottou and Lopez-Paz 2020 (aubin2020linear)",
        "where": "no table; the hyper-parameters are those that the released code selected",
        "protocol": "as linear-unit-2, inputs scrambled by a random rotation",
        "tier": "full",
        "seeds": 10,
        "chunk": 1,
    },
    "linear-unit-3": {
        "paper": "Aubin, Slowik, Arjovsky, Bottou and Lopez-Paz 2020 (aubin2020linear)",
        "where": "no table; the hyper-parameters are those that the released code selected",
        "protocol": "as linear-unit-2, on Example 3",
        "tier": "full",
        "seeds": 10,
        "chunk": 1,
    },
    "linear-unit-3s": {
        "paper": "Aubin, Slowik, Arjovsky, Bottou and Lopez-Paz 2020 (aubin2020linear)",
        "where": "no table; the hyper-parameters are those that the released code selected",
        "protocol": "as linear-unit-2, on Example 3, inputs scrambled by a random rotation",
        "tier": "full",
        "seeds": 10,
        "chunk": 1,
    },
}

STEPS = 10_000
SHORTCUT = {"2": (0.4280, 0.5000, 0.4216), "3": (0.5, 0.5, 0.5)}  # by environment; closed forms, as the oracles' are
ORACLE = {"2": 0.0, "3": 0.012674}
SETTINGS: Mapping[str, Mapping[str, Setting]] = {
    "linear-unit-2": {
        "ERM": Setting(3.920e-3, 1.716e-6),
        "IRMv1": Setting(3.920e-3, 1.716e-6, 0.8871),
        "ANDMask": Setting(0.1537, 1.964e-5, 0.9520),
        "IGA": Setting(4.934e-4, 8.214e-6, 11.21),
        "Oracle": Setting(3.920e-3, 1.716e-6),
    },
    "linear-unit-2s": {
        "ERM": Setting(9.176e-4, 3.474e-4),
        "IRMv1": Setting(6.472e-3, 1.154e-3, 0.9279),
        "ANDMask": Setting(4.836e-3, 0.7595, 0.9227),
        "IGA": Setting(4.934e-4, 8.214e-6, 11.21),
        "Oracle": Setting(3.920e-3, 1.716e-6),
    },
    "linear-unit-3": {
        "ERM": Setting(3.920e-3, 1.716e-6),
        "IRMv1": Setting(6.954e-4, 8.025e-3, 0.9547),
        "ANDMask": Setting(0.4189, 6.728e-2, 0.9376),
        "IGA": Setting(5.151e-3, 1.592e-3, 2373),
        "Oracle": Setting(2.198e-3, 2.668e-3),
    },
    "linear-unit-3s": {
        "ERM": Setting(3.920e-3, 1.716e-6),
        "IRMv1": Setting(1.096e-3, 6.817e-3, 0.9917),
        "ANDMask": Setting(3.766e-3, 7.165e-2, 0.9418),
        "IGA": Setting(6.472e-3, 1.154e-3, 5661),
        "Oracle": Setting(2.198e-3, 2.668e-3),
    },
}


def published(
    method: str, mean: float, sd: float, environments: tuple[float, float, float] | None = None
) -> Mapping[str, Line]:
    """The lines of a method: the average, and each environment, printed or not."""
    average = Published(mean, sd, 50, 0.001, population=True, spread_over=lines_of(method))
    if environments is None:
        return {method: average} | dict.fromkeys(lines_of(method), Unpublished(oracle=0.0))
    return {method: average} | {
        line_of(method, env): Published(value, n=50, last_digit=0.001) for env, value in enumerate(environments)
    }


def unpublished(example: str) -> dict[str, Line]:
    """All lines of an example without a table, between the shortcut's error and the oracle's."""
    floors, oracle = SHORTCUT[example], ORACLE[example]
    found: dict[str, Line] = {}
    for method in ("ERM", "IRMv1", "ANDMask", "IGA", "Oracle"):
        found[method] = Unpublished(sum(floors) / len(floors), oracle)
        found |= {line_of(method, env): Unpublished(floor, oracle) for env, floor in enumerate(floors)}
    return found


LINES: Mapping[str, Mapping[str, Line]] = {
    "linear-unit-2": {
        **published("ERM", 0.421, 0.007, (0.400, 0.467, 0.395)),
        **published("IRMv1", 0.450, 0.005, (0.428, 0.499, 0.422)),
        **published("ANDMask", 0.443, 0.023, (0.421, 0.492, 0.416)),
        **{
            line_of("ANDMask", env): Published(
                value,
                n=50,
                last_digit=0.001,
                explanation="the published spread of ANDMask's average is .023, five times that of our worlds; that of "
                "an environment is not printed, so the band has ours alone",
            )
            for env, value in ((0, 0.421), (1, 0.492))
        },
        **published("IGA", 0.450, 0.005, (0.428, 0.499, 0.422)),
        **published("Oracle", 0.000, 0.000),
    },
    "linear-unit-2s": unpublished("2"),
    "linear-unit-3": unpublished("3"),
    "linear-unit-3s": unpublished("3"),
}


def measure(name: str, seeds: Sequence[int], steps: int = STEPS) -> dict[str, list[float]]:
    """Test errors of all methods, one a world."""
    worlds = [World(name, seed) for seed in seeds]
    test = examples(worlds, "test", permuted=True)
    found: dict[str, list[float]] = {}
    for method, setting in SETTINGS[name].items():
        risks = examples(worlds, "train", permuted=method == "Oracle")
        v = train(method, risks, starts(worlds), setting, steps)
        found |= by_environment(method, test.error(v))
    return found


def examples(worlds: Sequence[World], split: str, permuted: bool) -> LogisticLoss:
    """All examples of a split: 1.3 MB a world."""
    of_worlds = [world.sample(split, permuted) for world in worlds]
    return LogisticLoss(torch.stack([x for x, _ in of_worlds]), torch.stack([y for _, y in of_worlds]))
