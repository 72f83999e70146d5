"""Model classes that misbehave, and some that only look as if they did. Each is run as a submission."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import torch
from torch import nn


class Plain(nn.Module):
    def __init__(self, problem):
        super().__init__()
        self.net = nn.Sequential(
            nn.Flatten(), nn.Linear(problem.input_shape[0], 8), nn.ReLU(), nn.Linear(8, problem.n_outputs)
        )

    def forward(self, x):
        return self.net(x)


class RaisesInConstructor(Plain):
    def __init__(self, problem):
        raise RuntimeError("no weights for you")


class DeclinesInConstructor(Plain):
    def __init__(self, problem):
        raise NotImplementedError("only takes images of cats")


class WrongShape(Plain):
    def forward(self, x):
        return super().forward(x)[:, 0]


class ReturnsNothing(Plain):
    def forward(self, x):
        super().forward(x)


class NanAtStep100(Plain):
    calls = 0

    def forward(self, x):
        self.calls += self.training
        return super().forward(x) * (float("nan") if self.calls >= 100 else 1.0)


class NanInEvaluation(Plain):
    def forward(self, x):
        return super().forward(x) / (1.0 if self.training else 0.0)


class EndlessLoop(Plain):
    def forward(self, x):
        while True:
            pass


class SleepsThroughInterrupts(Plain):
    def forward(self, x):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        time.sleep(1e6)


class Touches50Gigabytes(Plain):
    def forward(self, x):
        self.hoard = [torch.ones(2**28) for _ in range(50)]
        return super().forward(x)


class HoardsInNumpy(Plain):
    def forward(self, x):
        self.hoard = np.ones(50 * 2**27)
        return super().forward(x)


class PrintsAMillionLines(Plain):
    def __init__(self, problem):
        super().__init__(problem)
        for line in range(1_000_000):
            print("line", line)


class CallsSysExit(Plain):
    def forward(self, x):
        sys.exit(3)


class ExitsAtOnce(Plain):
    def forward(self, x):
        os._exit(0)


class KillsItself(Plain):
    def forward(self, x):
        os.kill(os.getpid(), signal.SIGKILL)


class LeavesAChildBehind(Plain):
    def __init__(self, problem):
        super().__init__(problem)
        subprocess.Popen(["sleep", "987654"])


class ChangesGlobalSeeds(Plain):
    def forward(self, x):
        torch.manual_seed(0)
        np.random.seed(0)
        random.seed(0)
        return super().forward(x)


class ChangesDefaultDtype(Plain):
    def __init__(self, problem):
        torch.set_default_dtype(torch.float64)
        super().__init__(problem)


class ReadsSecrets(Plain):
    def __init__(self, problem):
        super().__init__(problem)
        found = [name for name in os.environ if "KEY" in name or "TOKEN" in name]
        raise RuntimeError(f"secrets: {found}, home: {os.path.expanduser('~')}")


class InPlace(Plain):
    def forward(self, x):
        x += 1.0
        hidden = self.net[1](x)
        hidden.relu_()
        return self.net[3](hidden)


class TiedWeights(nn.Module):
    def __init__(self, problem):
        super().__init__()
        d = problem.input_shape[0]
        self.first, self.second = nn.Linear(d, d), nn.Linear(d, d)
        self.second.weight = self.first.weight
        self.out = nn.Linear(d, problem.n_outputs)

    def forward(self, x):
        return self.out(self.second(torch.relu(self.first(x))))


class Dropout(Plain):
    def forward(self, x):
        return super().forward(nn.functional.dropout(x, 0.2, self.training))


class BatchNorm(Plain):
    def __init__(self, problem):
        super().__init__(problem)
        self.norm = nn.BatchNorm1d(problem.input_shape[0])

    def forward(self, x):
        return super().forward(self.norm(x))


class DataDependent(Plain):
    def forward(self, x):
        return super().forward(x if x.mean().item() > 0 else -x)


class Lazy(nn.Module):
    def __init__(self, problem):
        super().__init__()
        self.net = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(problem.n_outputs))

    def forward(self, x):
        return self.net(x)


class HostileMessage(Plain):
    def __init__(self, problem):
        raise RuntimeError("\x1b[2J\u202e<script>alert(1)</script>" + "x" * 100_000)


class NotAModel:
    pass


class BadRecipe(Plain):
    recipe = {"learning_rat": 1e-3}
