"""Our training loop against a bare PyTorch loop of the same steps, data and optimizer; read the two rows as a ratio.

python -m pytest tests/speed --benchmark-enable
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baselines.algorithm import Training
from baselines.algorithms.erm import ERM
from benchmarks.optimization import make_optimizer
from benchmarks.replica import Replica
from benchmarks.training import train
from tasks.types import Batch, Budget, Problem, Recipe

STEPS = 2000
PROBLEM = Problem("vector", (10,), "values", 1, 5000)


def data() -> Batch:
    x = torch.randn(5000, 10, generator=torch.Generator().manual_seed(0))
    return Batch(x, x[:, :1].square())


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(10, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 1))


def bare_loop(batch: Batch, batch_size: int) -> None:
    """What a researcher would write."""
    model = network()
    optimizer = make_optimizer(model.parameters(), Recipe())
    order = torch.Generator().manual_seed(1)
    pending = torch.empty(0, dtype=torch.int64)
    for _ in range(STEPS):
        if len(pending) < batch_size:
            pending = torch.randperm(len(batch), generator=order)
        index, pending = pending[:batch_size], pending[batch_size:]
        loss = nn.functional.mse_loss(model(batch.x[index]), batch.y[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def our_loop(batch: Batch, batch_size: int) -> None:
    """The suite's training of the same network."""

    def unchecked(outputs: Tensor, x: Tensor) -> Tensor:
        return outputs

    replica = Replica(
        network(),
        ERM(PROBLEM),
        Training([batch], STEPS, torch.Generator()),
        torch.Generator().manual_seed(1),
        lambda predict: {"iid": {"mse": 0.0}},
    )
    train([replica], Recipe(), Budget(STEPS, batch_size, 10), unchecked)


@pytest.mark.parametrize("batch_size", [32, 128])
@pytest.mark.parametrize("loop", [bare_loop, our_loop])
def test_loop(benchmark: Any, loop: Any, batch_size: int) -> None:
    benchmark.group = f"training, batch {batch_size}, {STEPS} steps"
    benchmark.pedantic(loop, args=(data(), batch_size), rounds=5, warmup_rounds=1)
