"""DomainBed's sanity run on RotatedMNIST: 501 steps of ERM at the defaults, tested at 0 degrees.

All 70,000 digits are shuffled and dealt to six environments, turned by 0, 15, ..., 75 degrees; no image is in two. A
fifth of each training environment is held out and tested; the environment that is not trained is tested as a whole.

Shapes: B images, C = 10 classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.reproductions._expected import AtLeast, Line
from tasks import hub
from tasks.seeds import generator
from tasks.shift.rotated_digits import rotate

ENTRIES = {
    "rotated-mnist-sanity": {
        "paper": "Gulrajani and Lopez-Paz 2021 (gulrajani2021search)",
        "where": "bounds of the released code's own test, which runs the first 501 of 5,001 steps",
        "protocol": "four-layer convolutional network, 64 images of each of five environments a step, 501 steps of "
        "Adam 1e-3",
        "tier": "full",
        "seeds": 1,
        "chunk": 1,
    }
}

ANGLES_DEG = (0, 15, 30, 45, 60, 75)
TEST_DEG = 0
STEPS, BATCH, LEARNING_RATE = 501, 64, 1e-3
HELD_OUT = 5  # one in five images
N_CLASSES, GROUPS, EVALUATION_BATCH = 10, 8, 256

LINES: Mapping[str, Mapping[str, Line]] = {
    "rotated-mnist-sanity": {
        "accuracy at 0 degrees, not trained": AtLeast(0.80),
        "accuracy at 15 degrees": AtLeast(0.95),
        "accuracy at 30 degrees": AtLeast(0.95),
        "accuracy at 45 degrees": AtLeast(0.95),
    }
}
MEASURED_DEG = {
    "accuracy at 0 degrees, not trained": 0,
    "accuracy at 15 degrees": 15,
    "accuracy at 30 degrees": 30,
    "accuracy at 45 degrees": 45,
}

Environment = tuple[Tensor, Tensor]
"""Images (n, 1, 28, 28) in [0, 1] and classes (n,)."""


class Convolutional(nn.Module):
    """Images (B, 1, H, W) -> four 3 x 3 convolutions, each followed by ReLU and GroupNorm -> mean -> (B, 10)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for fan_in, fan_out, stride in ((1, 64, 1), (64, 128, 2), (128, 128, 1), (128, 128, 1)):
            convolution = nn.Conv2d(fan_in, fan_out, 3, stride=stride, padding=1)
            layers += [convolution, nn.ReLU(), nn.GroupNorm(GROUPS, fan_out)]
        self.features = nn.Sequential(*layers)
        self.readout = nn.Linear(128, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.readout(self.features(x).mean((2, 3)))
        return out


def measure(name: str, seeds: Sequence[int]) -> dict[str, list[float]]:
    """Accuracies in [0, 1], one a seed.

    Raises:
        MissingData: when MNIST is not on this machine.
    """
    images, digits = hub.load_mnist()
    found: dict[str, list[float]] = {line: [] for line in LINES[name]}
    for seed in seeds:
        for line, value in sanity_run(images, digits, generator("reproductions", name, seed)).items():
            found[line].append(value)
    return found


def sanity_run(images: Tensor, digits: Tensor, stream: torch.Generator, steps: int = STEPS) -> dict[str, float]:
    """Train on five environments and measure the lines, from images (N, 28, 28) uint8 and classes (N,)."""
    dealt = deal(images, digits, stream)
    held_out = {deg: len(y) // HELD_OUT for deg, (_, y) in dealt.items()}
    training = {deg: (x[held_out[deg] :], y[held_out[deg] :]) for deg, (x, y) in dealt.items() if deg != TEST_DEG}
    torch.manual_seed(stream.initial_seed())
    network = Convolutional()
    train(network, list(training.values()), steps, stream)
    tests = {deg: (x[: held_out[deg]], y[: held_out[deg]]) for deg, (x, y) in dealt.items()} | {
        TEST_DEG: dealt[TEST_DEG]
    }
    return {line: accuracy(network, tests[deg]) for line, deg in MEASURED_DEG.items()}


def deal(images: Tensor, digits: Tensor, stream: torch.Generator) -> dict[int, Environment]:
    """Every sixth image of a random order to each angle."""
    order = torch.randperm(len(images), generator=stream)
    found = {}
    for place, deg in enumerate(ANGLES_DEG):
        part = order[place :: len(ANGLES_DEG)]
        turned = rotate(images[part].float() / 255, torch.full((len(part),), float(deg)))
        found[deg] = (turned.unsqueeze(1), digits[part])
    return found


def train(network: nn.Module, training: Sequence[Environment], steps: int, stream: torch.Generator) -> None:
    """Adam on the mean cross-entropy of one minibatch of every environment, drawn with replacement."""
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    for _ in range(steps):
        chosen = [torch.randint(len(y), (BATCH,), generator=stream) for _, y in training]
        x = torch.cat([x[i] for i, (x, _) in zip(chosen, training, strict=True)])  # (5 * 64, 1, 28, 28)
        y = torch.cat([y[i] for i, (_, y) in zip(chosen, training, strict=True)])
        optimizer.zero_grad()
        functional.cross_entropy(network(x), y).backward()
        optimizer.step()


def accuracy(network: nn.Module, of: Environment) -> float:
    """Share of images whose largest logit is their class."""
    x, y = of
    with torch.no_grad():
        right = [
            (network(part).argmax(1) == label).double()
            for part, label in zip(x.split(EVALUATION_BATCH), y.split(EVALUATION_BATCH), strict=True)
        ]
    return float(torch.cat(right).mean())
