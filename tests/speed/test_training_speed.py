"""Our training against a bare PyTorch loop of the same steps, data and optimizer, and seeds at once against one by one.

Read the rows of a group as ratios. Seconds are those of the process, which a busy machine changes less than the clock.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import pytest
from networks import NETWORKS, bare_loops, our_loop

from benchmarks.sequential import Sequential
from benchmarks.stacked import Stacked

STEPS = {"linear": 1000, "mlp-16": 1000, "mlp-128": 1000, "mlp-512": 300, "cnn": 300}
WAYS = {"bare": bare_loops, "sequential": partial(our_loop, Sequential), "stacked": partial(our_loop, Stacked)}


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seeds", [1, 5, 20])
@pytest.mark.parametrize("network", NETWORKS)
def test_training(benchmark: Any, network: str, seeds: int, way: str) -> None:
    """Batches of 32 examples."""
    benchmark.group = f"training {network}, {seeds} seeds"
    benchmark.pedantic(WAYS[way], args=(network, seeds, STEPS[network], 32), rounds=2)
