"""Colored MNIST as the IRM paper's released program runs it: IRM, ERM, and ERM on images without colour.

The hyper-parameters were selected on the test environment. A restart shuffles the digits, flips labels and colours and
initialises anew. As there, the numbers of step k are those before its update, and the last step is reported.

Shapes: E = 2 training environments, n = 25,000 images each, D inputs (392 with colour, 196 without).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.reproductions._expected import Line, Published
from tasks import hub
from tasks.seeds import generator

ENTRIES = {
    "colored-mnist-irm": {
        "paper": "Arjovsky, Bottou, Gulrajani and Lopez-Paz 2019 (arjovsky2019invariant)",
        "where": "output of the released program, Table 1 of the paper",
        "protocol": "two-layer ReLU network of 390, 14 x 14 x 2 pixels, 501 full-batch steps, penalty from step 190",
        "tier": "full",
        "seeds": 10,
        "chunk": 1,
    },
    "colored-mnist-erm": {
        "paper": "Arjovsky, Bottou, Gulrajani and Lopez-Paz 2019 (arjovsky2019invariant)",
        "where": "output of the released program, Table 1 of the paper",
        "protocol": "two-layer ReLU network of 256, 14 x 14 x 2 pixels, 501 full-batch steps",
        "tier": "full",
        "seeds": 10,
        "chunk": 1,
    },
    "colored-mnist-gray": {
        "paper": "Arjovsky, Bottou, Gulrajani and Lopez-Paz 2019 (arjovsky2019invariant)",
        "where": "output of the released program, Table 1 of the paper",
        "protocol": "two-layer ReLU network of 83, channels summed, 101 full-batch steps",
        "tier": "full",
        "seeds": 10,
        "chunk": 1,
    },
}

N_TRAIN, N_FILE = 50_000, 60_000  # of MNIST's training file the last 10,000 are the test environment
LABEL_NOISE = 0.25
COLOR_NOISE = (0.2, 0.1)
TEST_COLOR_NOISE = 0.9


@dataclass(frozen=True)
class Setting:
    """The hyper-parameters of a method. `penalty` holds from step `anneal` on, 1 before it."""

    width: int
    l2: float
    learning_rate: float
    steps: int
    anneal: int = 0
    penalty: float = 0.0
    gray: bool = False
    shown: tuple[int, ...] = ()

    def penalty_at(self, step: int) -> float:
        """The weight of the penalty in a step."""
        return self.penalty if step >= self.anneal else 1.0


SETTINGS: Mapping[str, Setting] = {
    "colored-mnist-irm": Setting(
        390, 0.00110794568, 0.0004898536566546834, 501, 190, 91257.18613115903, shown=(100, 200, 300)
    ),
    "colored-mnist-erm": Setting(256, 0.001, 0.001, 501),
    "colored-mnist-gray": Setting(83, 0.0008602868865288383, 0.0028171488133821726, 101, gray=True),
}


def printed(train: tuple[float, float], test: tuple[float, float]) -> dict[str, Line]:
    """Percent of right labels at the last step, mean and population sd over 10 restarts."""
    return {
        "training accuracy, %": Published(*train, n=10, last_digit=0.001, population=True),
        "test accuracy, %": Published(*test, n=10, last_digit=0.001, population=True),
    }


def trajectory(step: int, train: float, test: float) -> dict[str, Line]:
    """Percent of right labels at an earlier step of the first restart."""
    source = "the program's first restart"
    return {
        f"training accuracy at step {step}, %": Published(train, n=1, last_digit=0.1, source=source),
        f"test accuracy at step {step}, %": Published(test, n=1, last_digit=0.1, source=source),
    }


LINES: Mapping[str, Mapping[str, Line]] = {
    "colored-mnist-irm": {
        **printed((70.811, 0.933), (66.902, 2.540)),
        **trajectory(100, 85.1, 10.4),
        **trajectory(200, 84.4, 19.2),
        **trajectory(300, 70.3, 69.6),
        "training accuracy at step 200, %": Published(
            84.4,
            n=1,
            last_digit=0.1,
            source="the program's first restart",
            explanation="one restart, ten steps after the penalty set in, where a step moves the test accuracy by "
            "about half a point; there too the published restart is ahead (19.2). Three restarts of ours happen to lie "
            "within .12 of each other, while flipped labels alone spread a restart by .16, so the band is narrow",
        ),
    },
    "colored-mnist-erm": printed((87.394, 0.194), (17.070, 0.674)),
    "colored-mnist-gray": printed((73.496, 0.194), (73.012, 0.468)),
}


@dataclass(frozen=True)
class Environment:
    """Images x (n, D) in [0, 1] and labels y (n,) of 0 and 1, both float32."""

    x: Tensor
    y: Tensor


def measure(name: str, seeds: Sequence[int]) -> dict[str, list[float]]:
    """Accuracies in percent, one a restart.

    Raises:
        MissingData: when MNIST is not on this machine.
    """
    images, digits = hub.load_mnist()
    found: dict[str, list[float]] = {line: [] for line in LINES[name]}
    for seed in seeds:
        stream = generator("reproductions", name, seed)
        for line, value in restart(SETTINGS[name], images[:N_FILE], digits[:N_FILE], stream).items():
            found[line].append(value)
    return found


def restart(setting: Setting, images: Tensor, digits: Tensor, stream: torch.Generator) -> dict[str, float]:
    """One training from the images (N, 28, 28) of MNIST's training file; the test environment is their last sixth."""
    *training, test = environments(images, digits, setting.gray, stream)
    weights = network(training[0].x.shape[1], setting.width, stream)
    optimizer = torch.optim.Adam(weights, lr=setting.learning_rate)
    found: dict[str, float] = {}
    for step in range(setting.steps):
        logits = [outputs(weights, env.x) for env in training]
        at = "" if step == setting.steps - 1 else f" at step {step}"
        if not at or step in setting.shown:
            found[f"training accuracy{at}, %"] = percent_right(logits, training)
            with torch.no_grad():
                found[f"test accuracy{at}, %"] = percent_right([outputs(weights, test.x)], [test])
        optimizer.zero_grad()
        loss(logits, training, weights, setting.l2, setting.penalty_at(step)).backward()
        optimizer.step()
    return found


def environments(
    images: Tensor, digits: Tensor, gray: bool, stream: torch.Generator
) -> tuple[Environment, Environment, Environment]:
    """Five sixths of the images shuffled and dealt to two environments in turn, and the rest as the test."""
    n = len(images) * N_TRAIN // N_FILE
    order = torch.randperm(n, generator=stream)
    parts = (order[::2], order[1::2], torch.arange(n, len(images)))
    first, second, test = (
        environment(images[part], digits[part], noise, gray, stream)
        for part, noise in zip(parts, (*COLOR_NOISE, TEST_COLOR_NOISE), strict=True)
    )
    return first, second, test


def environment(images: Tensor, digits: Tensor, color_noise: float, gray: bool, stream: torch.Generator) -> Environment:
    """Every second pixel of every second row; "below 5", flipped at times; the colour, flipped from the label at times.

    The digit stands in the channel of its colour. Without colour the channels are summed.
    """
    pixels = images[:, ::2, ::2].float() / 255
    y = (digits < 5) ^ (torch.rand(len(digits), generator=stream) < LABEL_NOISE)
    color = y ^ (torch.rand(len(digits), generator=stream) < color_noise)
    if gray:
        return Environment(pixels.flatten(1), y.float())
    x = torch.zeros(len(digits), 2, *pixels.shape[1:])
    x[torch.arange(len(digits)), color.long()] = pixels
    return Environment(x.flatten(1), y.float())


def network(n_inputs: int, width: int, stream: torch.Generator) -> list[Tensor]:
    """Weights and biases of D - width - width - 1: Xavier-uniform (Glorot and Bengio 2010), and zero."""
    found = []
    for fan_in, fan_out in pairwise((n_inputs, width, width, 1)):
        weight = nn.init.xavier_uniform_(torch.empty(fan_out, fan_in), generator=stream)
        found += [weight.requires_grad_(), torch.zeros(fan_out, requires_grad=True)]
    return found


def layers(weights: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Weight and bias of every layer."""
    return zip(weights[::2], weights[1::2], strict=True)


def outputs(weights: Sequence[Tensor], x: Tensor) -> Tensor:
    """Logits (n,) of images x (n, D)."""
    *hidden, readout = layers(weights)
    for layer in hidden:
        x = functional.linear(x, *layer).relu()
    return functional.linear(x, *readout).squeeze(1)


def loss(
    logits: Sequence[Tensor], training: Sequence[Environment], weights: Sequence[Tensor], l2: float, penalty: float
) -> Tensor:
    """mean_e R_e + l2 |weights|^2 + penalty mean_e (dR_e(s f)/ds at s = 1)^2, divided by a penalty above 1.

    The derivative of the logistic loss with respect to a scale of its logits f is the mean of (sigmoid(f) - y) f.
    """
    risk = torch.stack([
        functional.binary_cross_entropy_with_logits(f, env.y) for f, env in zip(logits, training, strict=True)
    ]).mean()  # fmt: skip
    squares = torch.stack([w.square().sum() for w in weights]).sum()
    total = risk + l2 * squares
    if penalty:
        by_scale = [((f.sigmoid() - env.y) * f).mean() for f, env in zip(logits, training, strict=True)]
        total = total + penalty * torch.stack(by_scale).square().mean()
    return total / penalty if penalty > 1 else total


def percent_right(logits: Sequence[Tensor], of: Sequence[Environment]) -> float:
    """Percent of images whose logit has the sign of the label, averaged over environments."""
    right = [((f > 0) == (env.y > 0.5)).double().mean() for f, env in zip(logits, of, strict=True)]
    return 100 * float(torch.stack(right).mean())
