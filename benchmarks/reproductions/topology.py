"""Narrow networks: what a theorem forbids, and what training finds one unit later.

At width 2 in the plane, and at width 3 for linked circles in space, the shape is impossible for monotone units,
whatever the training. The pilots' networks had four hidden layers, and so have these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from benchmarks.reproductions._expected import Line, Published, Unpublished, closed_form
from benchmarks.reproductions._suite import suite_scores
from tasks.seeds import stream_seed
from tasks.sources.regions import bounded, square_grid

ENTRIES = {
    "annulus": {
        "paper": "Beise, Dias Da Cruz and Schroeder 2018 (beise2018decision)",
        "where": "the theorem on unbounded decision regions, and pilots",
        "protocol": "topology/annulus at widths 2 and 3, the baseline mlp with four hidden layers; random networks",
        "tier": "quick",
        "seeds": 5,
        "chunk": 1,
    },
    "links": {
        "paper": "Olah 2014 (olah2014topology)",
        "where": "the argument on linked circles, and pilots",
        "protocol": "topology/links at widths 3, 4 and 8, and its control at 3, mlp with four tanh layers",
        "tier": "quick",
        "seeds": 5,
        "chunk": 1,
    },
}

DEPTH = 4
UNITS: Mapping[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU}
N_RANDOM, SCALE = 20, 2.0
SIDE, REACH = 301, 3.0
IMPOSSIBLE = closed_form(0.0)


def pilot(value: float, sd: float | None = None) -> Published:
    """A mean of three seeds of an earlier implementation."""
    return Published(value, sd, n=3, last_digit=0.01, source="pilot")


LINES: Mapping[str, Mapping[str, Line]] = {
    "annulus": {
        "20 random networks of width 2, bounded pieces": IMPOSSIBLE,
        "tanh, width 2, bounded pieces": IMPOSSIBLE,
        "tanh, width 2, closed": IMPOSSIBLE,
        "tanh, width 2, accuracy": pilot(0.91, 0.03),
        "tanh, width 3, closed": pilot(1.0),
        "relu, width 2, bounded pieces": IMPOSSIBLE,
        "relu, width 2, closed": IMPOSSIBLE,
        "relu, width 3, closed": pilot(1 / 3),
    },
    "links": {
        "width 3, separated": IMPOSSIBLE,
        "width 3, accuracy": Unpublished(floor=2 / 3, oracle=1.0),
        "width 4, accuracy": Unpublished(floor=2 / 3, oracle=1.0),
        "width 8, separated": Unpublished(floor=0.0, oracle=1.0),
        "not linked, width 3, separated": Unpublished(floor=0.0, oracle=1.0),
    },
}


def measure(name: str, seeds: Sequence[int]) -> dict[str, list[float]]:
    """Every line, one value a seed."""
    of_seed = annulus if name == "annulus" else links
    per_seed = [of_seed(seed) for seed in seeds]
    return {line: [found[line] for found in per_seed] for line in LINES[name]}


def annulus(seed: int) -> dict[str, float]:
    """The disc in a ring, for both kinds of units."""
    found = {"20 random networks of width 2, bounded pieces": bounded_pieces_of_random_networks(seed)}
    for unit in UNITS:
        for width in (2, 3):
            scores = scores_of("topology/annulus-v1", unit, width, seed)
            found[f"{unit}, width {width}, closed"] = scores["plane"]["closed"]
            found[f"{unit}, width {width}, bounded pieces"] = scores["plane"]["bounded"]
            found[f"{unit}, width {width}, accuracy"] = scores["iid"]["accuracy"]
    return found


def links(seed: int) -> dict[str, float]:
    """Two circles in space, linked and not."""
    found: dict[str, float] = {}
    for width in (3, 4, 8):
        scores = scores_of("topology/links-v1", "tanh", width, seed)["circles"]
        found |= {f"width {width}, {metric}": scores[metric] for metric in ("separated", "accuracy")}
    control = scores_of("topology/links-control-v1", "tanh", 3, seed)["circles"]
    return found | {"not linked, width 3, separated": control["separated"]}


def scores_of(task_id: str, unit: str, width: int, seed: int) -> Mapping[str, Mapping[str, float]]:
    """A trial of the suite with four hidden layers of a width."""
    hparams = {"depth": DEPTH, "activation": unit}
    return suite_scores(task_id, "mlp", seed, condition=f"w-{width}", hparams=hparams).selected


def bounded_pieces_of_random_networks(seed: int) -> float:
    """Bounded pieces of both regions of 20 networks of width 2, half of them with units of each kind."""
    torch.manual_seed(stream_seed("reproductions", "annulus", seed))
    networks = [random_network(unit) for unit in UNITS for _ in range(N_RANDOM // len(UNITS))]
    return float(sum(n_bounded(network) for network in networks))


def random_network(unit: str) -> nn.Module:
    """A network of width 2 with normal weights of scale 2."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise([2] * (DEPTH + 1)):
        layers += [nn.Linear(fan_in, fan_out), UNITS[unit]()]
    network = nn.Sequential(*layers, nn.Linear(2, 1))
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=SCALE)
    return network.requires_grad_(False)


def n_bounded(network: nn.Module) -> int:
    """Bounded pieces of both decision regions over [-3, 3]^2."""
    outputs: Tensor = network(square_grid(SIDE, REACH))
    region = (outputs[:, 0] > 0).view(SIDE, SIDE).numpy()
    return len(bounded(region)) + len(bounded(~region))
