"""The features family: gradients of the target and of networks from rich to lazy, and what leading features hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.reproductions._expected import Line, Published, closed_form
from benchmarks.reproductions._suite import suite_scores
from tasks.features.agop import N_POINTS, STEP, directions, mass, target
from tasks.registry import load
from tasks.seeds import Draw, generator
from tasks.sources.slopes import slopes, stencil
from tasks.types import load_data

ENTRIES = {
    "agop": {
        "paper": "Chizat, Oyallon and Bach 2019 (chizat2019lazy)",
        "where": "no table: pilots; the oracle is a closed form",
        "protocol": "2 x 256 ReLU units, output change times alpha, SGD with rate .05 / alpha^2; slopes over .02",
        "tier": "quick",
        "seeds": 3,
        "chunk": 1,
    },
    "probe": {
        "paper": "Alain and Bengio 2017 (alain2017understanding); Hermann and Lampinen 2020 (hermann2020shapes)",
        "where": "no table: pilots of the task",
        "protocol": "the baseline mlp on features/probe; R2 of ridge regression from six principal components",
        "tier": "quick",
        "seeds": 3,
        "chunk": 1,
    },
}

AGOP = "features/agop-v1"
WIDTH, BATCH, STEPS, RATE = 256, 64, 2_000, 0.05
POINTS = 1_000
CLOSE = 0.01
"""A lazy network has so many kinks that its slopes over .5 are twice as much in the plane as its gradients are."""
MASS = {0.3: 0.985, 1.0: 0.950, 10.0: 0.675, 100.0: 0.213}
PROBE = "features/probe-v1"
HELD = {("t4", "relevant"): 0.72, ("t4", "irrelevant"): 0.01, ("t16", "relevant"): 0.96, ("t16", "irrelevant"): 0.0}
"""Share of the latents in six components of an MLP."""

LINES: Mapping[str, Mapping[str, Line]] = {
    "agop": {
        "mass of the target": closed_form(1.0, 1e-6),
        **{
            f"mass, alpha {alpha:g}": Published(value, n=1, last_digit=1e-3, source="pilot")
            for alpha, value in MASS.items()
        },
    },
    "probe": {
        f"{which} latents, {condition[1:]} targets": Published(value, n=1, last_digit=0.01, source="pilot")
        for (condition, which), value in HELD.items()
    },
}


def measure(name: str, seeds: Sequence[int]) -> dict[str, list[float]]:
    """Every line, one value a seed."""
    per_seed = [MEASURES[name](seed) for seed in seeds]
    return {line: [found[line] for found in per_seed] for line in LINES[name]}


def agop(seed: int) -> dict[str, float]:
    """The share of gradients in the plane that matters, of the target and of networks that are ever lazier."""
    draw = Draw(AGOP, seed)
    data = load_data(load(AGOP), "plenty", draw)
    plane = directions("plenty", draw).double()

    points, neighbours = data["iid"].x[:POINTS], data["stencil"].x
    exact = target(neighbours, directions("plenty", draw))[:, 0]
    found = {"mass of the target": mass(slopes(exact, N_POINTS, STEP), plane)}
    for alpha in MASS:
        outputs = scaled_network(data["train"].x, data["train"].y, alpha, seed)
        with torch.no_grad():
            values = outputs(stencil(points, CLOSE))[:, 0]
        found[f"mass, alpha {alpha:g}"] = mass(slopes(values, POINTS, CLOSE), plane)
    return found


def scaled_network(x: Tensor, y: Tensor, alpha: float, seed: int) -> Callable[[Tensor], Tensor]:
    """alpha (f - f_0) for a network f that was trained from f_0."""
    torch.manual_seed(seed)
    layers = [nn.Linear(x.shape[1], WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1)]
    net = nn.Sequential(*layers)
    start = {name: value.detach().clone() for name, value in net.named_parameters()}
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE / alpha**2)
    order = generator("reproductions", "agop", seed)

    def outputs(inputs: Tensor) -> Tensor:
        with torch.no_grad():
            before = torch.func.functional_call(net, start, (inputs,))
        change: Tensor = alpha * (net(inputs) - before)
        return change

    for _ in range(STEPS):
        chosen = torch.randint(len(x), (BATCH,), generator=order)
        optimizer.zero_grad()
        functional.mse_loss(outputs(x[chosen]), y[chosen]).backward()
        optimizer.step()
    return outputs


def probe(seed: int) -> dict[str, float]:
    """What the leading features of the baseline `mlp` hold of latents that matter and of others."""
    scores = {c: suite_scores(PROBE, "mlp", seed, condition=c).selected["iid"] for c in ("t4", "t16")}
    return {f"{which} latents, {condition[1:]} targets": scores[condition][which] for condition, which in HELD}


MEASURES: Mapping[str, Callable[[int], dict[str, float]]] = {"agop": agop, "probe": probe}
