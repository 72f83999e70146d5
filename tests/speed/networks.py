"""Networks, data and loops that speed is measured on."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from baselines.algorithm import Training
from baselines.algorithms.erm import ERM
from benchmarks.optimization import make_optimizer
from benchmarks.replica import Replica
from benchmarks.training import MakeEngine, train
from tasks.types import Batch, Budget, Problem, Recipe

PROBLEM = Problem("vector", (10,), "values", 1, 2000)
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(10, 1),
    "mlp-16": lambda: mlp(16),
    "mlp-128": lambda: mlp(128),
    "mlp-512": lambda: mlp(512),
    "cnn": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 10)), nn.Conv1d(1, 32, 5, padding=2), nn.ReLU(), nn.Conv1d(32, 32, 5, padding=2), nn.ReLU(),
        nn.Flatten(), nn.Linear(320, 1),
    ),
}  # fmt: skip


def mlp(width: int) -> nn.Module:
    """Two hidden layers."""
    return nn.Sequential(nn.Linear(10, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))


def data(seed: int = 0) -> Batch:
    """2,000 examples of a square."""
    x = torch.randn(2000, 10, generator=torch.Generator().manual_seed(seed))
    return Batch(x, x[:, :1].square())


def bare_loops(name: str, n: int, steps: int, batch_size: int) -> None:
    """What a researcher would write: one seed after the other."""
    for seed in range(n):
        torch.manual_seed(seed)
        model, batch = NETWORKS[name](), data(seed)
        optimizer = make_optimizer(model.parameters(), Recipe())
        order = torch.Generator().manual_seed(seed)
        pending = torch.empty(0, dtype=torch.int64)
        for _ in range(steps):
            if len(pending) < batch_size:
                pending = torch.randperm(len(batch), generator=order)
            index, pending = pending[:batch_size], pending[batch_size:]
            loss = nn.functional.mse_loss(model(batch.x[index]), batch.y[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def our_loop(engine: MakeEngine, name: str, n: int, steps: int, batch_size: int) -> None:
    """The suite's training of the same networks by an engine."""
    replicas = []
    for seed in range(n):
        torch.manual_seed(seed)
        known, order = Training([data(seed)], steps, torch.Generator()), torch.Generator().manual_seed(seed)
        replicas.append(Replica(NETWORKS[name](), ERM(PROBLEM), known, order, lambda predict: {"iid": {"mse": 0.0}}))
    train(replicas, Recipe(), Budget(steps, batch_size, 10), unchecked, engine)
    assert not any(replica.error for replica in replicas)


def unchecked(outputs: Tensor, x: Tensor) -> Tensor:
    """A check that costs nothing."""
    return outputs
