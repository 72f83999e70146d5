"""Example 1 of the linear unit tests at the published size: 10,000 updates in 50 worlds from second moments alone.

For squared loss the gradients of all methods, and the test error, depend on the examples only through second moments of
each environment. They are taken of the drawn examples, not of their law: nothing is lost but the examples.

What the source prints after ± is the sd over worlds in each environment (denominator n), averaged over environments. It
bounds the sd of the averaged error from above; for the band it is pooled with our sd of the averaged error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from benchmarks.reproductions._expected import Line, Published
from benchmarks.reproductions._linear import Setting, SquaredLoss, train
from benchmarks.reproductions._linear_worlds import World, by_environment, line_of, lines_of, starts

ENTRIES = {
    "linear-unit-1": {
        "paper": "Aubin, Slowik, Arjovsky, Bottou and Lopez-Paz 2020 (aubin2020linear)",
        "where": "results of the released code, Example1, default configuration",
        "protocol": "linear layer, 3 x 10,000 examples, 10,000 full-batch updates, the selected hyper-parameters, "
        "test error of the last",
        "tier": "quick",
        "seeds": 50,
        "chunk": 50,
    },
    "linear-unit-1s": {
        "paper": "Aubin, Slowik, Arjovsky, Bottou and Lopez-Paz 2020 (aubin2020linear)",
        "where": "results of the released code, Example1s, default configuration",
        "protocol": "linear layer, 3 x 10,000 examples, 10,000 full-batch updates, the selected hyper-parameters, "
        "test error of the last",
        "tier": "quick",
        "seeds": 50,
        "chunk": 50,
    },
}

STEPS = 10_000
SETTINGS: Mapping[str, Mapping[str, Setting]] = {
    "linear-unit-1": {
        "ERM": Setting(6.954e-4, 8.025e-3),
        "IRMv1": Setting(1.613e-4, 1.599e-5, 0.6667),
        "ANDMask": Setting(0.1537, 1.964e-5, 0.9520),
        "IGA": Setting(1.171e-4, 7.190e-6, 12874),
        "Oracle": Setting(6.954e-4, 8.025e-3),
    },
    "linear-unit-1s": {
        "ERM": Setting(5.151e-3, 1.592e-3),
        "IRMv1": Setting(1.613e-4, 1.599e-5, 0.6667),
        "ANDMask": Setting(0.4189, 6.728e-2, 0.9376),
        "IGA": Setting(1.171e-4, 7.190e-6, 12874),
        "Oracle": Setting(6.954e-4, 8.025e-3),
    },
}


def expected(method: str, mean: float, sd: float, environments: tuple[float, float, float]) -> Mapping[str, Line]:
    """The lines of a method: the average, and each environment, whose spread is not printed."""
    return {method: Published(mean, sd, 50, 0.001, population=True, spread_over=lines_of(method))} | {
        line_of(method, env): Published(value, n=50, last_digit=0.001) for env, value in enumerate(environments)
    }


LINES: Mapping[str, Mapping[str, Line]] = {
    "linear-unit-1": {
        **expected("ERM", 13.363, 1.487, (1.622, 14.249, 24.218)),
        **expected("IRMv1", 11.150, 0.710, (0.201, 11.982, 21.268)),
        **expected("ANDMask", 10.594, 0.170, (0.114, 11.392, 20.276)),
        **expected("IGA", 17.470, 2.165, (4.466, 18.459, 29.485)),
        **expected("Oracle", 10.419, 0.162, (0.052, 11.273, 19.932)),
    },
    "linear-unit-1s": {
        **expected("ERM", 13.328, 1.489, (1.614, 14.232, 24.137)),
        **expected("IRMv1", 11.066, 0.681, (0.194, 11.919, 21.085)),
        **expected("ANDMask", 11.240, 0.741, (0.067, 12.129, 21.523)),
        **expected("IGA", 17.679, 3.316, (4.548, 18.683, 29.806)),
        **expected("Oracle", 10.451, 0.188, (0.052, 11.243, 20.057)),
    },
}


def measure(name: str, seeds: Sequence[int]) -> dict[str, list[float]]:
    """Test errors of all methods, one a world."""
    worlds = [World(name, seed) for seed in seeds]
    training, shuffled, test = (
        moments(worlds, split, permuted) for split, permuted in (("train", False), ("train", True), ("test", True))
    )
    found: dict[str, list[float]] = {}
    for method, setting in SETTINGS[name].items():
        risks = shuffled if method == "Oracle" else training
        v = train(method, risks, starts(worlds).double(), setting, STEPS)
        found |= by_environment(method, test.error(v))
    return found


def moments(worlds: Sequence[World], split: str, permuted: bool) -> SquaredLoss:
    """Second moments of one split of all worlds, float64; examples are held for one world at a time."""
    of_worlds = []
    for world in worlds:
        x, y = world.sample(split, permuted)  # (E, n, P), (E, n)
        of_worlds.append(SquaredLoss.of(x.double(), y.double()))
    return SquaredLoss(
        torch.stack([m.inputs for m in of_worlds]),
        torch.stack([m.cross for m in of_worlds]),
        torch.stack([m.target for m in of_worlds]),
    )
