"""The hardness family: what theorems and counting say exactly, and how long networks of the literature need.

Times are first steps, checked every 25 or 100, at which 95 % of 2,000 fresh strings are right, or of their variance is
explained. Those of an earlier implementation in other code, `pilot`, were one run each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.reproductions._expected import AtLeast, Line, Published, closed_form
from tasks.hardness.staircase import TERMS, target
from tasks.seeds import generator
from tasks.sources.boolean_cube import degrees, points, walsh_hadamard
from tasks.sources.parity_solvers import best_product, elimination, full_rank_probability
from tasks.sources.sign_strings import fair_signs, product

ENTRIES = {
    "parity": {
        "paper": "Barak, Edelman, Goel, Kakade, Malach and Zhang 2022 (barak2022hidden)",
        "where": "its networks on sparse parities; that an odd parity is invisible without biases, by enumeration",
        "protocol": "one hidden layer of 128 ReLU units, hinge loss, SGD with rate .1, 64 fresh strings a step",
        "tier": "quick",
        "seeds": 5,
        "chunk": 1,
    },
    "staircase": {
        "paper": "Abbe, Boix-Adsera and Misiakiewicz 2022, 2023 (abbe2022merged, abbe2023leap)",
        "where": "no table: pilots of merged staircases, leaps and products",
        "protocol": "one hidden layer of 128 ReLU units, squared error, SGD with rate .02, 64 strings of 30 signs",
        "tier": "quick",
        "seeds": 3,
        "chunk": 1,
    },
    "gap": {
        "paper": "Blum, Kalai and Wasserman 2003 (blum2003noise)",
        "where": "closed forms of elimination on 30 equations in 20 unknowns",
        "protocol": "100 systems a seed, without noise and with 5 % wrong labels; the search reads 200 strings",
        "tier": "quick",
        "seeds": 20,
        "chunk": 10,
    },
    "sawtooth": {
        "paper": "Telgarsky 2016 (telgarsky2016benefits)",
        "where": "its construction and piece count; pilots of what training makes of it",
        "protocol": "alternating labels on a line, ReLU layers, full-batch Adam (3e-3), best of 4,000 steps",
        "tier": "quick",
        "seeds": 3,
        "chunk": 1,
    },
}

CUBE = 10
WIDTH, BATCH, TESTED = 128, 64, 2_000
LIMIT = 10_000
PARITY_STEPS = {(20, 2): 100, (20, 3): 650, (30, 3): 1_125, (20, 4): 625}
GREATEST = (30, 4)
BLIND_STEPS = 2_000
STAIRCASE_SIGNS = 30
EQUATIONS, UNKNOWNS, SEARCHED, SYSTEMS = 30, 20, 200, 100
SAWTOOTH = {
    (16, (4,)): (0.53, 2),
    (16, (8,)): (0.625, 2),
    (16, (64,)): (0.875, 1),
    (16, (64, 64, 64)): (1.0, 2),
    (64, (512,)): (0.75, 2),
    (64, (64, 64, 64)): (0.69, 1),
}
"""(points, widths of hidden layers): best accuracy and how many runs it is a mean of."""
SAWTOOTH_STEPS, SAWTOOTH_EVERY = 4_000, 50
FULL_RANK = full_rank_probability(EQUATIONS, UNKNOWNS)
STAIRCASE_STEPS = {"stair3": 700, "leap2": 1_600, "mono3": 3_500, "stair4": 900, "mono4": 4_000}

LINES: Mapping[str, Mapping[str, Line]] = {
    "parity": {
        "largest coefficient of degree 3 of a ReLU unit without a bias": closed_form(0.0, 1e-12),
        "largest coefficient of degree 2 of its slope": closed_form(0.0, 1e-12),
        **{
            f"steps, {k} of {n} signs": Published(steps, n=1, last_digit=25, source="pilot")
            for (n, k), steps in PARITY_STEPS.items()
        },
        "share of trials solved, 4 of 30 signs": AtLeast(0.2, source="criterion of barak2022hidden"),
        "accuracy without biases, 3 of 20 signs": Published(0.50, n=1, last_digit=0.01, source="pilot"),
    },
    "staircase": {
        **{
            f"steps, {name}": Published(steps, n=1, last_digit=100, source="pilot")
            for name, steps in STAIRCASE_STEPS.items()
        },
        "speed-up of the staircase of 3 signs": Published(5.0, n=1, last_digit=0.1, source="pilot"),
        "speed-up of the staircase of 4 signs": Published(4.4, n=1, last_digit=0.1, source="pilot"),
    },
    "gap": {
        "elimination succeeds, no noise": closed_form(FULL_RANK, 1e-4),
        "elimination succeeds, 5 % wrong": closed_form(FULL_RANK * 0.95**UNKNOWNS, 1e-4),
        "search of three succeeds, 5 % wrong": closed_form(1.0, 1e-4),
    },
    "sawtooth": {
        "tent maps of depth 6 on 64 points, accuracy": closed_form(1.0),
        **{
            f"best accuracy, {n} points, {'x'.join(map(str, widths))}": Published(
                value, n=runs, last_digit=0.01, source="pilot"
            )
            for (n, widths), (value, runs) in SAWTOOTH.items()
        },
        "bound - accuracy, 16 points, 8": AtLeast(0.0, source="piece count"),
    },
}


def measure(name: str, seeds: Sequence[int]) -> dict[str, list[float]]:
    """Every line, one value a seed."""
    per_seed = [MEASURES[name](seed) for seed in seeds]
    return {line: [found[line] for found in per_seed] for line in LINES[name]}


@dataclass(frozen=True)
class Setting:
    """What a hidden layer learns of strings of n signs, and how: `learned` says of outputs and targets (N,)."""

    n: int
    target: Callable[[Tensor], Tensor]
    loss: Callable[[Tensor, Tensor], Tensor]
    learned: Callable[[Tensor, Tensor], bool]
    rate: float
    every: int
    bias: bool = True


class Run:
    """One hidden layer of 128 ReLU units, plain SGD, fresh strings in every step."""

    def __init__(self, setting: Setting, seed: int) -> None:
        self.setting, self.stream = setting, generator("reproductions", "hardness", seed)
        torch.manual_seed(seed)
        first, last = nn.Linear(setting.n, WIDTH, bias=setting.bias), nn.Linear(WIDTH, 1, bias=setting.bias)
        self.net = nn.Sequential(first, nn.ReLU(), last)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=setting.rate)

    def train(self, steps: int) -> None:
        """So many steps."""
        for _ in range(steps):
            x = fair_signs(BATCH, self.setting.n, self.stream)
            self.optimizer.zero_grad()
            self.setting.loss(self.net(x)[:, 0], self.setting.target(x)).backward()
            self.optimizer.step()

    def tested(self) -> tuple[Tensor, Tensor]:
        """Outputs and targets (2000,) of fresh strings."""
        x = fair_signs(TESTED, self.setting.n, self.stream)
        with torch.no_grad():
            return self.net(x)[:, 0], self.setting.target(x)

    def steps_needed(self) -> float:
        """The first checked step at which the target is learned, or the limit."""
        for step in range(self.setting.every, LIMIT + 1, self.setting.every):
            self.train(self.setting.every)
            if self.setting.learned(*self.tested()):
                return float(step)
        return float(LIMIT)


def parity_setting(n: int, k: int, bias: bool = True) -> Setting:
    """The product of the first k of n signs, by hinge loss."""
    places = torch.arange(k)
    return Setting(n, partial(product, places=places), hinge, mostly_right, rate=0.1, every=25, bias=bias)


def hinge(outputs: Tensor, y: Tensor) -> Tensor:
    """The mean of 1 - y f, where that is positive."""
    return functional.relu(1 - y * outputs).mean()


def accuracy(outputs: Tensor, y: Tensor) -> float:
    """The share of outputs with the sign of y."""
    return float((outputs * y > 0).float().mean())


def mostly_right(outputs: Tensor, y: Tensor) -> bool:
    """Whether 95 % are right."""
    return accuracy(outputs, y) >= 0.95


def mostly_explained(outputs: Tensor, y: Tensor) -> bool:
    """Whether less than 5 % of the variance is left."""
    return bool((outputs - y).square().mean() < 0.05 * y.var())


def parity(seed: int) -> dict[str, float]:
    """What a unit without a bias cannot see, and times to find which signs decide."""
    w = torch.randn(CUBE, generator=generator("reproductions", "unit", seed), dtype=torch.float64)
    unit = points(CUBE).double() @ w
    blind = Run(parity_setting(20, 3, bias=False), seed)
    blind.train(BLIND_STEPS)
    found = {
        "largest coefficient of degree 3 of a ReLU unit without a bias": largest(unit.relu(), 3),
        "largest coefficient of degree 2 of its slope": largest((unit > 0).double(), 2),
        "accuracy without biases, 3 of 20 signs": accuracy(*blind.tested()),
    }
    for n, k in PARITY_STEPS:
        found[f"steps, {k} of {n} signs"] = Run(parity_setting(n, k), seed).steps_needed()
    n, k = GREATEST
    solved = Run(parity_setting(n, k), seed).steps_needed() < LIMIT
    return found | {f"share of trials solved, {k} of {n} signs": float(solved)}


def largest(values: Tensor, degree: int) -> float:
    """The largest Fourier coefficient, in absolute value, of a function on the cube (2^n,) at a degree."""
    return float(walsh_hadamard(values).abs()[degrees(CUBE) == degree].max())


def staircase(seed: int) -> dict[str, float]:
    """Times to learn products of signs, alone and on their stairs."""
    times = {}
    for name, terms in TERMS.items():
        places = torch.arange(max(terms))

        def sum_of_terms(x: Tensor, name: str = name, places: Tensor = places) -> Tensor:
            return target(name, x, places)[:, 0]

        setting = Setting(STAIRCASE_SIGNS, sum_of_terms, functional.mse_loss, mostly_explained, rate=0.02, every=100)
        times[name] = Run(setting, seed).steps_needed()
    found = {f"steps, {name}": time for name, time in times.items()}
    for k in (3, 4):
        found[f"speed-up of the staircase of {k} signs"] = times[f"mono{k}"] / times[f"stair{k}"]
    return found


def gap(seed: int) -> dict[str, float]:
    """How often 30 equations in 20 unknowns are solved, and how often three signs are found by trying."""
    stream = generator("reproductions", "gap", seed)
    found = [(eliminated(0.0, stream), eliminated(0.05, stream), three_are_found(0.05, stream)) for _ in range(SYSTEMS)]
    shares = torch.tensor(found, dtype=torch.float64).mean(0).tolist()
    return dict(zip(LINES["gap"], shares, strict=True))


def eliminated(noise: float, stream: torch.Generator) -> bool:
    """Whether elimination finds a random set of bits from its sums, some of which are wrong."""
    bits = torch.randint(2, (EQUATIONS, UNKNOWNS), generator=stream)
    secret = torch.randint(2, (UNKNOWNS,), generator=stream)
    wrong = (torch.rand(EQUATIONS, generator=stream) < noise).long()
    solution = elimination(bits, (bits @ secret % 2) ^ wrong)
    return solution is not None and torch.equal(solution, secret)


def three_are_found(noise: float, stream: torch.Generator) -> bool:
    """Whether the product that agrees most often is that of the first three signs."""
    x, places = fair_signs(SEARCHED, UNKNOWNS, stream), torch.arange(3)
    right = 1 - 2 * (torch.rand(SEARCHED, generator=stream) < noise).float()
    return torch.equal(best_product(x, product(x, places) * right, 3), places)


def sawtooth(seed: int) -> dict[str, float]:
    """What one layer, three layers and a construction make of labels that alternate."""
    t = torch.arange(64) / 64
    for _ in range(6):
        t = tent(t)
    found = {
        "tent maps of depth 6 on 64 points, accuracy": float((t.round().long() == torch.arange(64) % 2).float().mean())
    }
    for n, widths in SAWTOOTH:
        found[f"best accuracy, {n} points, {'x'.join(map(str, widths))}"] = best_accuracy(n, widths, seed)
    bound = 1 - (16 - 8 - 2) / (2 * 16)
    return found | {"bound - accuracy, 16 points, 8": bound - found["best accuracy, 16 points, 8"]}


def tent(t: Tensor) -> Tensor:
    """2 t up to 1/2 and 2 - 2 t from there, as two ReLU units."""
    return 2 * t.relu() - 4 * (t - 0.5).relu()


def best_accuracy(n: int, widths: Sequence[int], seed: int) -> float:
    """The largest accuracy on n alternating points, over checked steps."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise([1, *widths]):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    net = nn.Sequential(*layers, nn.Linear(widths[-1], 2))
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    x, y = torch.linspace(-1, 1, n)[:, None], torch.arange(n) % 2
    best = 0.0
    for step in range(1, SAWTOOTH_STEPS + 1):
        outputs = net(x)
        if step % SAWTOOTH_EVERY == 0:
            best = max(best, float((outputs.argmax(1) == y).float().mean()))
        if best == 1:
            break
        optimizer.zero_grad()
        functional.cross_entropy(outputs, y).backward()
        optimizer.step()
    return best


MEASURES: Mapping[str, Callable[[int], dict[str, float]]] = {
    "parity": parity,
    "staircase": staircase,
    "gap": gap,
    "sawtooth": sawtooth,
}
